/* The network model against what src/comm counts: training steps on meshes of up to eight ranks,
 * whose every collective must be in the plan, by name, axis, number and bytes, and no other. Each
 * rank compares its own. */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "device/stream.h"
#include "kernels.h"
#include "parallel/tensor_parallel.h"
#include "plan/run_plan.h"
#include "support/mpi_run.h"
#include "train/run_saver.h"
#include "train/train_step.h"

#define TOKENS   24 /* 4 of them a picture's */
#define WORDS    20
#define N_MICRO  2 /* of each dp rank */
#define MAX_ROWS 64
#define ALIGNED  6144 /* bytes that a file of small tensors has between and behind them */

static const char *self;

struct ranked {
    struct comm *comm;
    struct mesh mesh;
    struct run_config config;
    struct model_config sizes;
    int n_wrong;
};

/* A picture, then words, all of them learnt. */
static enum status next_micro(void *context, struct micro_batch **micro_out)
{
    enum status status = OK;
    const struct ranked *ranked = context;
    const struct micro_batch_options options = {.config = &ranked->sizes, .target_weight = 0.01};
    const struct sample_rows_options rows_options = {
        .mask_id = -1, .vocab = ranked->sizes.lm.vocab, .image_rows = 4};
    const uint64_t id = 0;
    struct sample sample = {0};
    struct sample_rows rows = {0};
    sample.has_image = true;
    token_list_append(&sample.ids, IMAGE_TOKEN_ID);
    token_list_append(&sample.labels, IGNORE_LABEL);
    for (int32_t i = 0; i < WORDS; i++) {
        token_list_append(&sample.ids, i);
        token_list_append(&sample.labels, i);
    }
    TRY(sample_rows_create(&rows, &sample, &rows_options));
    TRY(micro_batch_create(micro_out, &rows, &id, 1, &options));
    memset(micro_batch_pixels(*micro_out, 0), 0, 32 * 32 * 3 * sizeof(float));
out:
    sample_rows_release(&rows);
    sample_release(&sample);
    return status;
}

static const struct plan_traffic *find_row(const struct run_plan *plan,
                                           const struct comm_count *count)
{
    for (int i = 0; i < plan->n_traffic; i++) {
        const struct plan_traffic *row = &plan->traffic[i];
        if (strcmp(row->what, count->what) == 0 && strcmp(row->axis, count->axis) == 0) return row;
    }
    return NULL;
}

static void complain(struct ranked *ranked, const struct comm_count *count,
                     const struct plan_traffic *row)
{
    ranked->n_wrong++;
    printf("rank %d: %s over %s, %s: counted %lld calls, %lld bytes; planned %.0f, %.0f (%s)\n",
           comm_rank(ranked->comm), count->what, count->axis, count->kind, (long long)count->calls,
           (long long)count->bytes, row != NULL ? row->calls : 0, row != NULL ? row->bytes : 0,
           row != NULL ? row->kind : "nothing");
}

static void compare(struct ranked *ranked, const struct run_plan *plan, int64_t steps)
{
    struct comm_count counts[MAX_ROWS];
    const int64_t n = comm_counts(ranked->comm, counts, MAX_ROWS);
    int found = 0;
    ASSERT(n <= MAX_ROWS, "%d rows of counts", (int)n);
    for (int64_t i = 0; i < n; i++) {
        const struct plan_traffic *row = find_row(plan, &counts[i]);
        if (counts[i].calls == 0) continue;
        found++;
        if (row == NULL || strcmp(row->kind, counts[i].kind) != 0 ||
            fabs(row->calls * (double)steps - (double)counts[i].calls) > 1e-9 ||
            fabs(row->bytes * (double)steps - (double)counts[i].bytes) > 1e-9)
            complain(ranked, &counts[i], row);
    }
    if (found != plan->n_traffic) {
        ranked->n_wrong++;
        printf("rank %d: %d kinds of collectives, %d planned\n", comm_rank(ranked->comm), found,
               plan->n_traffic);
    }
    if (comm_rank(ranked->comm) == 0) printf("compared %d\n", found);
}

static enum status make_plan(struct ranked *ranked, struct run_plan *plan)
{
    enum status status = OK;
    struct plan_options options = {
        .ranks = comm_size(ranked->comm),
        .rank = comm_rank(ranked->comm),
        .sample = {
            .tokens = TOKENS, .targets = WORDS, .images = 1, .pairs = TOKENS * (TOKENS + 1) / 2}};
    TRY(rates_find(&options.rates, "cpu"));
    TRY(run_plan_make(plan, &ranked->config, &options));
out:
    return status;
}

static enum status take_steps(struct ranked *ranked, const struct train_parts *parts,
                              const struct run_plan *plan)
{
    enum status status = OK;
    const int64_t steps = 2;
    for (int64_t step = -1; step < steps; step++) {
        const struct train_input input = {
            .step = step + 1, .n_micro = N_MICRO, .next = next_micro, .context = ranked};
        struct train_result result;
        TRY(train_step(parts, &input, &result));
        TRY(exchange_settle(parts->exchange));
        TRY(comm_barrier(ranked->comm));
        if (step < 0) comm_counts_reset(ranked->comm); /* the first may differ */
    }
    struct run_plan with_barriers = *plan; /* those above */
    if (comm_size(ranked->comm) > 1)
        with_barriers.traffic[with_barriers.n_traffic++] = (struct plan_traffic){
            .what = "barrier", .axis = "world", .kind = "barrier", .calls = 1};
    compare(ranked, &with_barriers, steps);
out:
    return status;
}

/* What checkpoints are written from, on the rank that saves most. */
static enum status check_copy(struct ranked *ranked, const struct train_parts *parts,
                              const struct run_plan *plan)
{
    enum status status = OK;
    struct run_saver *saver = NULL;
    json_t *about = json_object();
    const struct saver_options options = {
        .directory = "/nonexistent", .in_background = true, .io = SAVER_IO_PLAIN, .about = about};
    TRY(run_saver_create(&saver, parts, &options));
    int64_t taken = (int64_t)checkpoint_saver_memory(run_saver_files(saver));
    TRY(comm_max_int64(ranked->comm, &taken, 1));
    if (fabs(plan->memory.copy - (double)taken) > 0.02 * (double)taken + ALIGNED) {
        ranked->n_wrong++;
        printf("copy of the state: %.0f bytes planned, %" PRId64 " taken\n", plan->memory.copy,
               taken);
    }
out:
    run_saver_destroy(saver);
    json_decref(about);
    return status;
}

/* One mesh and one set of keys. */
static enum status check(struct ranked *ranked, const char *const *set, int n)
{
    enum status status = OK;
    static const struct schedule schedule = {.total_steps = 100, .constant = true};
    const struct optimizer_options adamw = {
        .lr = {1e-3, 1e-3, 1e-3, 1e-3}, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    struct run_plan plan;
    struct gradient_exchange *exchange = NULL;
    struct optimizer *optimizer = NULL;
    struct exchange_options options;
    struct mesh unused = {0};
    TRY(run_config_load(&ranked->config, NULL, set, n));
    TRY(make_plan(ranked, &plan));
    TRY(mesh_init(&ranked->mesh, ranked->comm,
                  &(struct mesh_options){.tp = ranked->config.parallel.tp}));
    const struct model_share share =
        tensor_parallel_share(ranked->mesh.tp, ranked->config.parallel.sequence);
    if (ranked->mesh.tp_size > 1) plan.model.options.share = &share;
    ranked->sizes = plan.model.config;
    TRY(run_model_create(&plan.model, &ranked->config));
    parameters_initialise(model_weights(plan.model.model), model_parameters(plan.model.model),
                          &plan.model.config, 1);
    plan_bucket_options(&options, &unused, &plan);
    options.mesh = &ranked->mesh;
    TRY(exchange_create(&exchange, plan.model.model, &options));
    TRY(optimizer_create(&optimizer, model_parameters(plan.model.model), exchange_buckets(exchange),
                         &adamw, plan.model.kernels, plan.model.stream));
    const struct train_parts parts = {ranked->comm, &ranked->mesh,    exchange,
                                      optimizer,    plan.model.model, &schedule};
    TRY(take_steps(ranked, &parts, &plan));
    TRY(check_copy(ranked, &parts, &plan));
out:
    optimizer_destroy(optimizer);
    exchange_destroy(exchange);
    run_model_release(&plan.model);
    mesh_release(&ranked->mesh);
    run_config_release(&ranked->config);
    return status;
}

static enum status work(struct ranked *ranked, int tp)
{
    enum status status = OK;
    TRY(comm_create(&ranked->comm, NULL));
    char *tp_key = text_format("parallel.tp=%d", tp);
    char *batch = text_format("train.global_batch=%d", N_MICRO * comm_size(ranked->comm) / tp);
    static const char *const modes[][4] = {
        {"parallel.sequence=false", "train.recompute=false", "train.modules=[projector, lm]",
         "seed=0"},
        {"parallel.sequence=true", "train.recompute=true", "train.modules=[projector, lm]",
         "seed=0"},
        {"parallel.sequence=true", "train.recompute=false", "train.modules=[projector]", "seed=0"},
        {"parallel.sequence=false", "train.recompute=false", "train.modules=[projector, lm]",
         "parallel.shard_gradients=true"},
    };
    for (size_t i = 0; i < sizeof modes / sizeof modes[0] && status == OK; i++) {
        const char *const set[] = {"tokenizer=t",
                                   "data.sources=[{corpus: c, tasks: [sg]}]",
                                   "model.image.height=32",
                                   "model.image.width=32",
                                   "model.vision.depths=[1, 1, 1, 1]",
                                   "model.vision.dims=[4, 4, 4, 4]",
                                   "model.extractor.embed=8",
                                   "model.extractor.mask_side=4",
                                   "model.lm.vocab=80",
                                   "model.lm.hidden=32",
                                   "model.lm.ffn=40",
                                   "model.lm.layers=2",
                                   "model.lm.heads=8",
                                   "model.lm.kv_heads=2",
                                   "model.lm.max_positions=64",
                                   "data.max_length=24",
                                   "data.max_tokens=24",
                                   "parallel.bucket_elements=3000",
                                   tp_key,
                                   batch,
                                   modes[i][0],
                                   modes[i][1],
                                   modes[i][2],
                                   modes[i][3]};
        status = check(ranked, set, (int)(sizeof set / sizeof set[0]));
    }
    free(tp_key);
    free(batch);
out:
    if (status != OK) fprintf(stderr, "error: %s\n", status_message());
    comm_destroy(ranked->comm);
    return status;
}

static void check_mesh(int dp, int tp)
{
    char *arguments = text_format("work %d", tp);
    struct mpi_run run = mpi_run(dp * tp, self, arguments, 120);
    if (run.exit_code != 0 || strstr(run.output, "planned") != NULL ||
        mpi_run_lines_with(&run, "compared") != 4)
        fail_msg("%d x %d:\n%s", dp, tp, run.output);
    free(run.output);
    free(arguments);
}

static void test_counts_are_planned(void **state)
{
    (void)state;
    static const int meshes[][2] = {{1, 1}, {2, 1}, {1, 2}, {2, 2}, {4, 1}, {1, 4}, {2, 4}, {1, 8}};
    for (size_t i = 0; i < sizeof meshes / sizeof meshes[0]; i++)
        check_mesh(meshes[i][0], meshes[i][1]);
}

int main(int argc, char **argv)
{
    self = argv[0];
    struct ranked ranked = {0};
    if (argc == 3 && strcmp(argv[1], "work") == 0)
        return work(&ranked, (int)strtol(argv[2], NULL, 10)) == OK && ranked.n_wrong == 0 ? 0 : 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts_are_planned)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
