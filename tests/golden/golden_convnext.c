/* Family "convnext": the vision tower alone, with a loss on all four feature maps. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/text_buffer.h"
#include "golden_capture.h"
#include "golden_config.h"
#include "golden_families.h"
#include "golden_reference.h"
#include "golden_vision.h"
#include "model/tower.h"

/* Above this many bytes of activations the blocks are recomputed. */
#define KEEP_ALL_BYTES ((size_t)1 << 30)

struct run {
    const struct golden_options *options;
    struct golden_config config;
    struct golden_reference reference;
    struct golden_weights weights;
    struct tower tower;
    struct tower_activations activations;
    struct arena arena;
    int64_t n_images;
    float *pixels; /* channels last */
    float *keep;
    double loss, loss_scale;
};

/* ---- set-up ---- */

static void fill_pixels(struct run *run)
{
    int64_t points = run->config.model.image_height * run->config.model.image_width;
    int64_t n = run->n_images * points * 3;
    float *turned = memory_new((size_t)n, sizeof *turned);
    run->pixels = memory_new((size_t)n, sizeof *run->pixels);
    golden_fill(turned, n, run->config.seed, "pixel_values", 2.0);
    golden_channels_last(run->pixels, turned, run->n_images, points, 3);
    free(turned);
}

/* Block k of n drops at rate * k / (n - 1); image b keeps its branch where u[b] < 1 - that. */
static void fill_keep(struct run *run, double rate)
{
    const int64_t *depths = run->config.model.vision.depths;
    int64_t n_blocks = depths[0] + depths[1] + depths[2] + depths[3];
    run->keep = memory_new((size_t)(n_blocks * run->n_images), sizeof *run->keep);
    int64_t k = 0;
    for (int s = 0; s < N_LEVELS; s++) {
        for (int64_t b = 0; b < depths[s]; b++, k++) {
            char *name = text_format("drop_path.%d.%lld", s, (long long)b);
            struct random_stream stream = random_stream(run->config.seed, name);
            double kept = 1.0 - (n_blocks > 1 ? rate * (double)k / (double)(n_blocks - 1) : 0.0);
            for (int64_t i = 0; i < run->n_images; i++) {
                bool keeps = random_uniform(stream, (uint64_t)i) < kept;
                run->keep[k * run->n_images + i] = keeps ? (float)(1.0 / kept) : 0.0f;
            }
            free(name);
        }
    }
}

static void lay_out(struct run *run, struct arena *arena, bool recompute)
{
    const struct model_config *config = &run->config.model;
    const struct tower_mode mode = {
        .backward = true, .recompute = recompute, .pixel_gradient = true};
    tower_layout_saved(&run->activations, arena, config, &mode, run->n_images);
    tower_layout_scratch(&run->activations, arena, config, run->options->kernels);
}

static enum status take_memory(struct run *run, bool recompute)
{
    enum status status = OK;
    struct arena measuring;
    arena_init_measuring(&measuring);
    lay_out(run, &measuring, recompute);
    if (!recompute && measuring.peak > KEEP_ALL_BYTES) {
        recompute = true;
        arena_init_measuring(&measuring);
        lay_out(run, &measuring, recompute);
    }
    arena_release(&run->arena);
    TRY(arena_init(&run->arena, measuring.peak));
    lay_out(run, &run->arena, recompute);
out:
    return status;
}

static enum status set_up(struct run *run, const char *directory, struct golden_report *report)
{
    enum status status = OK;
    TRY(golden_config_read(&run->config, directory));
    TRY(golden_reference_open(&run->reference, directory, report));
    TRY(golden_config_integer(&run->n_images, &run->config, "batch", 1, 1 << 16));
    TRY(golden_weights_create(&run->weights, &run->config.model, MODULE_TOWER, run->config.seed));
    struct flat_weights flat = {.table = run->weights.table,
                                .values = run->weights.values,
                                .gradients = run->weights.gradients};
    tower_init(&run->tower, &run->config.model, &flat);
    tower_activations_init(&run->activations, &run->config.model.vision);
    fill_pixels(run);
    if (json_object_get(run->config.root, "drop_path_rate") != NULL) {
        double rate = 0;
        TRY(golden_config_number(&rate, &run->config, "drop_path_rate"));
        if (rate > 0) fill_keep(run, rate);
    }
out:
    return status;
}

static void release(struct run *run)
{
    arena_release(&run->arena);
    tower_activations_release(&run->activations);
    tower_release(&run->tower);
    golden_weights_release(&run->weights);
    golden_reference_release(&run->reference);
    golden_config_release(&run->config);
    free(run->pixels);
    free(run->keep);
}

/* ---- running ---- */

static int64_t points_of(const struct run *run, int level)
{
    return level_side(run->config.model.image_height, level) *
           level_side(run->config.model.image_width, level);
}

/* Adds to the loss and writes the gradient of one feature map: the cotangent itself. */
static void take_cotangent(struct run *run, int level)
{
    int64_t p = points_of(run, level);
    int64_t c = run->config.model.vision.dims[level];
    int64_t n = run->n_images * p * c;
    char *name = text_format("cotangent.res%d", level + 2);
    float *turned = memory_new((size_t)n, sizeof *turned);
    float *gradient = run->activations.gradients[level];
    const float *feature = run->activations.features[level];
    golden_fill(turned, n, run->config.seed, name, 1.0);
    golden_channels_last(gradient, turned, run->n_images, p, c);
    for (int64_t i = 0; i < n; i++) {
        double term = (double)feature[i] * (double)gradient[i];
        run->loss += term;
        run->loss_scale += term * term;
    }
    free(turned);
    free(name);
}

/* The loss is a long alternating sum: where no fp64 noise of it was stored, its error is measured
 * against the root of the sum of the squared terms, the size of such a sum. */
static enum status compare_loss(struct run *run)
{
    if (run->reference.noise != NULL)
        return golden_compare_number(&run->reference, "loss", run->loss, GOLDEN_FORWARD);
    double scale = sqrt(run->loss_scale) / fabs(run->loss);
    double before = run->reference.limits[GOLDEN_FORWARD];
    if (scale > 1) run->reference.limits[GOLDEN_FORWARD] *= scale;
    enum status status = golden_compare_number(&run->reference, "loss", run->loss, GOLDEN_FORWARD);
    run->reference.limits[GOLDEN_FORWARD] = before;
    return status;
}

static enum status compare_features(struct run *run, const struct golden_capture *capture)
{
    enum status status = OK;
    for (int64_t i = 0; i < capture->n_items; i++) {
        const struct captured *item = &capture->items[i];
        const int64_t sizes[3] = {run->n_images, item->rows / run->n_images, item->columns};
        TRY(golden_compare_map(&run->reference, item->name, item->data, sizes, GOLDEN_FORWARD));
    }
out:
    return status;
}

static enum status compare_pass(struct run *run, bool recompute)
{
    enum status status = OK;
    struct golden_capture capture = {0};
    struct model_observer observer = golden_capture_observer(&capture);
    struct model_run model_run = {
        .kernels = run->options->kernels, .stream = run->options->stream, .observer = &observer};
    const struct model_config *config = &run->config.model;
    TRY(take_memory(run, recompute));
    memset(run->weights.gradients, 0,
           (size_t)run->weights.table->n_gradient_elements * sizeof(float));
    run->loss = run->loss_scale = 0;
    TRY(tower_forward(&run->tower, &run->activations, run->pixels, run->keep, &model_run));
    TRY(compare_features(run, &capture));
    for (int level = 0; level < N_LEVELS; level++) take_cotangent(run, level);
    TRY(compare_loss(run));
    model_run.observer = NULL;
    TRY(tower_backward(&run->tower, &run->activations, run->keep, &model_run));
    const int64_t sizes[3] = {run->n_images, config->image_height * config->image_width, 3};
    TRY(golden_compare_map(&run->reference, "grad.pixel_values", run->activations.pixel_gradient,
                           sizes, GOLDEN_GRADIENT));
    TRY(golden_compare_gradients(&run->reference, "grad.", run->weights.table,
                                 run->weights.gradients));
out:
    golden_capture_release(&capture);
    return status;
}

static enum status run_convnext(const char *directory, const struct golden_options *options,
                                struct golden_report *report)
{
    enum status status = OK;
    struct run run = {.options = options};
    if (kernels_on_gpu(options->kernels)) {
        golden_report_skip(
            report, "everything",
            "it runs in host memory; on a GPU the robin folders run the same modules");
        return OK;
    }
    TRY(set_up(&run, directory, report));
    TRY(compare_pass(&run, false));
    if (!run.activations.mode.recompute) TRY(compare_pass(&run, true));
    golden_reference_finish(&run.reference);
out:
    release(&run);
    return status;
}

static bool recognises_convnext(const char *directory)
{
    return golden_config_names(directory, "convnext");
}

const struct golden_family golden_convnext = {"convnext", recognises_convnext, run_convnext};
