/* Whole training steps of a language model, alone or behind a picture, as a run takes them:
 * packing, forward, backward, exchange of gradients, clipping, AdamW. Beside PyTorch by
 * pytorch_step.py, which makes the same samples; on two ranks by efficiency_bench.sh. A step's
 * micro-batches are ready before it starts, as a run's loader and PyTorch's script have them.
 *
 * usage: lm_step_bench [shape=L,H,HEADS,KV,FFN,V] [samples=N] [length=T] [tokens=MOST] [steps=N]
 *                      [json=1] [write=FOLDER] [warm=N] [gpu=1] [recompute=1]
 *                      [image=SIDE] [tower=WIDTH,OUTER,INNER] [frozen=1]
 *
 * length=0: samples as long as the paper's second stage has them, and as many targets; else every
 * sample is T words, of which all but the first are targets. tokens: rows of a micro-batch at most.
 * json: also seconds from the start of the program to the end of its first step, the mean of the
 * first and of the last tenth of the steps, and by how much resident memory grew between these.
 * gpu: in bf16 on the GPU, with its optimizer there, attention as train.attention: auto has it, and
 * products as train.products: timed. write: leaves the language model's weights that it starts from
 * as FOLDER/model.safetensors. image: one picture of SIDE x SIDE in front of every sample, whose
 * length includes the picture's rows; its tower (bench_tower.h) and the projector train, with
 * frozen=1 the projector alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text_buffer.h"
#include "checkpoint/safetensors_write.h"
#include "device/device.h"
#include "device/stream.h"
#include "support/bench.h"
#include "support/bench_tower.h"
#include "support/stage2_lengths.h"
#include "train/attention_choice.h"
#include "train/packer.h"
#include "train/product_choice.h"
#include "train/train_step.h"

enum { MAX_STEPS = 1100 };

struct setup {
    int64_t layers, hidden, heads, kv_heads, ffn, vocab;
    int64_t samples, length, tokens, steps, warm, json, gpu, recompute, image, frozen;
    struct bench_tower tower;
    const char *write;
};

struct bench {
    struct setup setup;
    struct model_config config;
    struct comm *comm;
    struct mesh mesh;
    struct device *device; /* NULL: the CPU */
    const struct kernels *kernels;
    struct stream *stream, *host_stream;
    struct sample_size *sizes; /* [samples] */
    struct pack_plan plan;
    bool trains[N_MODULES];
    int64_t image_rows;         /* of a picture; 0: there are none */
    float *pixels;              /* [image, image, 3]: every sample's picture */
    struct micro_batch **ready; /* [plan.n_micro]: this rank's of the step, in turn */
    int64_t n_ready, next;
    struct model *model;
    struct gradient_exchange *exchange;
    struct optimizer *optimizer;
    double began;
    double before_mib; /* resident before the model was made */
    double loss[MAX_STEPS], wall, processor;
    double took[MAX_STEPS], first; /* of steps; from the program's start to the end of the first */
    double early_mib, late_mib;    /* resident at most, up to the first tenth and to the end */
};

/* ---- samples ---- */

static void make_sizes(struct bench *b)
{
    const struct setup *s = &b->setup;
    b->sizes = memory_new((size_t)s->samples, sizeof *b->sizes);
    for (int64_t i = 0; i < s->samples; i++) {
        const struct sample_size drawn = stage2_length((uint64_t)i);
        const bool equal = s->length > 0;
        b->sizes[i].tokens = equal ? s->length : drawn.tokens;
        b->sizes[i].targets = equal ? s->length - 1 : drawn.targets;
        if (b->image_rows == 0) continue;
        b->sizes[i].images = 1; /* and every word is a target: the last image row has the first */
        b->sizes[i].targets = b->sizes[i].tokens - b->image_rows;
    }
}

static enum status make_plan(struct bench *b)
{
    int64_t offender = 0;
    const int64_t most = b->setup.tokens;
    const struct pack_options options = {
        .n_ranks = b->mesh.dp_size,
        .limits = {b->image_rows > 0 ? b->setup.samples : 1, 1, b->setup.samples, most, most},
        .cost = sample_cost_of(&b->config, b->trains)};
    return pack_plan_make(&b->plan, &offender, b->sizes, b->setup.samples, &options);
}

/* Word `place` of sample `index`: pytorch_step.py has the same line. */
static int32_t word_at(uint64_t index, uint64_t place, uint64_t vocab)
{
    return (int32_t)(((index * 8192 + place) * 2654435761u >> 7) % vocab);
}

static enum status make_rows(struct sample_rows *rows_out, const struct bench *b, int64_t index)
{
    const struct sample_size *size = &b->sizes[index];
    const struct sample_rows_options options = {
        .mask_id = -1, .vocab = b->setup.vocab, .image_rows = b->image_rows};
    struct sample sample = {.id = (uint64_t)index, .has_image = b->image_rows > 0};
    if (sample.has_image) {
        token_list_append(&sample.ids, IMAGE_TOKEN_ID);
        token_list_append(&sample.labels, IGNORE_LABEL);
    }
    for (int64_t place = b->image_rows; place < size->tokens; place++) {
        const int32_t word = word_at((uint64_t)index, (uint64_t)place, (uint64_t)b->setup.vocab);
        token_list_append(&sample.ids, word);
        token_list_append(&sample.labels,
                          place >= size->tokens - size->targets ? word : IGNORE_LABEL);
    }
    const enum status status = sample_rows_create(rows_out, &sample, &options);
    token_list_release(&sample.ids);
    token_list_release(&sample.labels);
    return status;
}

/* Micro-batch `m` of the plan. */
static enum status make_micro(struct micro_batch **micro_out, const struct bench *b, int64_t m)
{
    enum status status = OK;
    const struct pack_plan *plan = &b->plan;
    const struct micro_batch_options options = {.config = &b->config,
                                                .target_weight = 1 / (double)plan->n_targets};
    const int64_t first = plan->first[m], n = plan->first[m + 1] - first;
    struct sample_rows *rows = memory_new((size_t)n, sizeof *rows);
    uint64_t *ids = memory_new((size_t)n, sizeof *ids);
    for (int64_t i = 0; i < n; i++) {
        ids[i] = (uint64_t)plan->slot[first + i];
        TRY(make_rows(&rows[i], b, plan->slot[first + i]));
    }
    TRY(micro_batch_create(micro_out, rows, ids, n, &options));
    for (int64_t i = 0; i < n && b->pixels != NULL; i++)
        memcpy(micro_batch_pixels(*micro_out, i), b->pixels,
               (size_t)(*micro_out)->pixels_per_image * sizeof *b->pixels);
out:
    for (int64_t i = 0; i < n; i++) sample_rows_release(&rows[i]);
    free(rows);
    free(ids);
    return status;
}

/* Those of this rank, for one step. */
static enum status make_ready(struct bench *b)
{
    enum status status = OK;
    if (b->ready == NULL) b->ready = memory_new((size_t)b->plan.n_micro, sizeof(void *));
    b->next = b->n_ready = 0;
    for (int64_t m = 0; m < b->plan.n_micro; m++) {
        if (b->plan.rank[m] != b->mesh.dp_rank) continue;
        TRY(make_micro(&b->ready[b->n_ready], b, m));
        b->n_ready++;
    }
out:
    return status;
}

static enum status next_micro(void *context, struct micro_batch **micro_out)
{
    struct bench *b = context;
    *micro_out = b->ready[b->next++];
    return OK;
}

static void release_ready(struct bench *b)
{
    for (; b->next < b->n_ready; b->next++) micro_batch_destroy(b->ready[b->next]);
    free(b->ready);
}

/* ---- the model ---- */

/* Room for this rank's largest micro-batch. */
static struct model_limits limits_of(const struct bench *b)
{
    struct model_limits most = {1, 1, 1, 1, 1};
    for (int64_t m = 0; m < b->plan.n_micro; m++) {
        const int64_t n = b->plan.first[m + 1] - b->plan.first[m];
        int64_t tokens = 0;
        if (b->plan.rank[m] != b->mesh.dp_rank) continue;
        for (int64_t i = 0; i < n; i++)
            tokens += b->sizes[b->plan.slot[b->plan.first[m] + i]].tokens;
        if (n > most.max_sequences) most.max_sequences = n;
        if (b->image_rows > 0 && n > most.max_images) most.max_images = n;
        if (tokens > most.max_tokens) most.max_tokens = tokens;
        if (b->plan.targets[m] > most.max_targets) most.max_targets = b->plan.targets[m];
    }
    return most;
}

static enum status write_weights(struct bench *b)
{
    const struct parameter_table *table = model_parameters(b->model);
    struct safetensor_source *sources = memory_new((size_t)table->n_parameters, sizeof *sources);
    int64_t n = 0;
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *p = &table->parameters[i];
        if (p->module != MODULE_LM) continue;
        sources[n] = (struct safetensor_source){
            .name = p->name, .n_dims = p->n_dims, .data = model_weights(b->model) + p->offset};
        memcpy(sources[n++].dims, p->dims, sizeof p->dims);
    }
    const enum status status =
        safetensors_write_folder(b->setup.write, sources, n, DTYPE_F32, UINT64_C(1) << 40);
    free(sources);
    return status;
}

/* As a training run's (run_setup.h, attention_choice.h, product_choice.h). */
static enum status tune(struct bench *b, const struct model_options *options)
{
    enum status status = OK;
    struct run_config config = {0};
    const struct run_model model = {
        .config = b->config, .options = *options, .kernels = b->kernels, .stream = b->stream};
    config.data.max_tokens = options->limits.max_tokens;
    for (int64_t i = 0; i < b->setup.samples; i++)
        if (b->sizes[i].tokens > config.data.max_length)
            config.data.max_length = b->sizes[i].tokens;
    config.train.attention = CONFIG_ATTENTION_AUTO;
    config.train.products = CONFIG_PRODUCTS_TIMED;
    config.train.deterministic = true;
    TRY(attention_choose(b->comm, &model, &config));
    TRY(products_choose(b->comm, &model, &config));
out:
    return status;
}

/* AdamW, rate 1e-4, clipping at 1: as pytorch_step.py has it. */
static enum status make_model(struct bench *b)
{
    enum status status = OK;
    const bool on_gpu = b->device != NULL;
    struct model_options options = {.limits = limits_of(b),
                                    .backward = true,
                                    .recompute = b->setup.recompute != 0,
                                    .updates_on_gpu = on_gpu};
    const struct kernels *update = kernels_in(b->kernels, DTYPE_F32);
    const struct exchange_options exchange = {.mesh = &b->mesh,
                                              .kernels = on_gpu ? b->kernels : &kernels_cpu,
                                              .overlap = true,
                                              .gpu = on_gpu ? b->stream : NULL,
                                              .device = b->device};
    struct optimizer_options adamw = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .clip_norm = 1};
    memcpy(options.trainable, b->trains, sizeof b->trains);
    for (int m = 0; m < N_MODULES; m++) adamw.lr[m] = b->trains[m] ? 1e-4 : 0;
    TRY(model_create(&b->model, &b->config, &options, b->kernels, b->stream));
    parameters_fill(model_weights(b->model), model_parameters(b->model), 1);
    if (on_gpu) TRY(tune(b, &options));
    TRY(exchange_create(&b->exchange, b->model, &exchange));
    TRY(optimizer_create(&b->optimizer, model_parameters(b->model), exchange_buckets(b->exchange),
                         &adamw, update, b->stream));
    if (b->setup.write != NULL) TRY(write_weights(b));
out:
    return status;
}

/* Where it computes. */
static enum status open_device(struct bench *b)
{
    enum status status = OK;
    TRY(stream_create(&b->host_stream, bench_threads()));
    b->stream = b->host_stream;
    b->kernels = &kernels_cpu;
    if (b->setup.gpu == 0) goto out;
    b->kernels = kernels_find("cuda-bf16");
    if (b->kernels == NULL)
        FAIL(ERR_UNSUPPORTED, "gpu=1, but this was built without CUDA; rebuild with make CUDA=1");
    TRY(device_open(&b->device, "cuda", 0));
    b->stream = NULL;
    TRY(device_stream(b->device, &b->stream, 1));
out:
    return status;
}

/* ---- steps ---- */

static double seconds_of(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Of the steps that count. */
static int64_t tenth(const struct bench *b)
{
    return b->setup.steps < 10 ? 1 : b->setup.steps / 10;
}

static double mean_of(const double *values, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += values[i];
    return sum / (double)n;
}

/* The fastest step counts; processor time is that of all ranks. */
static enum status take_steps(struct bench *b)
{
    enum status status = OK;
    const struct schedule schedule = {.total_steps = MAX_STEPS, .constant = true};
    const struct train_parts parts = {b->comm,      &b->mesh, b->exchange,
                                      b->optimizer, b->model, &schedule};
    for (int64_t step = 0; step < b->setup.warm + b->setup.steps; step++) {
        struct train_result result;
        struct train_input input = {.step = step, .next = next_micro, .context = b};
        TRY(make_ready(b));
        input.n_micro = b->n_ready;
        TRY(comm_barrier(b->comm));
        const double wall = seconds_of(CLOCK_MONOTONIC);
        double processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
        TRY(train_step(&parts, &input, &result));
        const double took = seconds_of(CLOCK_MONOTONIC) - wall;
        processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - processor;
        TRY(comm_sum_double(b->comm, &processor, 1));
        b->loss[step] = result.loss;
        b->took[step] = took;
        if (step == 0) b->first = seconds_of(CLOCK_MONOTONIC) - b->began;
        if (step == b->setup.warm + tenth(b) - 1) b->early_mib = bench_resident_mib();
        if (step < b->setup.warm) continue;
        if (step == b->setup.warm || took < b->wall) b->wall = took;
        if (step == b->setup.warm || processor < b->processor) b->processor = processor;
    }
    TRY(stream_wait(b->stream)); /* the last step's update */
    b->late_mib = bench_resident_mib();
out:
    return status;
}

/* Multiplications and additions of a step: 6 for each weight and row, 6 L H for each row and row
 * before it; where samples are equal this is what tables of MFU count. */
static double flops_of(const struct bench *b)
{
    const struct setup *s = &b->setup;
    double pairs = 0;
    for (int64_t i = 0; i < s->samples; i++)
        pairs += (double)b->sizes[i].tokens * (double)b->sizes[i].tokens;
    return 6 * (double)parameter_count(model_parameters(b->model), MODULE_LM) *
               (double)b->plan.n_tokens +
           6 * (double)(s->layers * s->hidden) * pairs;
}

static void report(const struct bench *b, double sgemm)
{
    const struct setup *s = &b->setup;
    const double rate = 1e-9 * flops_of(b) / b->wall;
    if (s->json != 0) {
        printf("{\"wall\": %.6g, \"processor\": %.6g, \"tokens\": %lld, \"gflops\": %.6g, "
               "\"sgemm\": %.6g, \"resident_mib\": %.6g, \"before_mib\": %.6g, ",
               b->wall, b->processor, (long long)b->plan.n_tokens, rate, sgemm,
               bench_resident_mib(), b->before_mib);
        const double *end = b->took + s->warm + s->steps;
        printf("\"first_s\": %.6g, \"early_s\": %.6g, \"late_s\": %.6g, \"grown_mib\": %.6g, "
               "\"weights\": %lld, \"steps\": %lld, \"loss\": [",
               b->first, mean_of(b->took + s->warm, tenth(b)), mean_of(end - tenth(b), tenth(b)),
               b->late_mib - b->early_mib,
               (long long)parameter_count(model_parameters(b->model), MODULE_LM),
               (long long)s->steps);
        for (int64_t i = 0; i < s->warm + s->steps; i++)
            printf("%s%.9g", i > 0 ? ", " : "", b->loss[i]);
        printf("], \"sizes\": [");
        for (int64_t i = 0; i < s->samples; i++)
            printf("%s[%lld, %lld]", i > 0 ? ", " : "", (long long)b->sizes[i].tokens,
                   (long long)b->sizes[i].targets);
        printf("]}\n");
        return;
    }
    char *size = text_format("%.1fM weights, %lld samples",
                             1e-6 * (double)parameter_count(model_parameters(b->model), MODULE_LM),
                             (long long)s->samples);
    if (s->gpu != 0)
        bench_row("language model's step, GPU", size, "%7.0f tokens/s %6.1f TFLOP/s, %.1f ms",
                  (double)b->plan.n_tokens / b->wall, 1e-3 * rate, 1e3 * b->wall);
    else
        bench_row("language model's step", size,
                  "%7.0f tokens/s %5.1f GFLOP/s = %.1f %% of sgemm; %.0f MiB at most",
                  (double)b->plan.n_tokens / b->wall, rate, 100 * rate / sgemm,
                  bench_resident_mib());
    free(size);
}

static enum status make_picture(struct bench *b)
{
    enum status status = OK;
    const int64_t side = b->setup.image, image_side = level_side(side, IMAGE_LEVEL);
    if (side == 0) goto out;
    b->image_rows = image_side * image_side;
    if (side % 32 != 0 || b->image_rows >= b->setup.length)
        FAIL(ERR_ARGUMENT,
             "image=%lld: a picture's side must be a multiple of 32, and its %lld rows fewer than "
             "length=%lld",
             (long long)side, (long long)b->image_rows, (long long)b->setup.length);
    b->pixels = bench_tower_pixels(1, side);
out:
    return status;
}

static enum status run(struct bench *b)
{
    enum status status = OK;
    const struct setup *s = &b->setup;
    const struct bench_tower none = {.width = 1, .outer = 1, .inner = 1};
    b->config = bench_tower_config(s->image > 0 ? &s->tower : &none, s->image > 0 ? s->image : 32);
    b->config.lm = (struct lm_config){s->vocab,    s->hidden, s->ffn, s->layers, s->heads,
                                      s->kv_heads, 8192,      1e-6,   1e6,       true};
    b->trains[MODULE_LM] = true;
    b->trains[MODULE_PROJECTOR] = s->image > 0;
    b->trains[MODULE_TOWER] = s->image > 0 && s->frozen == 0;
    TRY(make_picture(b));
    TRY(comm_create(&b->comm, NULL));
    TRY(mesh_init(&b->mesh, b->comm, &(struct mesh_options){.tp = 1}));
    TRY(open_device(b));
    b->before_mib = bench_resident_mib();
    make_sizes(b);
    TRY(make_plan(b));
    TRY(make_model(b));
    TRY(take_steps(b));
    double sgemm = bench_sgemm_gflops(b->host_stream);
    TRY(comm_sum_double(b->comm, &sgemm, 1));
    if (comm_rank(b->comm) == 0) report(b, sgemm);
out:
    return status;
}

static int64_t number_of(const char *text, int64_t before, const char *name)
{
    const size_t n = strlen(name);
    return strncmp(text, name, n) == 0 ? strtoll(text + n, NULL, 10) : before;
}

static struct setup setup_of(int argc, char **argv)
{
    struct setup s = {.layers = 8,
                      .hidden = 512,
                      .heads = 8,
                      .kv_heads = 2,
                      .ffn = 1408,
                      .vocab = 8192,
                      .samples = 4,
                      .length = 512,
                      .tokens = 2048,
                      .steps = 3,
                      .warm = 1,
                      .tower = BENCH_TOWER_LARGE};
    for (int i = 1; i < argc; i++) {
        const char *text = argv[i];
        s.samples = number_of(text, s.samples, "samples=");
        s.length = number_of(text, s.length, "length=");
        s.tokens = number_of(text, s.tokens, "tokens=");
        s.steps = number_of(text, s.steps, "steps=");
        s.warm = number_of(text, s.warm, "warm=");
        s.json = number_of(text, s.json, "json=");
        s.gpu = number_of(text, s.gpu, "gpu=");
        s.recompute = number_of(text, s.recompute, "recompute=");
        if (strncmp(text, "write=", 6) == 0) s.write = text + 6;
        s.image = number_of(text, s.image, "image=");
        s.frozen = number_of(text, s.frozen, "frozen=");
        bench_tower_read(&s.tower, text);
        long long n[6];
        if (sscanf(text, "shape=%lld,%lld,%lld,%lld,%lld,%lld", n, n + 1, n + 2, n + 3, n + 4,
                   n + 5) == 6) {
            s.layers = n[0];
            s.hidden = n[1];
            s.heads = n[2];
            s.kv_heads = n[3];
            s.ffn = n[4];
            s.vocab = n[5];
        }
    }
    if (s.steps + s.warm > MAX_STEPS) s.steps = MAX_STEPS - s.warm;
    return s;
}

int main(int argc, char **argv)
{
    struct bench b = {.setup = setup_of(argc, argv), .began = seconds_of(CLOCK_MONOTONIC)};
    const enum status status = run(&b);
    if (status != OK) fprintf(stderr, "error: %s\n", status_message());
    optimizer_destroy(b.optimizer);
    exchange_destroy(b.exchange);
    model_destroy(b.model);
    if (b.stream != b.host_stream) stream_destroy(b.stream);
    stream_destroy(b.host_stream);
    device_close(b.device);
    release_ready(&b);
    pack_plan_release(&b.plan);
    free(b.pixels);
    free(b.sizes);
    mesh_release(&b.mesh);
    comm_destroy(b.comm);
    return status == OK ? 0 : 1;
}
