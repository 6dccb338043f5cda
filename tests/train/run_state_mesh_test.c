/* Checkpoints know no mesh: one of 1 x 1 is taken up by 2 x 2, by 1 x 4 and back, each writes it
 * again, and what it holds is the same in every bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/assertion.h"
#include "base/file.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "device/stream.h"
#include "parallel/tensor_parallel.h"
#include "support/mpi_run.h"
#include "support/tiny_robin.h"
#include "train/run_saver.h"
#include "train/run_state.h"

static const char *self;

/* ---- what each rank does ---- */

/* Moments as no step would leave them: every element its own. */
static void invent_state(struct optimizer *optimizer, const struct parameter_table *table)
{
    const size_t n = (size_t)table->n_gradient_elements;
    float *flat = memory_new(n + 1, sizeof *flat);
    for (int state = OPTIMIZER_FIRST_MOMENT; state <= OPTIMIZER_MEAN_WEIGHT; state++) {
        random_fill(flat, n, 0, random_stream((uint64_t)state, "state"), 1, 0.5);
        optimizer_set_state(optimizer, (enum optimizer_state)state, flat);
    }
    free(flat);
}

/* Takes up what FROM holds, or invents it; writes it to TO. */
static enum status pass_on(const struct train_parts *parts, const char *from, const char *to)
{
    enum status status = OK;
    struct run_progress progress = {.step = 3, .samples = 12, .order_hash = 7};
    struct run_saver *saver = NULL;
    bool found = false;
    if (strcmp(from, "none") != 0) {
        TRY(run_state_resume(parts, from, &progress, &found));
        ASSERT(found && progress.step == 3 && progress.samples == 12, "the progress is another");
        ASSERT(optimizer_steps_done(parts->optimizer) == 3, "steps of the optimizer");
    } else {
        invent_state(parts->optimizer, model_parameters(parts->model));
    }
    json_t *about = json_object();
    const struct saver_options options = {.directory = to, .about = about, .in_background = true};
    status = run_saver_create(&saver, parts, &options);
    json_decref(about);
    if (status != OK) goto out;
    TRY(run_saver_begin(saver, &progress, true));
    TRY(checkpoint_saver_finish(run_saver_files(saver)));
out:
    run_saver_destroy(saver);
    return status;
}

static enum status work_state(struct comm *comm, int tp, const char *from, const char *to)
{
    enum status status = OK;
    static struct stream stream; /* the caller's thread alone */
    struct mesh mesh = {0};
    struct model *model = NULL;
    struct gradient_exchange *exchange = NULL;
    struct optimizer *optimizer = NULL;
    struct model_options options = tiny_options();
    struct model_config config = tiny_config();
    const struct optimizer_options adamw = {.beta1 = 0.9, .beta2 = 0.999, .ema_decay = 0.9};
    config.lm.vocab = 67; /* words that no tp divides */
    config.lm.tied = false;
    TRY(mesh_init(&mesh, comm, &(struct mesh_options){.tp = tp}));
    const struct model_share share = tensor_parallel_share(mesh.tp, false);
    if (tp > 1) options.share = &share;
    TRY(model_create(&model, &config, &options, &kernels_cpu, &stream));
    if (strcmp(from, "none") == 0)
        parameters_fill(model_weights(model), model_parameters(model), 5);
    const struct exchange_options exchanges = {
        .mesh = &mesh, .kernels = &kernels_cpu, .bucket_elements = 2000};
    TRY(exchange_create(&exchange, model, &exchanges));
    TRY(optimizer_create(&optimizer, model_parameters(model), exchange_buckets(exchange), &adamw,
                         &kernels_cpu, &stream));
    const struct train_parts parts = {comm, &mesh, exchange, optimizer, model, NULL};
    TRY(pass_on(&parts, from, to));
out:
    optimizer_destroy(optimizer);
    exchange_destroy(exchange);
    model_destroy(model);
    mesh_release(&mesh);
    return status;
}

static int work(const char *tp, const char *from, const char *to)
{
    struct comm *comm = NULL;
    enum status status = comm_create(&comm, NULL);
    if (status == OK) status = work_state(comm, (int)strtol(tp, NULL, 10), from, to);
    if (status != OK) fprintf(stderr, "error: %s\n", status_message());
    comm_destroy(comm);
    return status == OK ? 0 : 1;
}

/* ---- what is expected of them ---- */

static void run_mesh(int ranks, int tp, const char *from, const char *to)
{
    char *arguments = text_format("work %d %s %s", tp, from, to);
    struct mpi_run run = mpi_run(ranks, self, arguments, 60);
    if (run.exit_code != 0) print_message("%s\n", run.output);
    assert_int_equal(run.exit_code, 0);
    free(run.output);
    free(arguments);
}

/* All bits of all tensors of both. */
static void assert_same_content(const char *first, const char *other)
{
    struct run_checkpoint *a = NULL, *b = NULL;
    assert_int_equal(run_checkpoint_open_newest(&a, first), OK);
    assert_int_equal(run_checkpoint_open_newest(&b, other), OK);
    assert_int_equal(run_checkpoint_size(a), run_checkpoint_size(b));
    assert_memory_equal(run_checkpoint_progress(a), run_checkpoint_progress(b),
                        sizeof(struct run_progress));
    for (int64_t i = 0; i < run_checkpoint_size(a); i++) {
        const struct checkpoint_tensor *tensor = run_checkpoint_tensor(a, i);
        const int64_t j = run_checkpoint_find(b, tensor->part, tensor->name);
        const size_t n = (size_t)checkpoint_tensor_size(tensor);
        float *x = memory_new(n, sizeof *x), *y = memory_new(n, sizeof *y);
        assert_true(j >= 0);
        assert_int_equal(run_checkpoint_read(a, i, x), OK);
        assert_int_equal(run_checkpoint_read(b, j, y), OK);
        assert_memory_equal(x, y, n * sizeof *x);
        free(x);
        free(y);
    }
    run_checkpoint_close(a);
    run_checkpoint_close(b);
}

static void test_any_mesh_takes_up_any_other(void **state)
{
    (void)state;
    char root[] = "/tmp/robin-state-XXXXXX";
    assert_non_null(mkdtemp(root));
    const int meshes[][2] = {{1, 1}, {4, 2}, {4, 4}, {3, 1}, {2, 2}, {1, 1}};
    char *first = text_format("%s/0", root), *from = text_copy("none");
    for (size_t m = 0; m < sizeof meshes / sizeof meshes[0]; m++) {
        char *to = text_format("%s/%zu", root, m);
        run_mesh(meshes[m][0], meshes[m][1], from, to);
        assert_same_content(first, to);
        free(from);
        from = to;
    }
    free(from);
    free(first);
    assert_int_equal(directory_remove(root), OK);
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc == 5 && strcmp(argv[1], "work") == 0) return work(argv[2], argv[3], argv[4]);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_mesh_takes_up_any_other)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
