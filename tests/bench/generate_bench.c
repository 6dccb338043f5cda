/* Generation: tokens a second of one sequence against what memory can deliver, twenty objects of
 * one picture with and without a shared prefix, and the workload that pytorch_generate.py times.
 *
 * usage: generate_bench [json]     json: only that workload, for pytorch_generate_bench.sh;
 *                                  ROBIN_THREADS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text_buffer.h"
#include "base/thread_pool.h"
#include "corpus/scenes.h"
#include "cpu/vector.h"
#include "device/stream.h"
#include "generate/ask.h"
#include "kernels.h"
#include "model/decoder.h"
#include "support/bench.h"

/* STEP_ROWS: of a pass, what engine_options_default() has. LONG_ANSWER: a whole graph. */
enum {
    OBJECTS = 20,
    NEW_TOKENS = 40,
    LONG_ANSWER = 640,
    PREFIX = 1100,
    SUFFIX = 12,
    STEP_ROWS = 256
};

static void ok(enum status status)
{
    if (status == OK) return;
    fprintf(stderr, "error: %s\n", status_message());
    exit(1);
}

/* A language model of that size behind a tower of next to nothing, with 1024 image tokens. */
static struct model_config config_of(struct lm_config lm)
{
    lm.rms_eps = 1e-6;
    lm.rope_theta = 1e6;
    lm.max_positions = 2048;
    lm.tied = true;
    return (struct model_config){
        .image_height = 512,
        .image_width = 512,
        .vision = {.depths = {1, 1, 1, 1}, .dims = {8, 8, 8, 8}, .norm_eps = 1e-6},
        .extractor = {.embed = 8, .mask_side = 8},
        .lm = lm};
}

static struct model *make_model(struct lm_config lm, struct stream *stream)
{
    struct model *model;
    const struct model_config config = config_of(lm);
    const struct model_options options = {.limits = {.max_images = 1,
                                                     .max_regions = OBJECTS,
                                                     .max_sequences = 1,
                                                     .max_tokens = 2048,
                                                     .max_targets = 1}};
    ok(model_create(&model, &config, &options, &kernels_cpu, stream));
    /* any numbers of an ordinary size: drawing hundreds of millions properly takes a minute */
    float *weights = model_weights(model);
    for (int64_t i = 0; i < model_parameters(model)->n_weight_elements; i++)
        weights[i] = (float)((uint32_t)i * 2654435761u >> 8) * 0x1p-28f - 0x1p-5f;
    return model;
}

/* ---- what memory delivers ---- */

struct reading {
    const float *data;
    int64_t block;
    double sums[1024];
};

static void read_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    struct reading *r = argument;
    const float *from = r->data + block * r->block;
    vector_f32 sum[4] = {{0}};
    for (int64_t i = 0; i < r->block; i += 4 * VECTOR_LANES)
        for (int k = 0; k < 4; k++) sum[k] += vector_load(from + i + k * VECTOR_LANES);
    r->sums[block] = (double)vector_sum(sum[0] + sum[1] + sum[2] + sum[3]);
}

/* Bytes a second that all threads read together, from 512 MiB: the best of 8. */
static double read_bandwidth(struct stream *stream)
{
    enum { BLOCKS = 64 };
    const int64_t n = INT64_C(1) << 27;
    struct reading r = {.data = bench_floats(n), .block = n / BLOCKS};
    double best = 1e9;
    for (int i = 0; i < 8; i++) {
        const double start = monotonic_seconds();
        thread_pool_run(stream->pool, BLOCKS, read_block, &r);
        const double took = monotonic_seconds() - start;
        best = took < best ? took : best;
    }
    free((void *)(uintptr_t)r.data);
    return (double)n * 4 / best;
}

/* ---- sequences of a decoder ---- */

/* `n` sequences whose first `shared` tokens are those of the first one, in blocks of 16. */
struct sequences {
    struct decoder *decoder;
    int64_t n, shared, length, width;
    int32_t *table, *token, *position, *slot, *row_start, *logit_row;
};

static void sequences_init(struct sequences *s, struct model *model, int64_t n, int64_t shared,
                           int64_t longest)
{
    const int64_t common = shared / 16, width = (longest + 15) / 16;
    const struct decoder_limits limits = {.max_rows = 512,
                                          .max_logits = n,
                                          .n_blocks = common + n * (width - common),
                                          .block = 16,
                                          .n_positions = longest};
    *s = (struct sequences){.n = n, .shared = common * 16, .width = width};
    ok(decoder_create(&s->decoder, model, &limits));
    s->table = memory_new((size_t)(n * width), sizeof *s->table);
    for (int64_t q = 0; q < n; q++)
        for (int64_t b = 0; b < width; b++)
            s->table[q * width + b] =
                (int32_t)(b < common ? b : common + q * (width - common) + b - common);
    s->token = memory_new(512, sizeof *s->token);
    s->position = memory_new(512, sizeof *s->position);
    s->slot = memory_new(512, sizeof *s->slot);
    s->row_start = memory_new((size_t)n + 1, sizeof *s->row_start);
    s->logit_row = memory_new((size_t)n, sizeof *s->logit_row);
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
}

/* The next `rows` tokens of the first n sequences; the logits of their last ones. */
static const float *run(struct sequences *s, int64_t n, int64_t rows)
{
    const int32_t one_group[2] = {0, (int32_t)n}, shared = n > 1 ? (int32_t)s->shared : 0;
    const float *logits;
    for (int64_t q = 0; q < n; q++) {
        for (int64_t r = 0; r < rows; r++) {
            const int64_t at = s->length + r, row = q * rows + r;
            s->token[row] = (int32_t)((at * 31 + q * 7) % 500);
            s->position[row] = (int32_t)at;
            s->slot[row] = (int32_t)(s->table[q * s->width + at / 16] * 16 + at % 16);
        }
        s->row_start[q + 1] = (int32_t)((q + 1) * rows);
        s->logit_row[q] = (int32_t)((q + 1) * rows - 1);
    }
    const struct decoder_rows call = {.n_rows = n * rows,
                                      .token_id = s->token,
                                      .slot = s->slot,
                                      .cached = {.block = 16,
                                                 .n_sequences = n,
                                                 .row_start = s->row_start,
                                                 .position = s->position,
                                                 .table = s->table,
                                                 .table_width = s->width,
                                                 .n_groups = 1,
                                                 .group_start = one_group,
                                                 .shared = &shared},
                                      .logit_row = s->logit_row,
                                      .n_logits = n};
    ok(decoder_run(s->decoder, &call, &logits));
    s->length += rows;
    return logits;
}

static double processor_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Seconds of processor time of prompts and n_new tokens of n sequences that begin with PREFIX
 * tokens in common; *decode_out of a pass for one token of each. */
static double generate(struct model *model, int64_t n, int64_t n_new, double *decode_out)
{
    struct sequences s;
    int64_t prefix = PREFIX / 16 * 16; /* what is left of it goes with each suffix */
    sequences_init(&s, model, n, prefix, PREFIX + SUFFIX + n_new);
    const double start = processor_seconds();
    for (; prefix > 0; prefix -= STEP_ROWS) run(&s, 1, prefix < STEP_ROWS ? prefix : STEP_ROWS);
    run(&s, n, PREFIX + SUFFIX - s.length);
    const double prefilled = processor_seconds();
    for (int64_t i = 1; i < n_new; i++) run(&s, n, 1);
    const double end = processor_seconds();
    *decode_out = (end - prefilled) / (double)(n_new - 1);
    sequences_release(&s);
    return end - start;
}

/* ---- the table ---- */

static void bench_one_sequence(struct stream *stream)
{
    const double bandwidth = read_bandwidth(stream);
    struct model *model = make_model(
        (struct lm_config){
            .vocab = 32768, .hidden = 1536, .ffn = 8960, .layers = 6, .heads = 12, .kv_heads = 2},
        stream);
    const double bytes =
        4 * (double)parameter_count(model_parameters(model), MODULE_LM); /* each read once */
    double best = 1e9;
    for (int i = 0; i < 3; i++) {
        double each;
        struct sequences s;
        sequences_init(&s, model, 1, 0, 64);
        run(&s, 1, 16);
        const double start = monotonic_seconds();
        for (int k = 0; k < 24; k++) run(&s, 1, 1);
        each = (monotonic_seconds() - start) / 24;
        best = each < best ? each : best;
        sequences_release(&s);
    }
    bench_row("memory", "512 MiB read", "%.1f GB/s", bandwidth / 1e9);
    bench_row("decode, one sequence", "LM of 331M", "%.2f tokens/s, weights at %.1f GB/s = %.1f %%",
              1 / best, bytes / best / 1e9, 100 * bytes / best / bandwidth);
    model_destroy(model);
}

static double seconds_of(struct engine *engine, const struct tokenizer *tokenizer,
                         const struct ask *ask, const struct ask_options *options)
{
    struct engine_result result;
    const double start = monotonic_seconds();
    ok(ask_submit(engine, tokenizer, ask, options));
    while (!engine_take(engine, &result)) ok(engine_step(engine));
    const double took = monotonic_seconds() - start;
    engine_result_release(&result);
    return took;
}

static void bench_sharing(struct stream *stream)
{
    struct scenes_options scenes = scenes_options_default();
    struct tokenizer *tokenizer;
    struct record record = {0};
    struct rle masks[OBJECTS];
    double took[2];
    struct model *model = make_model(
        (struct lm_config){
            .vocab = 576, .hidden = 512, .ffn = 1408, .layers = 8, .heads = 8, .kv_heads = 2},
        stream);
    ok(tokenizer_open(&tokenizer, "datasets/tokenizer-scenes"));
    ok(scenes_record(&record, &scenes, 0));
    for (int i = 0; i < OBJECTS; i++) {
        const struct box box = {i, i, i + 40, i + 30};
        ok(rle_from_box(&masks[i], box, record.height, record.width));
    }
    const struct ask ask = {.id = "bench",
                            .picture = {record.image, record.image_size, "bench"},
                            .height = record.height,
                            .width = record.width,
                            .masks = masks,
                            .n_regions = OBJECTS};
    struct ask_options options = ask_options_default(ASK_PER_OBJECT);
    options.max_tokens = 2;
    for (int share = 0; share < 2; share++) {
        struct engine_options how = engine_options_default();
        struct engine *engine;
        how.max_length = 2048;
        how.share_prefix = share != 0;
        ok(engine_create(&engine, model, tokenizer, &how));
        took[share] = seconds_of(engine, tokenizer, &ask, &options);
        engine_destroy(engine);
    }
    bench_row("20 objects, 2 + 2 tokens", "LM of 25M, 1024 image tokens",
              "%.2f s shared, %.2f s apart: %.1f times", took[1], took[0], took[0] / took[1]);
    for (int i = 0; i < OBJECTS; i++) rle_release(&masks[i]);
    record_release(&record);
    tokenizer_close(tokenizer);
    model_destroy(model);
}

int main(int argc, char **argv)
{
    struct stream *stream;
    const bool json = argc > 1 && strcmp(argv[1], "json") == 0;
    ok(stream_create(&stream, bench_threads()));
    if (!json) {
        bench_one_sequence(stream);
        bench_sharing(stream);
    } else {
        struct model *model = make_model((struct lm_config){.vocab = 32768,
                                                            .hidden = 896,
                                                            .ffn = 4864,
                                                            .layers = 6,
                                                            .heads = 14,
                                                            .kv_heads = 2},
                                         stream);
        double one, twenty, whole, decode_one, decode_twenty, decode_whole;
        one = generate(model, 1, NEW_TOKENS, &decode_one);
        one = generate(model, 1, NEW_TOKENS, &decode_one);
        whole = generate(model, 1, LONG_ANSWER, &decode_whole);
        twenty = generate(model, OBJECTS, NEW_TOKENS, &decode_twenty);
        printf("{\"one\": %.4f, \"whole\": %.4f, \"twenty\": %.4f, \"decode_one\": %.5f, "
               "\"decode_whole\": %.5f, \"decode_twenty\": %.5f}\n",
               one, whole, twenty, decode_one, decode_whole, decode_twenty);
        model_destroy(model);
    }
    stream_destroy(stream);
    return 0;
}
