/* Verdicts on single numbers; then on three ranks: a NaN in one rank's loss makes all skip the step
 * with weights, moments and their count untouched, as if it had never been; a rank that is slow is
 * named, with where its time goes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/assertion.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "device/stream.h"
#include "kernels.h"
#include "parallel/replica.h"
#include "support/mpi_run.h"
#include "support/tiny_robin.h"
#include "train/straggler.h"
#include "train/train_step.h"

static const char *self;

static void test_verdicts(void **state)
{
    (void)state;
    struct run_means means = {0};
    assert_int_equal(step_verdict(NULL, 2, 1e30, 1e30), STEP_TAKEN);
    assert_int_equal(step_verdict(NULL, 0, NAN, 1), STEP_LOSS_NOT_FINITE);
    assert_int_equal(step_verdict(NULL, 0, INFINITY, NAN), STEP_LOSS_NOT_FINITE);
    assert_int_equal(step_verdict(NULL, 0, 1, -INFINITY), STEP_GRADIENT_NOT_FINITE);
    for (int i = 0; i < STEP_VERDICT_GRACE; i++) {
        assert_int_equal(step_verdict(&means, 3, 1e9, 1e9), STEP_TAKEN); /* too early to say */
        run_means_add(&means, i % 2 ? 1.5 : 2.5, i % 2 ? 5 : 3);
    }
    assert_true(fabs(means.loss - 2) < 1e-12 && fabs(means.norm - 4) < 1e-12);
    assert_int_equal(step_verdict(&means, 3, 5.99, 11.99), STEP_TAKEN);
    assert_int_equal(step_verdict(&means, 3, 6.01, 11.99), STEP_LOSS_SPIKES);
    assert_int_equal(step_verdict(&means, 3, 5.99, 12.01), STEP_GRADIENT_SPIKES);
    assert_int_equal(step_verdict(&means, 3, NAN, 0), STEP_LOSS_NOT_FINITE);
    assert_int_equal(step_verdict(&means, 0, 1e9, 1e9), STEP_TAKEN);
    for (int i = 0; i < 2000; i++) run_means_add(&means, 7, 1);
    assert_true(fabs(means.loss - 7) < 1e-6 && fabs(means.norm - 1) < 1e-6); /* the old ones fade */
}

/* ---- on ranks ---- */

struct ranked {
    struct comm *comm;
    struct model_config config;
    struct model *model;
    struct mesh mesh;
    struct gradient_exchange *exchange;
    struct optimizer *optimizer;
    int64_t step;
    bool poisoned; /* this step, rank 1 */
    double nap;    /* seconds, before each micro-batch */
};

static enum status next_micro(void *context, struct micro_batch **micro_out)
{
    enum status status = OK;
    const struct ranked *ranked = context;
    const struct random_stream words = random_stream((uint64_t)ranked->step, "words");
    const uint64_t id = (uint64_t)comm_rank(ranked->comm);
    const struct micro_batch_options options = {
        .config = &ranked->config, .target_weight = ranked->poisoned ? NAN : 0.1, .step = 0};
    const struct sample_rows_options rows_options = {
        .mask_id = TINY_MASK_ID, .vocab = ranked->config.lm.vocab, .image_rows = 12};
    struct sample sample = {0};
    struct sample_rows rows = {0};
    for (uint64_t i = 0; i < 8; i++) {
        const int32_t word = (int32_t)random_below(words, id * 8 + i, 50);
        token_list_append(&sample.ids, word);
        token_list_append(&sample.labels, word);
    }
    TRY(sample_rows_create(&rows, &sample, &rows_options));
    TRY(micro_batch_create(micro_out, &rows, &id, 1, &options));
    const struct timespec nap = {.tv_nsec = (long)(ranked->nap * 1e9)};
    nanosleep(&nap, NULL);
out:
    sample_rows_release(&rows);
    sample_release(&sample);
    return status;
}

static enum status take_step(struct ranked *ranked, struct train_result *result)
{
    static const struct schedule schedule = {.total_steps = 100, .constant = true};
    const struct train_parts parts = {.comm = ranked->comm,
                                      .mesh = &ranked->mesh,
                                      .exchange = ranked->exchange,
                                      .optimizer = ranked->optimizer,
                                      .model = ranked->model,
                                      .schedule = &schedule};
    const uint64_t ids[] = {0, 1, 2};
    const struct train_input input = {.step = ranked->step,
                                      .sample_ids = ids,
                                      .n_samples = 3,
                                      .n_micro = 1,
                                      .next = next_micro,
                                      .context = ranked};
    return train_step(&parts, &input, result);
}

/* Weights, and this rank's shards of the moments. */
static uint64_t state_hash(const struct ranked *ranked)
{
    const struct parameter_table *table = model_parameters(ranked->model);
    const size_t n_gradients = (size_t)table->n_gradient_elements;
    float *first = memory_new(n_gradients, sizeof *first);
    float *second = memory_new(n_gradients, sizeof *second);
    ASSERT(exchange_settle(ranked->exchange) == OK, "%s", status_message());
    optimizer_get_state(ranked->optimizer, OPTIMIZER_FIRST_MOMENT, first);
    optimizer_get_state(ranked->optimizer, OPTIMIZER_SECOND_MOMENT, second);
    const uint64_t hash =
        hash_fnv1a(model_weights(ranked->model), (size_t)table->n_weight_elements * sizeof(float)) ^
        hash_mix64(hash_fnv1a(first, n_gradients * sizeof *first)) ^
        hash_mix64(3 * hash_fnv1a(second, n_gradients * sizeof *second)) ^
        (uint64_t)optimizer_steps_done(ranked->optimizer);
    free(second);
    free(first);
    return hash;
}

/* Steps 0, 1, 2, 3; with `poison` step 1 has a NaN on rank 1 alone. */
static enum status run_skipping(struct ranked *ranked, bool poison)
{
    enum status status = OK;
    for (ranked->step = 0; ranked->step < 4; ranked->step++) {
        struct train_result result;
        const bool bad = poison && ranked->step == 1;
        const uint64_t before = state_hash(ranked);
        ranked->poisoned = bad && comm_rank(ranked->comm) == 1;
        if (!poison && ranked->step == 1) continue;
        TRY(take_step(ranked, &result));
        if ((result.verdict == STEP_LOSS_NOT_FINITE) != bad ||
            (before == state_hash(ranked)) != bad)
            printf("rank %d step %d: verdict %s, state %s\n", comm_rank(ranked->comm),
                   (int)ranked->step, step_verdict_texts[result.verdict],
                   before == state_hash(ranked) ? "the same" : "another");
    }
    TRY(replica_check(ranked->comm, model_weights(ranked->model),
                      model_parameters(ranked->model)->n_weight_elements, "weights"));
    if (comm_rank(ranked->comm) == 0)
        printf("end %016llx\n", (unsigned long long)state_hash(ranked));
out:
    return status;
}

static enum status run_slow(struct ranked *ranked)
{
    enum status status = OK;
    struct straggler_times times = {0};
    struct straggler_found found;
    ranked->nap = comm_rank(ranked->comm) == 2 ? 0.9 : 0;
    for (ranked->step = 0; ranked->step < 2; ranked->step++) {
        struct train_result result;
        TRY(take_step(ranked, &result));
        straggler_add(&times, result.seconds);
    }
    TRY(straggler_compare(&times, &found, ranked->comm));
    const bool right = found.compared && found.rank == 2 && found.seconds[PHASE_DATA] >= 0.9 &&
                       found.busy > found.median && times.n_steps == 0;
    if (!right) printf("rank %d: found %d\n", comm_rank(ranked->comm), found.rank);
out:
    return status;
}

static enum status work(struct ranked *ranked, const char *what)
{
    enum status status = OK;
    struct stream *stream = NULL;
    const struct model_options options = tiny_options();
    const struct kernels *kernels = kernels_find("cpu");
    const struct optimizer_options adamw = {.lr = {1e-3, 1e-3, 1e-3, 1e-3},
                                            .beta1 = 0.9,
                                            .beta2 = 0.999,
                                            .eps = 1e-8,
                                            .weight_decay = 0.1};
    ranked->config = tiny_config();
    TRY(comm_create(&ranked->comm, NULL));
    TRY(stream_create(&stream, 1));
    ranked->model = tiny_model(&options);
    const struct exchange_options exchange = {
        .mesh = &ranked->mesh, .kernels = kernels, .overlap = true};
    TRY(mesh_init(&ranked->mesh, ranked->comm, &(struct mesh_options){.tp = 1}));
    TRY(exchange_create(&ranked->exchange, ranked->model, &exchange));
    TRY(optimizer_create(&ranked->optimizer, model_parameters(ranked->model),
                         exchange_buckets(ranked->exchange), &adamw, kernels, stream));
    TRY(strcmp(what, "slow") == 0 ? run_slow(ranked)
                                  : run_skipping(ranked, strcmp(what, "poison") == 0));
out:
    if (status != OK) fprintf(stderr, "error: %s\n", status_message());
    optimizer_destroy(ranked->optimizer);
    exchange_destroy(ranked->exchange);
    mesh_release(&ranked->mesh);
    model_destroy(ranked->model);
    stream_destroy(stream);
    comm_destroy(ranked->comm);
    return status;
}

static char *run_ranks(const char *what)
{
    char *arguments = text_format("work %s", what);
    struct mpi_run run = mpi_run(3, self, arguments, 120);
    free(arguments);
    if (run.exit_code != 0) print_message("%s\n", run.output);
    assert_int_equal(run.exit_code, 0);
    return run.output;
}

static void test_all_skip_together(void **state)
{
    (void)state;
    char *poisoned = run_ranks("poison"), *without = run_ranks("without");
    const char *end = strstr(poisoned, "end ");
    assert_null(strstr(poisoned, "verdict"));
    assert_null(strstr(without, "verdict"));
    assert_non_null(end);
    assert_non_null(strstr(without, "end "));
    assert_memory_equal(end, strstr(without, "end "), 20);
    assert_non_null(strstr(
        poisoned, "rank 1: step 2: the loss of the micro-batch with the samples 0000000000000001"));
    free(without);
    free(poisoned);
}

static void test_slow_rank_is_named(void **state)
{
    (void)state;
    char *output = run_ranks("slow");
    if (strstr(output, "warning: rank 2 (") == NULL || strstr(output, "found") != NULL)
        fail_msg("%s", output);
    assert_non_null(strstr(output, ") holds the others up: "));
    free(output);
}

int main(int argc, char **argv)
{
    self = argv[0];
    struct ranked ranked = {0};
    if (argc == 3 && strcmp(argv[1], "work") == 0) return work(&ranked, argv[2]) == OK ? 0 : 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_all_skip_together),
        cmocka_unit_test(test_slow_rank_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
