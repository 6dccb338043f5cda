/* Kernels and messages against the clock. */
#include "plan/calibrate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "device/stream.h"
#include "kernels.h"
#include "train/peak_rate.h"

#define ROWS          512 /* of the products, tokens of the sequence */
#define MAX_WIDTH     4096
#define SECONDS       0.15 /* for each rate */
#define PEAK_SIDE     2048
#define COPY_FLOATS   ((int64_t)1 << 24)
#define LARGE_MESSAGE ((int64_t)1 << 22) /* floats */
#define ROUNDS        20

struct bench {
    const struct kernels *kernels;
    struct stream *stream;
    const struct model_config *config;
    struct arena arena;
    float *a, *b, *c;
    int64_t d, f; /* of the language model, bounded */
};

/* Calls `work` until the time is over: FLOP or bytes of one call, per second. */
static enum status rate_of(double *rate_out, struct bench *bench,
                           enum status (*work)(struct bench *), double amount)
{
    enum status status = OK;
    int64_t n = 0;
    TRY(work(bench)); /* warm */
    const double start = monotonic_seconds();
    double now = start;
    for (; now - start < SECONDS; n++) {
        TRY(work(bench));
        TRY(stream_wait(bench->stream));
        now = monotonic_seconds();
    }
    *rate_out = amount * (double)n / (now - start);
out:
    return status;
}

/* Forward, gradient of the inputs, gradient of the weights: [ROWS, D] to [ROWS, F]. */
static enum status products(struct bench *bench)
{
    enum status status = OK;
    const struct kernels *k = bench->kernels;
    const int64_t d = bench->d, f = bench->f;
    TRY(k->linear_forward(bench->c, bench->a, bench->b, NULL, ROWS, f, d, bench->stream));
    TRY(k->linear_backward_input(bench->a, bench->c, bench->b, ROWS, f, d, 0, bench->stream));
    TRY(k->linear_backward_weight(bench->b, NULL, bench->c, bench->a, ROWS, f, d, bench->stream));
    memset(bench->b, 0, (size_t)(f * d) * sizeof(float)); /* it would grow */
out:
    return status;
}

struct heads {
    int64_t n, kv, size;
};

static struct heads heads_of(const struct bench *bench)
{
    const struct lm_config *lm = &bench->config->lm;
    return (struct heads){lm->heads, lm->kv_heads, lm->hidden / lm->heads};
}

static const int32_t one_sequence[2] = {0, ROWS};

static enum status attend(struct bench *bench)
{
    const struct heads h = heads_of(bench);
    float *lse = bench->c + ROWS * h.n * h.size;
    void *workspace = lse + h.n * ROWS;
    return bench->kernels->attention_forward(bench->c, lse, bench->a, one_sequence, 1, ROWS, h.n,
                                             h.kv, h.size, 0.1, workspace, bench->stream);
}

static enum status attend_back(struct bench *bench)
{
    const struct heads h = heads_of(bench);
    float *lse = bench->c + ROWS * h.n * h.size;
    void *workspace = lse + h.n * ROWS;
    return bench->kernels->attention_backward(bench->b, bench->c, bench->c, lse, bench->a,
                                              one_sequence, 1, ROWS, h.n, h.kv, h.size, 0.1,
                                              workspace, bench->stream);
}

/* A block of the level that has most of them: depthwise, up, down; forward. */
static enum status blocks(struct bench *bench)
{
    enum status status = OK;
    const struct kernels *k = bench->kernels;
    const int64_t y = level_side(bench->config->image_height, IMAGE_LEVEL);
    const int64_t x = level_side(bench->config->image_width, IMAGE_LEVEL);
    const int64_t c = bench->config->vision.dims[IMAGE_LEVEL], rows = y * x;
    float *wide = bench->c, *out = bench->c + rows * 4 * c;
    TRY(k->depthwise7_forward(out, bench->a, bench->b, bench->b, 1, y, x, c, out + rows * c,
                              bench->stream));
    TRY(k->linear_forward(wide, out, bench->b, NULL, rows, 4 * c, c, bench->stream));
    TRY(k->gelu_forward(wide, wide, rows * 4 * c, bench->stream));
    TRY(k->linear_forward(out, wide, bench->b, NULL, rows, c, 4 * c, bench->stream));
out:
    return status;
}

static enum status copies(struct bench *bench)
{
    return bench->kernels->add(bench->a, bench->b, COPY_FLOATS, bench->stream);
}

/* Enough for each of the above. */
static enum status take(struct bench *bench)
{
    enum status status = OK;
    const struct heads h = heads_of(bench);
    const int64_t y = level_side(bench->config->image_height, IMAGE_LEVEL);
    const int64_t x = level_side(bench->config->image_width, IMAGE_LEVEL);
    const int64_t c = bench->config->vision.dims[IMAGE_LEVEL];
    size_t n = (size_t)(ROWS * bench->f + bench->f * bench->d + COPY_FLOATS);
    n += (size_t)(ROWS * (h.n + 2 * h.kv) * h.size + (h.n + 1) * ROWS + 8 * c * c);
    n += (size_t)(y * x * 6 * c) +
         bench->kernels->attention_workspace(ROWS, h.n, h.kv, h.size) / sizeof(float) +
         bench->kernels->depthwise7_workspace(1, y, x, c) / sizeof(float);
    TRY(arena_init(&bench->arena, 3 * size_multiply(n, sizeof(float)) + 3 * ARENA_ALIGNMENT));
    bench->a = arena_take(&bench->arena, n * sizeof(float));
    bench->b = arena_take(&bench->arena, n * sizeof(float));
    bench->c = arena_take(&bench->arena, n * sizeof(float));
    memset(bench->arena.base, 0, bench->arena.capacity);
out:
    return status;
}

static enum status measure_kernels(struct machine_rates *rates, struct bench *bench)
{
    enum status status = OK;
    const struct heads h = heads_of(bench);
    const double width = (double)(h.n * h.size);
    const double pairs = ROWS * (ROWS + 1.0) / 2;
    const double cells = (double)(level_side(bench->config->image_height, IMAGE_LEVEL) *
                                  level_side(bench->config->image_width, IMAGE_LEVEL));
    const double c = (double)bench->config->vision.dims[IMAGE_LEVEL];
    TRY(rate_of(&rates->matrix, bench, products, 6.0 * ROWS * (double)bench->d * (double)bench->f));
    TRY(rate_of(&rates->attention_forward, bench, attend, 4 * width * pairs));
    TRY(rate_of(&rates->attention_backward, bench, attend_back, 8 * width * pairs));
    TRY(rate_of(&rates->vision, bench, blocks, 2 * cells * (49 * c + 8 * c * c)));
    TRY(rate_of(&rates->copy, bench, copies, 12.0 * (double)COPY_FLOATS));
    TRY(peak_rate_measure(&rates->peak, bench->kernels, bench->stream, PEAK_SIDE, SECONDS));
out:
    return status;
}

/* Collective. From a sum of one number, and one of many. */
static enum status measure_messages(struct machine_rates *rates, struct comm *comm, float *large)
{
    enum status status = OK;
    const int size = comm_size(comm);
    if (size == 1) goto out;
    TRY(comm_barrier(comm));
    double start = monotonic_seconds();
    for (int i = 0; i < ROUNDS; i++) TRY(comm_sum_float(comm, large, 1));
    const double small = (monotonic_seconds() - start) / ROUNDS;
    start = monotonic_seconds();
    for (int i = 0; i < 3; i++) TRY(comm_sum_float(comm, large, LARGE_MESSAGE));
    const double whole = (monotonic_seconds() - start) / 3;
    const double wire = 8.0 * (double)LARGE_MESSAGE * (size - 1) / size;
    rates->near.latency = small / (2 * ceil(log2((double)size)));
    rates->near.bytes = wire / (whole > small ? whole - small : whole);
    rates->ranks_per_machine = size;
out:
    return status;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

enum status rates_measure(struct machine_rates *rates_out, const struct run_model *model,
                          struct comm *comm)
{
    enum status status = OK;
    struct machine_rates rates;
    struct bench bench = {.kernels = model->kernels,
                          .stream = model->stream,
                          .config = &model->config,
                          .d = least(model->config.lm.hidden, MAX_WIDTH),
                          .f = least(model->config.lm.ffn, MAX_WIDTH)};
    TRY(rates_find(&rates, "cpu"));
    snprintf(rates.name, sizeof rates.name, "this machine");
    status = take(&bench);
    if (status == OK) status = measure_kernels(&rates, &bench);
    TRY(comm_agree(comm, status));
    TRY(measure_messages(&rates, comm, bench.a));
    *rates_out = rates;
out:
    arena_release(&bench.arena);
    return status;
}
