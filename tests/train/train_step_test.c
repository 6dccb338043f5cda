/* The reference's ten training steps (../shared/golden/train_10_steps) through micro-batches, step,
 * optimizer and sums over 1, 2 and 4 ranks, both ways of averaging: losses, norms and rates are the
 * reference's, the trained weights agree between numbers of ranks. With 4 ranks two have nothing to
 * compute in any step. */
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
#include "base/file.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "checkpoint/safetensors.h"
#include "device/stream.h"
#include "parallel/replica.h"
#include "support/mpi_run.h"
#include "train/sample_rows.h"
#include "train/train_step.h"

#define N_STEPS 10
#define SEED    12
#define SIDE    64

static const char *self;

/* config.json of the folder */
static const struct model_config config = {
    .image_height = SIDE,
    .image_width = SIDE,
    .vision = {.depths = {1, 2, 3, 1}, .dims = {8, 16, 24, 40}, .norm_eps = 1e-6},
    .extractor = {.embed = 32, .mask_side = 28},
    .lm = {.vocab = 512,
           .hidden = 64,
           .ffn = 160,
           .layers = 2,
           .heads = 8,
           .kv_heads = 2,
           .max_positions = 256,
           .rms_eps = 1e-6,
           .rope_theta = 1e6,
           .tied = true},
};
static const struct sample_rows_options rows_options = {
    .mask_id = 509, .vocab = 512, .image_rows = 16};

static char *golden_folder(void)
{
    const char *shared = getenv("ROBIN_SHARED");
    return path_join(shared != NULL ? shared : "../shared", "golden/train_10_steps");
}

/* ---- what each rank does ---- */

struct work {
    struct comm *comm;
    struct safetensors *file;
    bool microbatch;
    int64_t step, next_micro;
    int64_t targets[2]; /* per micro-batch of the step */
};

static int64_t *load(const struct work *work, const char *name, int64_t dims[3], int64_t *n_out)
{
    const struct safetensor *tensor = safetensors_find(work->file, name);
    ASSERT(tensor != NULL, "no tensor %s", name);
    const int64_t n = tensor->n_elements;
    int64_t *values = memory_new((size_t)n + 1, sizeof *values);
    uint8_t *bytes = memory_new((size_t)n + 1, 1);
    const bool is_wide = tensor->dtype == DTYPE_I64;
    void *to = is_wide ? (void *)values : (void *)bytes;
    ASSERT(safetensors_read(work->file, tensor, to, 0, n) == OK, "%s", status_message());
    for (int64_t i = 0; !is_wide && i < n; i++) values[i] = bytes[i];
    for (int d = 0; d < tensor->n_dims && d < 3; d++) dims[d] = tensor->dims[d];
    *n_out = n;
    free(bytes);
    return values;
}

static struct sample load_sample(const struct work *work, const char *name)
{
    struct sample sample = {.has_image = true};
    int64_t n = 0, dims[3];
    char *ids_name = text_format("%s.input_ids", name);
    char *labels_name = text_format("%s.labels", name);
    int64_t *ids = load(work, ids_name, dims, &n), *labels = load(work, labels_name, dims, &n);
    for (int64_t i = 0; i < n; i++) {
        token_list_append(&sample.ids, (int32_t)ids[i]);
        token_list_append(&sample.labels, (int32_t)labels[i]);
        sample.n_regions += ids[i] == 509;
    }
    free(ids);
    free(labels);
    free(ids_name);
    free(labels_name);
    return sample;
}

/* The fill is channels first. */
static void fill_pixels(float *pixels, const char *name)
{
    char *fill = text_format("pixel_values.%s", name);
    float *planes = memory_new(3 * SIDE * SIDE, sizeof *planes);
    random_fill(planes, 3 * SIDE * SIDE, 0, random_stream(SEED, fill), 0, 2);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < SIDE * SIDE; i++) pixels[i * 3 + c] = planes[c * SIDE * SIDE + i];
    free(planes);
    free(fill);
}

static void fill_regions(const struct work *work, struct micro_batch *micro, int64_t sequence,
                         const char *name)
{
    int64_t n = 0, dims[3] = {0};
    char *masks_name = text_format("%s.masks", name);
    int64_t *masks = load(work, masks_name, dims, &n);
    uint8_t *mask = memory_new((size_t)(dims[1] * dims[2]), 1);
    for (int64_t q = 0; q < dims[0]; q++) {
        struct rle rle = {0};
        for (int64_t i = 0; i < dims[1] * dims[2]; i++)
            mask[i] = (uint8_t)masks[q * dims[1] * dims[2] + i];
        ASSERT(rle_from_mask(&rle, mask, dims[1], dims[2]) == OK, "%s", status_message());
        ASSERT(micro_batch_set_region(micro, sequence, q, &rle) == OK, "%s", status_message());
        rle_release(&rle);
    }
    free(mask);
    free(masks);
    free(masks_name);
}

static void make_rows(const struct work *work, int64_t micro, struct sample_rows rows[2])
{
    for (int s = 0; s < 2; s++) {
        char *name = text_format("step%d.micro%d.%c", (int)work->step, (int)micro, 'a' + s);
        struct sample sample = load_sample(work, name);
        ASSERT(sample_rows_create(&rows[s], &sample, &rows_options) == OK, "%s", status_message());
        token_list_release(&sample.ids);
        token_list_release(&sample.labels);
        free(name);
    }
}

/* Micro-batch m of a step belongs to rank m modulo the ranks. */
static enum status next_micro(void *context, struct micro_batch **micro_out)
{
    enum status status = OK;
    struct work *work = context;
    const int64_t m = work->next_micro;
    struct sample_rows rows[2];
    const uint64_t ids[2] = {0, 1};
    make_rows(work, m, rows);
    const double all = (double)(work->targets[0] + work->targets[1]);
    const struct micro_batch_options options = {
        .config = &config,
        .target_weight = work->microbatch ? 0.5 / (double)work->targets[m] : 1 / all};
    TRY(micro_batch_create(micro_out, rows, ids, 2, &options));
    for (int s = 0; s < 2; s++) {
        char *name = text_format("step%d.micro%d.%c", (int)work->step, (int)m, 'a' + s);
        fill_pixels(micro_batch_pixels(*micro_out, s), name);
        fill_regions(work, *micro_out, s, name);
        free(name);
        sample_rows_release(&rows[s]);
    }
    work->next_micro += comm_size(work->comm);
out:
    return status;
}

static void count_targets(struct work *work)
{
    for (int m = 0; m < 2; m++) {
        struct sample_rows rows[2];
        make_rows(work, m, rows);
        work->targets[m] = rows[0].n_targets + rows[1].n_targets;
        sample_rows_release(&rows[0]);
        sample_rows_release(&rows[1]);
    }
}

static enum status run_steps(struct work *work, const struct train_parts *parts)
{
    enum status status = OK;
    for (work->step = 0; work->step < N_STEPS; work->step++) {
        struct train_result result;
        const int rank = comm_rank(work->comm), size = comm_size(work->comm);
        count_targets(work);
        work->next_micro = rank;
        const struct train_input input = {.step = work->step,
                                          .n_micro = rank < 2 ? (2 - rank + size - 1) / size : 0,
                                          .next = next_micro,
                                          .context = work};
        TRY(train_step(parts, &input, &result));
        if (rank == 0)
            printf("%.17g %.17g %.17g\n", result.loss, result.gradient_norm,
                   1e-3 * result.lr_factor);
    }
    TRY(replica_check(parts->comm, model_weights(parts->model),
                      model_parameters(parts->model)->n_weight_elements, "weights"));
out:
    return status;
}

static enum status work_golden(struct work *work, const char *weights_path)
{
    enum status status = OK;
    struct stream *stream = NULL;
    struct model *model = NULL;
    struct optimizer *optimizer = NULL;
    char *folder = golden_folder(), *path = path_join(folder, "tensors.safetensors");
    const struct kernels *kernels = kernels_find("cpu");
    const struct model_options options = {
        .limits = {2, 8, 2, 160, 160}, .trainable = {true, true, true, true}, .backward = true};
    const struct optimizer_options adamw = {
        .lr = {1e-3, 1e-3, 1e-3, 1e-3}, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .clip_norm = 1};
    const struct schedule schedule = schedule_make(N_STEPS, 0.03);
    TRY(safetensors_open(&work->file, path));
    TRY(stream_create(&stream, 1));
    TRY(model_create(&model, &config, &options, kernels, stream));
    const struct parameter_table *table = model_parameters(model);
    parameters_fill(model_weights(model), table, SEED);
    TRY(optimizer_create(&optimizer, table, &adamw, kernels, stream));
    const struct train_parts parts = {work->comm, model, optimizer, &schedule};
    TRY(run_steps(work, &parts));
    if (comm_rank(work->comm) == 0)
        TRY(file_write_atomic(weights_path, model_weights(model),
                              (size_t)table->n_weight_elements * sizeof(float)));
out:
    optimizer_destroy(optimizer);
    model_destroy(model);
    stream_destroy(stream);
    safetensors_close(work->file);
    free(path);
    free(folder);
    return status;
}

static int work(const char *average, const char *weights_path)
{
    struct work work = {.microbatch = strcmp(average, "microbatch") == 0};
    enum status status = comm_create(&work.comm, NULL);
    if (status == OK) status = work_golden(&work, weights_path);
    if (status != OK) fprintf(stderr, "error: %s\n", status_message());
    comm_destroy(work.comm);
    return status == OK ? 0 : 1;
}

/* ---- what is expected of them ---- */

static void load_doubles(double *values, const char *name)
{
    char *folder = golden_folder(), *path = path_join(folder, "tensors.safetensors");
    struct safetensors *file = NULL;
    assert_int_equal(safetensors_open(&file, path), OK);
    const struct safetensor *tensor = safetensors_find(file, name);
    assert_non_null(tensor);
    assert_int_equal(tensor->n_elements, N_STEPS);
    assert_int_equal(safetensors_read(file, tensor, values, 0, N_STEPS), OK);
    safetensors_close(file);
    free(path);
    free(folder);
}

static void check_curve(const char *output, const char *average)
{
    const char *const kinds[] = {"loss", "grad_norm", "lr"};
    const double limits[] = {1e-5, 1e-5, 1e-14};
    double expected[3][N_STEPS];
    for (int kind = 0; kind < 3; kind++) {
        char *name = text_format("%s.%s", average, kinds[kind]);
        load_doubles(expected[kind], name);
        free(name);
    }
    char *at = (char *)(uintptr_t)output;
    for (int step = 0; step < N_STEPS; step++) {
        for (int kind = 0; kind < 3; kind++) {
            const double value = strtod(at, &at), reference = expected[kind][step];
            const double difference = fabs(value - reference);
            if (difference > limits[kind] * fabs(reference))
                fail_msg("%s step %d: %s is %.17g but the reference %.17g", average, step,
                         kinds[kind], value, reference);
        }
    }
}

static float *read_weights(const char *path, size_t *n_out)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(file_read(&bytes, &size, path, 1 << 28), OK);
    *n_out = size / sizeof(float);
    return (float *)(void *)bytes;
}

static double distance(const float *a, const float *b, size_t n)
{
    double squares = 0, differences = 0;
    for (size_t i = 0; i < n; i++) {
        squares += (double)a[i] * a[i];
        differences += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    }
    return sqrt(differences / squares);
}

static void check_ranks(const char *average)
{
    char *folder = golden_folder();
    const bool is_there = file_exists(folder);
    free(folder);
    if (!is_there) {
        print_message("skipped: no ../shared\n");
        skip();
    }
    const int ranks[] = {1, 2, 4};
    float *first = NULL;
    for (int i = 0; i < 3; i++) {
        char path[] = "/tmp/robin-weights-XXXXXX";
        assert_true(mkstemp(path) >= 0);
        char *arguments = text_format("work %s %s", average, path);
        struct mpi_run run = mpi_run(ranks[i], self, arguments, 120);
        if (run.exit_code != 0) print_message("%s\n", run.output);
        assert_int_equal(run.exit_code, 0);
        check_curve(run.output, average);
        size_t n = 0;
        float *weights = read_weights(path, &n);
        if (first == NULL)
            first = weights;
        else
            assert_true(distance(first, weights, n) < 1e-6);
        if (first != weights) free(weights);
        free(arguments);
        free(run.output);
        remove(path);
    }
    free(first);
}

static void test_global(void **state)
{
    (void)state;
    check_ranks("global");
}

static void test_microbatch(void **state)
{
    (void)state;
    check_ranks("microbatch");
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc == 4 && strcmp(argv[1], "work") == 0) return work(argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_global),
        cmocka_unit_test(test_microbatch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
