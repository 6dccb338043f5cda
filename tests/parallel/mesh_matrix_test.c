/* Every mesh with every switch at once: split rows or not; gradients whole, in shards, or summed in
 * order; activations kept or computed again; one micro-batch a rank, three, or one a sample (no
 * packing); five sets of trained modules. Two steps of one global batch each time: loss, norm and
 * each module's norm are those of one rank that keeps everything and has one micro-batch. That the
 * limit can be passed is shown by one more run, whose targets weigh a thousandth more on one rank.
 *
 * `mesh_matrix_test all` takes all eight meshes of up to 8 ranks instead of three. */
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
#include "parallel/reduction_tree.h"
#include "parallel/tensor_parallel.h"
#include "support/drawn_micro.h"
#include "support/mpi_run.h"
#include "train/train_step.h"

enum { N_SAMPLES = 13, N_STEPS = 2, N_NUMBERS = 2 + N_MODULES };
/* Relative to the norm of all gradients: sums of floats in another order, through two steps. */
#define LIMIT 2e-5

static const char *self;

/* ---- switches ---- */

enum sums { SUMS_WHOLE, SUMS_SHARDS, SUMS_ORDERED, N_SUMS };
enum cut { CUT_ONE, CUT_THREE, CUT_SAMPLES, N_CUTS };

static const char *const sums_names[N_SUMS] = {"whole", "shards", "ordered"};
static const char *const cut_names[N_CUTS] = {"one", "three", "samples"};
static const bool regimes[][N_MODULES] = {
    {true, true, true, true}, /* tower, projector, extractor, language model */
    {false, true, true, true},   {false, true, false, false},
    {false, false, true, false}, {true, false, false, true},
};
enum { N_REGIMES = sizeof regimes / sizeof regimes[0] };

struct setting {
    bool sequence, recompute, off; /* off: the run that must be found out */
    enum sums sums;
    enum cut cut;
    int regime;
};

/* Settings of a mesh in turn; false after the last. */
static bool setting_at(struct setting *setting, int64_t i, bool split)
{
    *setting = (struct setting){0};
    setting->regime = (int)(i % N_REGIMES);
    i /= N_REGIMES;
    setting->cut = (enum cut)(i % N_CUTS);
    i /= N_CUTS;
    setting->sums = (enum sums)(i % N_SUMS);
    i /= N_SUMS;
    setting->recompute = i % 2 != 0;
    i /= 2;
    setting->sequence = split && i % 2 != 0;
    return i < (split ? 2 : 1);
}

/* ---- what each rank does ---- */

struct matrix {
    struct comm *comm;
    struct mesh mesh;
    struct model_config config;
    struct setting setting;
    int64_t step;
    int64_t leaf, n_leaves, end; /* micro-batches of the global batch: next, all, own end */
    struct stream stream;        /* the caller's thread alone */
};

/* Samples first .. end - 1 of micro-batch `leaf`. */
static void samples_of(const struct matrix *m, int64_t leaf, int64_t *first, int64_t *end)
{
    *first = N_SAMPLES * leaf / m->n_leaves;
    *end = N_SAMPLES * (leaf + 1) / m->n_leaves;
}

static enum status next_micro(void *context, struct micro_batch **micro_out)
{
    struct matrix *m = context;
    const bool off = m->setting.off && m->mesh.dp_rank == 0;
    const struct drawn_options options = {.target_weight = off ? 0.005005 : 0.005,
                                          .few_regions = 5};
    int64_t first = 0, end = 0;
    uint64_t keys[N_SAMPLES];
    samples_of(m, m->leaf++, &first, &end);
    for (int64_t i = first; i < end; i++)
        keys[i - first] = (uint64_t)(1000 + m->step * N_SAMPLES + i);
    return drawn_micro(micro_out, &m->config, keys, end - first, true, &options);
}

static enum status run_steps(struct matrix *m, const struct train_parts *parts)
{
    enum status status = OK;
    const struct setting *s = &m->setting;
    const int64_t leaves[N_CUTS] = {m->mesh.dp_size, 3 * m->mesh.dp_size, N_SAMPLES};
    m->n_leaves = leaves[s->cut] < N_SAMPLES ? leaves[s->cut] : N_SAMPLES;
    for (m->step = 0; m->step < N_STEPS; m->step++) {
        struct train_result result;
        tree_leaves_of(&m->leaf, &m->end, m->n_leaves, m->mesh.dp_rank, m->mesh.dp_size);
        const struct train_input input = {.step = m->step,
                                          .n_micro = m->end - m->leaf,
                                          .first_micro = m->leaf,
                                          .n_all_micro = s->sums == SUMS_ORDERED ? m->n_leaves : 0,
                                          .next = next_micro,
                                          .context = m};
        TRY(train_step(parts, &input, &result));
        if (comm_rank(m->comm) != 0) continue;
        printf("%d %s,%s,%s,%s,%s %d %.12g %.12g", s->regime, s->sequence ? "sequence" : "rows",
               sums_names[s->sums], s->recompute ? "recompute" : "kept", cut_names[s->cut],
               s->off ? "off" : "right", (int)m->step, result.loss, result.gradient_norm);
        for (int module = 0; module < N_MODULES; module++)
            printf(" %.12g", result.module_norm[module]);
        printf("\n");
    }
out:
    return status;
}

/* A model of its own for each setting. Eps is large: where a gradient is nothing but rounding, a
 * small one would make whole steps of it. */
static enum status run_setting(struct matrix *m)
{
    enum status status = OK;
    static const struct schedule schedule = {.total_steps = 100, .constant = true};
    struct model *model = NULL;
    struct gradient_exchange *exchange = NULL;
    struct optimizer *optimizer = NULL;
    struct model_options options = tiny_options();
    const struct setting *s = &m->setting;
    const struct optimizer_options adamw = {
        .lr = {1e-2, 1e-2, 1e-2, 1e-2}, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-2, .clip_norm = 1};
    const struct model_share share = tensor_parallel_share(m->mesh.tp, s->sequence);
    options.limits =
        (struct model_limits){N_SAMPLES, 5 * N_SAMPLES, N_SAMPLES, 90 * N_SAMPLES, 90 * N_SAMPLES};
    memcpy(options.trainable, regimes[s->regime], sizeof options.trainable);
    options.recompute = s->recompute;
    options.gradient_windows = s->sums == SUMS_SHARDS ? EXCHANGE_WINDOWS : 0;
    if (m->mesh.tp_size > 1) options.share = &share;
    TRY(model_create(&model, &m->config, &options, &kernels_cpu, &m->stream));
    parameters_fill(model_weights(model), model_parameters(model), 77);
    const struct exchange_options exchanges = {.mesh = &m->mesh,
                                               .kernels = &kernels_cpu,
                                               .bucket_elements = 3000,
                                               .overlap = true,
                                               .ordered = s->sums == SUMS_ORDERED,
                                               .shard_gradients = s->sums == SUMS_SHARDS};
    TRY(exchange_create(&exchange, model, &exchanges));
    TRY(optimizer_create(&optimizer, model_parameters(model), exchange_buckets(exchange), &adamw,
                         &kernels_cpu, &m->stream));
    const struct train_parts parts = {m->comm, &m->mesh, exchange, optimizer, model, &schedule};
    TRY(run_steps(m, &parts));
out:
    optimizer_destroy(optimizer);
    exchange_destroy(exchange);
    model_destroy(model);
    return status;
}

static enum status run_settings(struct matrix *m, int tp)
{
    enum status status = OK;
    m->config = tiny_config();
    m->config.lm.max_positions = DRAWN_MAX_TOKENS;
    m->config.lm.heads =
        8; /* for meshes of 8; 2 key/value heads are fewer than most meshes' ranks */
    TRY(mesh_init(&m->mesh, m->comm, &(struct mesh_options){.tp = tp}));
    for (int64_t i = 0; setting_at(&m->setting, i, tp > 1); i++) TRY(run_setting(m));
    m->setting = (struct setting){.off = true};
    TRY(run_setting(m));
out:
    mesh_release(&m->mesh);
    return status;
}

static int work(const char *tp)
{
    struct matrix m = {0};
    enum status status = comm_create(&m.comm, &(struct comm_options){.timeout_seconds = 60});
    if (status == OK) status = run_settings(&m, (int)strtol(tp, NULL, 10));
    if (status != OK) fprintf(stderr, "error: %s\n", status_message());
    comm_destroy(m.comm);
    return status == OK ? 0 : 1;
}

/* ---- what is expected of them ---- */

static double expected[N_REGIMES][N_STEPS][N_NUMBERS];

struct line {
    int regime, step;
    char setting[64];
    double numbers[N_NUMBERS];
};

static void read_line(struct line *line, const char *text)
{
    const int n =
        sscanf(text, "%d %63[^ ] %d %lf %lf %lf %lf %lf %lf", &line->regime, line->setting,
               &line->step, &line->numbers[0], &line->numbers[1], &line->numbers[2],
               &line->numbers[3], &line->numbers[4], &line->numbers[5]);
    if (n != 3 + N_NUMBERS || line->regime >= N_REGIMES || line->step >= N_STEPS)
        fail_msg("not a line of numbers: %s", text);
}

/* The worst of a line's numbers: the loss relative to itself, norms to the norm of all. */
static double difference(const struct line *line)
{
    const double *right = expected[line->regime][line->step];
    double worst = fabs(line->numbers[0] - right[0]) / right[0];
    for (int i = 1; i < N_NUMBERS; i++)
        worst = fmax(worst, fabs(line->numbers[i] - right[i]) / right[1]);
    return worst;
}

static void check_mesh(int ranks, int tp)
{
    char *arguments = text_format("work %d", tp), *rest = NULL;
    struct mpi_run run = mpi_run(ranks, self, arguments, 1200);
    int n = 0;
    double worst = 0, found_out = 0;
    if (run.exit_code != 0) print_message("%s\n", run.output);
    assert_int_equal(run.exit_code, 0);
    for (char *text = strtok_r(run.output, "\n", &rest); text != NULL;
         text = strtok_r(NULL, "\n", &rest), n++) {
        struct line line;
        read_line(&line, text);
        if (ranks == 1 && n < N_REGIMES * N_STEPS)
            memcpy(expected[line.regime][line.step], line.numbers, sizeof line.numbers);
        const double off = difference(&line);
        if (strstr(line.setting, "off") != NULL) {
            found_out = fmax(found_out, off);
            continue;
        }
        if (!(off <= LIMIT))
            fail_msg("np %d tp %d %s, regime %d, step %d: off by %.1e", ranks, tp, line.setting,
                     line.regime, line.step, off);
        worst = fmax(worst, off);
    }
    assert_int_equal(n, N_STEPS * (N_REGIMES * N_CUTS * N_SUMS * 2 * (tp > 1 ? 2 : 1) + 1));
    if (!(found_out > LIMIT)) fail_msg("np %d tp %d: a wrong weight was not found out", ranks, tp);
    print_message("np %d tp %d: %d settings, worst difference %.1e; a wrong weight gives %.1e\n",
                  ranks, tp, n / N_STEPS - 1, worst, found_out);
    free(run.output);
    free(arguments);
}

static void test_some(void **state)
{
    (void)state;
    check_mesh(1, 1);
    check_mesh(2, 2);
    check_mesh(4, 2);
}

static void test_all(void **state)
{
    (void)state;
    const int meshes[][2] = {{1, 1}, {2, 1}, {2, 2}, {4, 2}, {4, 1}, {4, 4}, {8, 4}, {8, 8}};
    for (size_t m = 0; m < sizeof meshes / sizeof meshes[0]; m++)
        check_mesh(meshes[m][0], meshes[m][1]);
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc == 3 && strcmp(argv[1], "work") == 0) return work(argv[2]);
    const bool all = argc == 2 && strcmp(argv[1], "all") == 0;
    const struct CMUnitTest some_tests[] = {cmocka_unit_test(test_some)};
    const struct CMUnitTest all_tests[] = {cmocka_unit_test(test_all)};
    return all ? cmocka_run_group_tests(all_tests, NULL, NULL)
               : cmocka_run_group_tests(some_tests, NULL, NULL);
}
