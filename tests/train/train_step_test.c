/* The reference's ten training steps (../shared/golden/train_10_steps) through micro-batches, step,
 * sharded optimizer and exchange on meshes dp x tp, both ways of averaging: losses, norms and rates
 * are the reference's, the trained weights agree between meshes and, with an ordered reduction, are
 * the same bits on every dp. On a dp of 4 two ranks have nothing to compute in any step.
 *
 * `train_step_test all` runs every mesh with every switch. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/assertion.h"
#include "base/file.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "checkpoint/safetensors.h"
#include "device/stream.h"
#include "parallel/reduction_tree.h"
#include "parallel/replica.h"
#include "parallel/tensor_parallel.h"
#include "support/mpi_run.h"
#include "train/sample_rows.h"
#include "train/train_step.h"

#define N_STEPS 10
#define SEED    12
#define SIDE    64

/* Far beyond what eight ranks on one busy processor need: it ends what hangs. */
enum { HANG_SECONDS = 600 };

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
    bool microbatch, ordered;
    struct mesh mesh;
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

/* Micro-batches of a rank follow each other. */
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
    work->next_micro++;
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
        int64_t first = 0, end = 0;
        count_targets(work);
        tree_leaves_of(&first, &end, 2, work->mesh.dp_rank, work->mesh.dp_size);
        work->next_micro = first;
        const struct train_input input = {.step = work->step,
                                          .n_micro = end - first,
                                          .first_micro = first,
                                          .n_all_micro = work->ordered ? 2 : 0,
                                          .next = next_micro,
                                          .context = work};
        TRY(train_step(parts, &input, &result));
        if (comm_rank(work->comm) == 0)
            printf("%.17g %.17g %.17g\n", result.loss, result.gradient_norm,
                   1e-3 * result.lr_factor);
    }
out:
    return status;
}

/* The whole weights in the order of a model that is not split, to PATH. */
static enum status write_weights(const struct work *work, struct model *model, const char *path)
{
    enum status status = OK;
    struct parameter_table *whole = NULL;
    const struct parameter_table *table = model_parameters(model);
    float *weights = NULL;
    TRY(parameter_table_create(&whole, &config, table->trainable));
    const int64_t n = whole->n_weight_elements;
    weights = memory_new((size_t)n, sizeof *weights);
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *own = &table->parameters[i];
        const bool split = parameter_is_split(own);
        if (work->mesh.tp_rank % (split ? own->slice.replicas : work->mesh.tp_size) == 0)
            parameter_paste(weights + parameter_find(whole, own->name)->offset,
                            model_weights(model) + own->offset, own);
    }
    TRY(comm_sum_float(work->mesh.tp, weights, n));
    if (comm_rank(work->comm) == 0)
        TRY(file_write_atomic(path, weights, (size_t)n * sizeof(float)));
out:
    free(weights);
    parameter_table_destroy(whole);
    return status;
}

/* One way to run them, as a word of the command line: "tp=2,sequence,ordered". */
struct way {
    int tp;
    bool sequence, ordered, recompute, alone, small, shards;
};

static struct way way_of(const char *text)
{
    const char *tp = strstr(text, "tp=");
    return (struct way){.tp = tp == NULL ? 1 : (int)strtol(tp + 3, NULL, 10),
                        .sequence = strstr(text, "sequence") != NULL,
                        .ordered = strstr(text, "ordered") != NULL,
                        .recompute = strstr(text, "recompute") != NULL,
                        .alone = strstr(text, "alone") != NULL,
                        .small = strstr(text, "small") != NULL,
                        .shards = strstr(text, "shards") != NULL};
}

static enum status work_golden(struct work *work, const struct way *way, const char *weights_path)
{
    enum status status = OK;
    struct stream *stream = NULL;
    struct model *model = NULL;
    struct gradient_exchange *exchange = NULL;
    struct optimizer *optimizer = NULL;
    char *folder = golden_folder(), *path = path_join(folder, "tensors.safetensors");
    const struct kernels *kernels = kernels_find("cpu");
    const struct optimizer_options adamw = {
        .lr = {1e-3, 1e-3, 1e-3, 1e-3}, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .clip_norm = 1};
    const struct schedule schedule = schedule_make(N_STEPS, 0.03);
    struct model_options options = {.limits = {2, 8, 2, 160, 160},
                                    .trainable = {true, true, true, true},
                                    .backward = true,
                                    .recompute = way->recompute,
                                    .gradient_windows = way->shards ? EXCHANGE_WINDOWS : 0};
    TRY(safetensors_open(&work->file, path));
    TRY(stream_create(&stream, 1));
    TRY(mesh_init(&work->mesh, work->comm, &(struct mesh_options){.tp = way->tp}));
    const struct model_share share = tensor_parallel_share(work->mesh.tp, way->sequence);
    if (way->tp > 1) options.share = &share;
    TRY(model_create(&model, &config, &options, kernels, stream));
    const struct parameter_table *table = model_parameters(model);
    parameters_fill(model_weights(model), table, SEED);
    const struct exchange_options exchanges = {.mesh = &work->mesh,
                                               .kernels = kernels,
                                               .bucket_elements = way->small ? 5000 : 0,
                                               .ordered = way->ordered,
                                               .shard_gradients = way->shards,
                                               .overlap = !way->alone};
    TRY(exchange_create(&exchange, model, &exchanges));
    TRY(optimizer_create(&optimizer, table, exchange_buckets(exchange), &adamw, kernels, stream));
    const struct train_parts parts = {work->comm, &work->mesh, exchange,
                                      optimizer,  model,       &schedule};
    TRY(run_steps(work, &parts));
    TRY(exchange_settle(exchange));
    TRY(replica_check(work->mesh.dp, model_weights(model), table->n_weight_elements, "weights"));
    TRY(write_weights(work, model, weights_path));
out:
    optimizer_destroy(optimizer);
    exchange_destroy(exchange);
    model_destroy(model);
    mesh_release(&work->mesh);
    stream_destroy(stream);
    safetensors_close(work->file);
    free(path);
    free(folder);
    return status;
}

static int work(const char *average, const char *way_text, const char *weights_path)
{
    const struct way way = way_of(way_text);
    struct work work = {.microbatch = strcmp(average, "microbatch") == 0, .ordered = way.ordered};
    enum status status = comm_create(&work.comm, NULL);
    if (status == OK) status = work_golden(&work, &way, weights_path);
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
                fail_msg("%s step %d: %s is %.17g but the reference %.17g in\n%s", average, step,
                         kinds[kind], value, reference, output);
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

/* Steps on `ranks` ranks that way: the reference's curve. The weights, to free(). */
static float *run_way(const char *average, int ranks, const char *way, size_t *n_out)
{
    char path[] = "/tmp/robin-weights-XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    char *arguments = text_format("work %s %s %s", average, way, path);
    struct mpi_run run = mpi_run(ranks, self, arguments, HANG_SECONDS);
    if (run.exit_code != 0) print_message("np %d %s: %s\n", ranks, way, run.output);
    assert_int_equal(run.exit_code, 0);
    check_curve(run.output, average);
    float *weights = read_weights(path, n_out);
    free(arguments);
    free(run.output);
    remove(path);
    return weights;
}

struct mesh_way {
    int ranks;
    const char *way;
};

/* All of them as the first one, to rounding; `same_bits`: exactly. */
static void check_ways(const char *average, const struct mesh_way *ways, size_t n_ways,
                       bool same_bits)
{
    char *folder = golden_folder();
    const bool is_there = file_exists(folder);
    free(folder);
    if (!is_there) {
        print_message("skipped: no ../shared\n");
        skip();
    }
    size_t n = 0;
    float *first = run_way(average, ways[0].ranks, ways[0].way, &n);
    for (size_t i = 1; i < n_ways; i++) {
        float *weights = run_way(average, ways[i].ranks, ways[i].way, &n);
        const double difference = distance(first, weights, n);
        if (same_bits && memcmp(first, weights, n * sizeof *first) != 0)
            fail_msg("np %d %s: other bits, distance %g", ways[i].ranks, ways[i].way, difference);
        if (!(difference < 1e-6))
            fail_msg("np %d %s: distance %g", ways[i].ranks, ways[i].way, difference);
        free(weights);
    }
    free(first);
}

static void test_global(void **state)
{
    (void)state;
    const struct mesh_way ways[] = {{1, "plain"},        {2, "small"},
                                    {4, "alone,small"},  {4, "tp=2,small,shards"},
                                    {2, "alone,shards"}, {4, "tp=4,sequence,recompute,small"}};
    check_ways("global", ways, sizeof ways / sizeof ways[0], false);
}

static void test_microbatch(void **state)
{
    (void)state;
    const struct mesh_way ways[] = {{1, "plain"}, {4, "tp=2,sequence,ordered"}};
    check_ways("microbatch", ways, sizeof ways / sizeof ways[0], false);
}

static void test_ordered_is_one_result(void **state)
{
    (void)state;
    const struct mesh_way ways[] = {{1, "ordered"}, {2, "ordered,small"}, {4, "ordered,small"}};
    check_ways("global", ways, sizeof ways / sizeof ways[0], true);
    const struct mesh_way split[] = {{2, "tp=2,ordered"}, {4, "tp=2,ordered,small"}};
    check_ways("global", split, sizeof split / sizeof split[0], true);
}

/* Every mesh of up to 8 ranks with every switch: minutes. */
static void test_all(void **state)
{
    (void)state;
    const int meshes[][2] = {{1, 1}, {2, 1}, {2, 2}, {4, 2}, {4, 1}, {4, 4}, {8, 4}, {8, 8}};
    const char *const switches[] = {"",
                                    ",sequence",
                                    ",ordered",
                                    ",recompute",
                                    ",alone",
                                    ",shards",
                                    ",shards,alone,sequence",
                                    ",sequence,ordered,recompute",
                                    ",sequence,shards,recompute"};
    struct mesh_way ways[80];
    size_t n = 0;
    for (size_t m = 0; m < sizeof meshes / sizeof meshes[0]; m++)
        for (size_t s = 0; s < sizeof switches / sizeof switches[0]; s++)
            ways[n++] = (struct mesh_way){meshes[m][0],
                                          text_format("tp=%d,small%s", meshes[m][1], switches[s])};
    check_ways("global", ways, n, false);
    check_ways("microbatch", ways, n, false);
    print_message("%zu ways, twice\n", n);
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc == 5 && strcmp(argv[1], "work") == 0) return work(argv[2], argv[3], argv[4]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_global),
        cmocka_unit_test(test_microbatch),
        cmocka_unit_test(test_ordered_is_one_result),
    };
    const struct CMUnitTest all[] = {cmocka_unit_test(test_all)};
    if (argc == 2 && strcmp(argv[1], "all") == 0) return cmocka_run_group_tests(all, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
