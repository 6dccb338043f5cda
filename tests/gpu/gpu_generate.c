/* How fast a GPU generates, at the size of the 3B model: prefill of a picture's prompt; passes that
 * decode 1, 32, 160 and 256 sequences, twenty to a picture, behind prompts of 1,600 rows; and the
 * whole engine with pictures, twenty regions each, up to 60 tokens a region.
 *
 * usage: gpu_generate [--table cuda-bf16|cuda] [--no-graphs] [--small]
 *
 * Weights are any numbers: times do not depend on them. --small: sizes for an emulated GPU, whose
 * times mean nothing. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text_buffer.h"
#include "corpus/scenes.h"
#include "device/device.h"
#include "device/stream.h"
#include "generate/ask.h"
#include "kernels.h"
#include "model/decoder.h"

struct sizes {
    struct model_config model;
    int64_t objects, prefix, suffix; /* of a picture; rows that its objects share, and of each */
    int64_t warm, steps;             /* passes before and while time is taken */
    int64_t batches[4];
    int64_t rows, images, max_tokens;
};

static const struct sizes sizes_3b = {
    .model = {.image_height = 512,
              .image_width = 512,
              .vision = {.depths = {3, 3, 27, 3}, .dims = {192, 384, 768, 1536}, .norm_eps = 1e-6},
              .extractor = {.embed = 1024, .mask_side = 112},
              .lm = {.vocab = 151936,
                     .hidden = 2048,
                     .ffn = 11008,
                     .layers = 36,
                     .heads = 16,
                     .kv_heads = 2,
                     .max_positions = 4096,
                     .rms_eps = 1e-6,
                     .rope_theta = 1e6,
                     .tied = true}},
    .objects = 20,
    .prefix = 1600,
    .suffix = 12,
    .warm = 8,
    .steps = 48,
    .batches = {1, 32, 160, 256},
    .rows = 2048,
    .images = 64,
    .max_tokens = 30};
static const struct sizes sizes_small = {
    .model = {.image_height = 64,
              .image_width = 64,
              .vision = {.depths = {1, 1, 1, 1}, .dims = {8, 8, 8, 8}, .norm_eps = 1e-6},
              .extractor = {.embed = 8, .mask_side = 4},
              .lm = {.vocab = 576,
                     .hidden = 32,
                     .ffn = 64,
                     .layers = 2,
                     .heads = 4,
                     .kv_heads = 2,
                     .max_positions = 640,
                     .rms_eps = 1e-6,
                     .rope_theta = 1e6,
                     .tied = true}},
    .objects = 3,
    .prefix = 40,
    .suffix = 2,
    .warm = 1,
    .steps = 2,
    .batches = {1, 2, 4, 7},
    .rows = 64,
    .images = 2,
    .max_tokens = 4};

struct bench {
    const struct sizes *z;
    struct device *device;
    struct stream *stream;
    struct model *model;
    bool graphs;
};

static enum status make_model(struct bench *b, const struct kernels *kernels)
{
    enum status status = OK;
    const int64_t longest = b->z->model.lm.max_positions;
    const struct model_options options = {.limits = {.max_images = 1,
                                                     .max_regions = b->z->objects,
                                                     .max_sequences = 1,
                                                     .max_tokens = longest,
                                                     .max_targets = 1}};
    TRY(model_create(&b->model, &b->z->model, &options, kernels, b->stream));
    float *weights = model_weights(b->model);
    for (int64_t i = 0; i < model_parameters(b->model)->n_weight_elements; i++)
        weights[i] = (float)((uint32_t)i * 2654435761u >> 8) * 0x1p-28f - 0x1p-5f;
out:
    return status;
}

/* ---- the decoder alone ---- */

#define BLOCK 16

/* n sequences in groups of `objects` that share whole blocks; their rows for one call. */
struct sequences {
    struct decoder *decoder;
    int64_t n, length, width, n_groups, common; /* of `common` blocks */
    int32_t *table, *token, *position, *slot, *row_start, *logit_row, *group_start, *shared;
    float *zeros, *ones, *results;
    const uint32_t **allowed;
};

static void fill_table(struct sequences *s, int64_t objects)
{
    int64_t used = s->n_groups * s->common;
    for (int64_t q = 0; q < s->n; q++)
        for (int64_t i = 0; i < s->width; i++)
            s->table[q * s->width + i] =
                (int32_t)(i < s->common ? q / objects * s->common + i : used++);
    for (int64_t g = 0; g < s->n_groups; g++) {
        s->shared[g] = (int32_t)(s->common * BLOCK);
        s->group_start[g + 1] = (int32_t)((g + 1) * objects < s->n ? (g + 1) * objects : s->n);
    }
}

static enum status sequences_init(struct sequences *s, const struct bench *b, int64_t n)
{
    enum status status = OK;
    const struct sizes *z = b->z;
    const int64_t longest = z->prefix + z->suffix + z->warm + z->steps, rows = z->rows;
    *s = (struct sequences){.n = n,
                            .width = (longest + BLOCK - 1) / BLOCK,
                            .n_groups = (n + z->objects - 1) / z->objects,
                            .common = z->prefix / BLOCK};
    const struct decoder_limits limits = {.max_rows = rows,
                                          .max_logits = n,
                                          .n_blocks =
                                              s->n_groups * s->common + n * (s->width - s->common),
                                          .block = BLOCK,
                                          .n_positions = longest,
                                          .graphs = b->graphs};
    s->table = memory_new((size_t)(n * s->width), sizeof *s->table);
    s->token = memory_new((size_t)rows, sizeof *s->token);
    s->position = memory_new((size_t)rows, sizeof *s->position);
    s->slot = memory_new((size_t)rows, sizeof *s->slot);
    s->row_start = memory_new((size_t)n + 1, sizeof *s->row_start);
    s->logit_row = memory_new((size_t)n, sizeof *s->logit_row);
    s->group_start = memory_new((size_t)n + 1, sizeof *s->group_start);
    s->shared = memory_new((size_t)n, sizeof *s->shared);
    s->zeros = memory_new((size_t)n, sizeof *s->zeros);
    s->ones = memory_new((size_t)n, sizeof *s->ones);
    s->results = memory_new((size_t)(2 * n), sizeof *s->results);
    s->allowed = memory_new((size_t)n, sizeof *s->allowed);
    for (int64_t q = 0; q < n; q++) s->ones[q] = 1;
    fill_table(s, z->objects);
    TRY(decoder_create(&s->decoder, b->model, &limits));
out:
    return status;
}

static void sequences_release(struct sequences *s)
{
    decoder_destroy(s->decoder);
    free(s->table);
    free(s->token);
    free(s->position);
    free(s->slot);
    free(s->row_start);
    free(s->logit_row);
    free(s->group_start);
    free(s->shared);
    free(s->zeros);
    free(s->ones);
    free(s->results);
    free(s->allowed);
}

/* `rows` more tokens of sequences first .. first + n - 1, from s->length on. Of several, which are
 * all of them, the tokens that follow are chosen and brought, as an engine's step does. */
static enum status run(struct sequences *s, int64_t first, int64_t n, int64_t rows)
{
    enum status status = OK;
    const int32_t alone[2] = {0, 1}, none = 0;
    const float *logits;
    const bool all = n == s->n && rows == 1;
    struct chosen_tokens chosen = {s->token, s->results, s->results + s->n};
    const struct token_choice asked = {s->allowed, s->zeros, s->ones, s->zeros};
    for (int64_t q = 0; q < n; q++) {
        for (int64_t r = 0; r < rows; r++) {
            const int64_t at = s->length + r, row = q * rows + r;
            if (!all) s->token[row] = (int32_t)((at * 31 + first * 7) % 500);
            s->position[row] = (int32_t)at;
            s->slot[row] =
                (int32_t)(s->table[(first + q) * s->width + at / BLOCK] * BLOCK + at % BLOCK);
        }
        s->row_start[q + 1] = (int32_t)((q + 1) * rows);
        s->logit_row[q] = (int32_t)((q + 1) * rows - 1);
    }
    const struct decoder_rows call = {.n_rows = n * rows,
                                      .token_id = s->token,
                                      .slot = s->slot,
                                      .cached = {.block = BLOCK,
                                                 .n_sequences = n,
                                                 .row_start = s->row_start,
                                                 .position = s->position,
                                                 .table = s->table + first * s->width,
                                                 .table_width = s->width,
                                                 .n_groups = all ? s->n_groups : 1,
                                                 .group_start = all ? s->group_start : alone,
                                                 .shared = all ? s->shared : &none},
                                      .logit_row = s->logit_row,
                                      .n_logits = all ? n : 0};
    TRY(decoder_run(s->decoder, &call, &logits));
    TRY(decoder_choose(s->decoder, &chosen, &asked, all ? n : 0));
out:
    return status;
}

/* Seconds of one picture's prompt, the last one's. */
static enum status prefill(struct sequences *s, const struct sizes *z, double *seconds_out)
{
    enum status status = OK;
    for (int64_t g = 0; g < s->n_groups; g++) {
        const double start = monotonic_seconds();
        s->length = 0;
        while (s->length < z->prefix) {
            const int64_t left = z->prefix - s->length;
            const int64_t rows = left < z->rows ? left : z->rows;
            TRY(run(s, s->group_start[g], 1, rows));
            s->length += rows;
        }
        *seconds_out = monotonic_seconds() - start;
    }
    for (int64_t q = 0; q < s->n; q++) {
        s->length = s->common * BLOCK;
        TRY(run(s, q, 1, z->prefix + z->suffix - s->length));
    }
    s->length = z->prefix + z->suffix;
    for (int64_t q = 0; q < s->n; q++) s->token[q] = (int32_t)(q % 500);
out:
    return status;
}

static enum status bench_decoder(const struct bench *b, int64_t n)
{
    enum status status = OK;
    struct sequences s = {0};
    double prompt = 0, start = 0;
    TRY(sequences_init(&s, b, n));
    TRY(prefill(&s, b->z, &prompt));
    for (int64_t i = 0; i < b->z->warm + b->z->steps; i++, s.length++) {
        if (i == b->z->warm) start = monotonic_seconds();
        TRY(run(&s, 0, n, 1));
    }
    const double each = (monotonic_seconds() - start) / (double)b->z->steps;
    printf("prefill of %lld rows %8.2f ms; decode, batch %3lld %8.3f ms a pass, %9.0f tokens/s\n",
           (long long)b->z->prefix, prompt * 1e3, (long long)n, each * 1e3, (double)n / each);
out:
    sequences_release(&s);
    return status;
}

/* ---- the engine with pictures ---- */

static enum status run_pictures(struct engine *engine, const struct tokenizer *tokenizer,
                                const struct ask *asked, int64_t max_tokens, int64_t n)
{
    enum status status = OK;
    struct engine_result result;
    struct ask_options options = ask_options_default(ASK_PER_OBJECT);
    struct ask ask = *asked;
    options.max_tokens = max_tokens;
    options.constrained = true;
    for (int64_t next = 0; next < n || !engine_is_idle(engine);) {
        for (; next < n && engine_has_room(engine); next++) {
            ask.tag = (uint64_t)next;
            TRY(ask_submit(engine, tokenizer, &ask, &options));
        }
        TRY(engine_step(engine));
        while (engine_take(engine, &result)) engine_result_release(&result);
    }
out:
    return status;
}

static enum status bench_engine(const struct bench *b)
{
    enum status status = OK;
    const struct sizes *z = b->z;
    struct scenes_options scenes = scenes_options_default();
    struct engine_options how = engine_options_default();
    struct tokenizer *tokenizer = NULL;
    struct engine *engine = NULL;
    struct record record = {0};
    struct rle *masks = memory_new((size_t)z->objects, sizeof *masks);
    how.batch = z->batches[3];
    how.images = 2 * how.batch / z->objects + 2;
    how.step_rows = z->rows;
    how.graphs = b->graphs;
    how.max_length = z->model.lm.max_positions;
    how.cache_bytes = z->images > 2 ? (size_t)16 << 30 : 0;
    TRY(tokenizer_open(&tokenizer, "datasets/tokenizer-scenes"));
    TRY(scenes_record(&record, &scenes, 0));
    for (int64_t i = 0; i < z->objects; i++)
        TRY(rle_from_box(&masks[i],
                         (struct box){(double)i, (double)i, (double)(i + 40), (double)(i + 30)},
                         record.height, record.width));
    const struct ask ask = {.id = "bench",
                            .picture = {record.image, record.image_size, "bench"},
                            .height = record.height,
                            .width = record.width,
                            .masks = masks,
                            .n_regions = z->objects};
    TRY(engine_create(&engine, b->model, tokenizer, &how));
    TRY(run_pictures(engine, tokenizer, &ask, z->max_tokens, 1)); /* chooses algorithms */
    const struct engine_counts before = engine_counts(engine);
    const double start = monotonic_seconds();
    TRY(run_pictures(engine, tokenizer, &ask, z->max_tokens, z->images));
    const double took = monotonic_seconds() - start;
    const struct engine_counts after = engine_counts(engine);
    printf("engine, batch %lld, %lld objects a picture: %.2f pictures/s, %.0f answer tokens/s, "
           "%.1f prompt rows run a picture\n",
           (long long)how.batch, (long long)z->objects, (double)z->images / took,
           (double)(after.answer_tokens - before.answer_tokens) / took,
           (double)(after.prefilled_tokens - before.prefilled_tokens) / (double)z->images);
out:
    engine_destroy(engine);
    for (int64_t i = 0; i < z->objects; i++) rle_release(&masks[i]);
    free(masks);
    record_release(&record);
    tokenizer_close(tokenizer);
    return status;
}

int main(int argc, char **argv)
{
    enum status status = OK;
    struct bench b = {.z = &sizes_3b, .graphs = true};
    const char *table = "cuda-bf16";
    static const struct option options[] = {{"table", required_argument, NULL, 't'},
                                            {"no-graphs", no_argument, NULL, 'g'},
                                            {"small", no_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 't') table = optarg;
        if (c == 's') b.z = &sizes_small;
        if (c == 'g') b.graphs = false;
        if (c == '?') return 2;
    }
    const struct kernels *kernels = kernels_find(table);
    if (kernels == NULL) FAIL(ERR_UNSUPPORTED, "this build has no kernels called %s", table);
    TRY(device_open(&b.device, kernels->device, 0));
    TRY(device_stream(b.device, &b.stream, 1));
    printf("%s on %s, %lld objects a picture, graphs %s\n", table, device_text(b.device),
           (long long)b.z->objects, b.graphs ? "on" : "off");
    TRY(make_model(&b, kernels));
    for (int i = 0; i < 4; i++) TRY(bench_decoder(&b, b.z->batches[i]));
    TRY(bench_engine(&b));
out:
    model_destroy(b.model);
    stream_destroy(b.stream);
    device_close(b.device);
    if (status != OK) fprintf(stderr, "gpu_generate: %s\n", status_message());
    return status == OK ? 0 : 1;
}
