/* Random global batches through whole steps on a mesh: 0 to 5 micro-batches dealt at random, so
 * that ranks have nothing to do; with and without pictures; 0 to 99 regions; samples of one token;
 * micro-batches without targets. Nothing hangs, and every step's loss and norm are those of one
 * rank.
 *
 * `mesh_fuzz_test N` takes N steps on each mesh instead of the short number. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text_buffer.h"
#include "device/stream.h"
#include "parallel/tensor_parallel.h"
#include "support/drawn_micro.h"
#include "support/mpi_run.h"
#include "train/train_step.h"

#define SHORT_STEPS 60

static const char *self;
static int64_t n_steps = SHORT_STEPS;

/* ---- what each rank does ---- */

struct fuzz {
    struct comm *comm;
    struct mesh mesh;
    struct model_config config;
    int64_t step;
    int64_t next, n_micro; /* of the step */
};

static uint64_t key_of(const struct fuzz *fuzz, int64_t micro)
{
    return (uint64_t)(fuzz->step * 8 + micro);
}

static int64_t count_micros(const struct fuzz *fuzz)
{
    const int64_t n = drawn_number(key_of(fuzz, 7), 0, 6);
    return n == 0 ? 1 : n;
}

static int dp_rank_of(const struct fuzz *fuzz, int64_t micro)
{
    return (int)drawn_number(key_of(fuzz, micro), 1, fuzz->mesh.dp_size);
}

static enum status next_micro(void *context, struct micro_batch **micro_out)
{
    struct fuzz *fuzz = context;
    static const struct drawn_options options = {.target_weight = 0.01};
    while (dp_rank_of(fuzz, fuzz->next) != fuzz->mesh.dp_rank) fuzz->next++;
    const uint64_t key = key_of(fuzz, fuzz->next);
    /* A step without any target is an error, and tested as one elsewhere. */
    return drawn_micro(micro_out, &fuzz->config, &key, 1, fuzz->next++ == 0, &options);
}

static enum status run_steps(struct fuzz *fuzz, const struct train_parts *parts, int64_t steps)
{
    enum status status = OK;
    for (fuzz->step = 0; fuzz->step < steps; fuzz->step++) {
        struct train_result result;
        struct train_input input = {.step = fuzz->step, .next = next_micro, .context = fuzz};
        fuzz->next = 0;
        fuzz->n_micro = count_micros(fuzz);
        for (int64_t m = 0; m < fuzz->n_micro; m++)
            input.n_micro += dp_rank_of(fuzz, m) == fuzz->mesh.dp_rank;
        TRY(train_step(parts, &input, &result));
        if (comm_rank(fuzz->comm) == 0) printf("%.17g %.17g\n", result.loss, result.gradient_norm);
    }
out:
    return status;
}

static enum status work_steps(struct fuzz *fuzz, int tp, const char *way, int64_t steps)
{
    enum status status = OK;
    static const struct schedule schedule = {.total_steps = 1 << 20, .constant = true};
    static struct stream stream; /* the caller's thread alone */
    struct model *model = NULL;
    struct gradient_exchange *exchange = NULL;
    struct optimizer *optimizer = NULL;
    struct model_options options = tiny_options();
    const struct optimizer_options adamw = {
        .lr = {1e-5, 1e-5, 1e-5, 1e-5}, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-6, .clip_norm = 1};
    options.limits =
        (struct model_limits){1, DRAWN_MAX_REGIONS, 1, DRAWN_MAX_TOKENS, DRAWN_MAX_TOKENS};
    fuzz->config = tiny_config();
    fuzz->config.lm.max_positions = DRAWN_MAX_TOKENS;
    TRY(mesh_init(&fuzz->mesh, fuzz->comm, &(struct mesh_options){.tp = tp}));
    const bool sequence = strstr(way, "sequence") != NULL, shards = strstr(way, "shards") != NULL;
    const struct model_share share = tensor_parallel_share(fuzz->mesh.tp, sequence);
    options.gradient_windows = shards ? EXCHANGE_WINDOWS : 0;
    if (tp > 1) options.share = &share;
    TRY(model_create(&model, &fuzz->config, &options, &kernels_cpu, &stream));
    parameters_fill(model_weights(model), model_parameters(model), 77);
    const struct exchange_options exchanges = {.mesh = &fuzz->mesh,
                                               .kernels = &kernels_cpu,
                                               .bucket_elements = 3000,
                                               .overlap = true,
                                               .shard_gradients = shards};
    TRY(exchange_create(&exchange, model, &exchanges));
    TRY(optimizer_create(&optimizer, model_parameters(model), exchange_buckets(exchange), &adamw,
                         &kernels_cpu, &stream));
    const struct train_parts parts = {fuzz->comm, &fuzz->mesh, exchange,
                                      optimizer,  model,       &schedule};
    TRY(run_steps(fuzz, &parts, steps));
out:
    optimizer_destroy(optimizer);
    exchange_destroy(exchange);
    model_destroy(model);
    mesh_release(&fuzz->mesh);
    return status;
}

static int work(const char *tp, const char *way, const char *steps)
{
    struct fuzz fuzz = {0};
    enum status status = comm_create(&fuzz.comm, &(struct comm_options){.timeout_seconds = 60});
    if (status == OK)
        status = work_steps(&fuzz, (int)strtol(tp, NULL, 10), way, strtol(steps, NULL, 10));
    if (status != OK) fprintf(stderr, "error: %s\n", status_message());
    comm_destroy(fuzz.comm);
    return status == OK ? 0 : 1;
}

/* ---- what is expected of them ---- */

static char *run_mesh(int ranks, int tp, const char *way)
{
    char *arguments = text_format("work %d %s %lld", tp, way, (long long)n_steps);
    struct mpi_run run = mpi_run(ranks, self, arguments, 60 + (int)n_steps / 2);
    if (run.exit_code != 0) print_message("%s\n", run.output);
    assert_int_equal(run.exit_code, 0);
    free(arguments);
    return run.output;
}

/* `limit`: relative; rounding of one step, and what the weights have drifted apart since. */
static void compare(const char *one, const char *other, int ranks, int tp)
{
    const double limit = 1e-4;
    char *a = (char *)(uintptr_t)one, *b = (char *)(uintptr_t)other;
    double worst = 0;
    for (int64_t i = 0; i < 2 * n_steps; i++) {
        char *before = a;
        const double x = strtod(a, &a), y = strtod(b, &b);
        if (a == before) fail_msg("only %lld numbers", (long long)i);
        const double difference = fabs(x - y) / (fabs(x) + 1e-12);
        if (!(difference <= limit))
            fail_msg("np %d tp %d, step %lld: %.9g instead of %.9g", ranks, tp, (long long)(i / 2),
                     y, x);
        worst = difference > worst ? difference : worst;
    }
    print_message("np %d tp %d: %lld steps, worst difference %.1e\n", ranks, tp, (long long)n_steps,
                  worst);
}

static void test_random_batches(void **state)
{
    (void)state;
    char *one = run_mesh(1, 1, "whole");
    const struct {
        int ranks, tp;
        const char *way;
    } meshes[] = {{4, 2, "sequence"}, {4, 1, "shards"}, {4, 2, "shards"}};
    for (size_t m = 0; m < sizeof meshes / sizeof meshes[0]; m++) {
        char *other = run_mesh(meshes[m].ranks, meshes[m].tp, meshes[m].way);
        compare(one, other, meshes[m].ranks, meshes[m].tp);
        free(other);
    }
    free(one);
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc == 5 && strcmp(argv[1], "work") == 0) return work(argv[2], argv[3], argv[4]);
    if (argc == 2) n_steps = strtol(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_batches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
