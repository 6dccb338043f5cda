/* Family "mask_extractor": the mask extractor alone, on given feature maps of any grids. */
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "golden_config.h"
#include "golden_families.h"
#include "golden_reference.h"
#include "golden_vision.h"
#include "model/extractor.h"

#define MAX_IMAGES 4096

struct run {
    const struct golden_options *options;
    struct golden_config config;
    struct golden_reference reference;
    struct golden_weights weights;
    struct extractor extractor;
    struct extractor_activations activations;
    struct arena arena;
    int64_t grids[N_LEVELS][2];
    int64_t n_images, n_regions;
    int64_t *first; /* [n_images + 1]: first region of each image */
    float *features[N_LEVELS], *dfeatures[N_LEVELS];
    uint8_t *footprint[N_LEVELS];
    int32_t *region_image;
    float *position_grid;
};

static int64_t points_of(const struct run *run, int level)
{
    return run->grids[level][0] * run->grids[level][1];
}

/* ---- set-up ---- */

static enum status read_sizes(struct run *run)
{
    enum status status = OK;
    json_t *grids = NULL;
    json_t *sizes = NULL;
    TRY(golden_config_value(&grids, &run->config, "grids", JSON_ARRAY));
    TRY(golden_config_value(&sizes, &run->config, "image_sizes", JSON_ARRAY));
    run->n_images = (int64_t)json_array_size(sizes);
    if (run->n_images < 1 || run->n_images > MAX_IMAGES)
        FAIL(ERR_FORMAT, "%s: image_sizes has %lld entries", run->config.path,
             (long long)run->n_images);
    for (int level = 0; level < N_LEVELS; level++)
        TRY(golden_integers(run->grids[level], 2, json_array_get(grids, (size_t)level), 1 << 14,
                            run->config.path, "grids"));
out:
    return status;
}

static void take_features(struct run *run)
{
    for (int level = 0; level < N_LEVELS; level++) {
        int64_t p = points_of(run, level);
        int64_t c = run->config.model.vision.dims[level];
        int64_t n = run->n_images * p * c;
        char *name = text_format("features.res%d", level + 2);
        float *turned = memory_new((size_t)n, sizeof *turned);
        run->features[level] = memory_new((size_t)n, sizeof(float));
        run->dfeatures[level] = memory_new((size_t)n, sizeof(float));
        golden_fill(turned, n, run->config.seed, name, 2.0);
        golden_channels_last(run->features[level], turned, run->n_images, p, c);
        free(turned);
        free(name);
    }
}

/* Appends the regions of one image: footprints at every level, and the position grid. */
static enum status add_masks(struct run *run, const uint8_t *masks, const int64_t dims[3],
                             int64_t image)
{
    enum status status = OK;
    const struct kernels *k = run->options->kernels;
    struct stream *stream = run->options->stream;
    int64_t q = dims[0];
    int64_t before = run->n_regions;
    int64_t side = run->config.model.extractor.mask_side;
    float *grid = NULL;
    run->n_regions += q;
    size_t n = (size_t)run->n_regions + 1;
    run->region_image = memory_resize(run->region_image, n, sizeof *run->region_image);
    run->position_grid =
        memory_resize(run->position_grid, n * (size_t)(side * side), sizeof(float));
    for (int64_t i = 0; i < q; i++) run->region_image[before + i] = (int32_t)image;
    for (int level = 0; level < N_LEVELS; level++) {
        int64_t p = points_of(run, level);
        run->footprint[level] = memory_resize(run->footprint[level], n * (size_t)p, 1);
        grid = memory_resize(grid, (size_t)(q * p) + 1, sizeof *grid);
        TRY(k->mask_resize(grid, masks, q, dims[1], dims[2], run->grids[level][0],
                           run->grids[level][1], stream));
        for (int64_t i = 0; i < q * p; i++) run->footprint[level][before * p + i] = grid[i] > 0;
    }
    TRY(k->mask_resize(run->position_grid + before * side * side, masks, q, dims[1], dims[2], side,
                       side, stream));
out:
    free(grid);
    return status;
}

static enum status take_masks(struct run *run)
{
    enum status status = OK;
    uint8_t *masks = NULL;
    run->first = memory_new((size_t)run->n_images + 1, sizeof *run->first);
    for (int64_t image = 0; image < run->n_images; image++) {
        int64_t dims[3];
        char *name = text_format("masks.%lld", (long long)image);
        status = golden_load_masks(&run->reference, name, &masks, dims);
        free(name);
        TRY(status);
        TRY(add_masks(run, masks, dims, image));
        run->first[image + 1] = run->n_regions;
        free(masks);
        masks = NULL;
    }
out:
    free(masks);
    return status;
}

static void lay_out(struct run *run, struct arena *arena)
{
    const struct extractor_mode mode = {.trains = true, .features = true};
    extractor_layout_saved(&run->activations, arena, &run->config.model, &mode, run->n_regions);
    extractor_layout_scratch(&run->activations, arena, &run->config.model, &mode);
}

static enum status set_up(struct run *run, const char *directory, struct golden_report *report)
{
    enum status status = OK;
    struct arena measuring;
    TRY(golden_config_read(&run->config, directory));
    TRY(golden_reference_open(&run->reference, directory, report));
    TRY(read_sizes(run));
    TRY(golden_weights_create(&run->weights, &run->config.model, MODULE_EXTRACTOR,
                              run->config.seed));
    struct flat_weights flat = {.table = run->weights.table,
                                .values = run->weights.values,
                                .gradients = run->weights.gradients};
    extractor_init(&run->extractor, &run->config.model, &flat);
    take_features(run);
    TRY(take_masks(run));
    arena_init_measuring(&measuring);
    lay_out(run, &measuring);
    TRY(arena_init(&run->arena, measuring.peak));
    lay_out(run, &run->arena);
out:
    return status;
}

static void release(struct run *run)
{
    arena_release(&run->arena);
    golden_weights_release(&run->weights);
    golden_reference_release(&run->reference);
    golden_config_release(&run->config);
    for (int level = 0; level < N_LEVELS; level++) {
        free(run->features[level]);
        free(run->dfeatures[level]);
        free(run->footprint[level]);
    }
    free(run->first);
    free(run->region_image);
    free(run->position_grid);
}

/* ---- comparing ---- */

/* NAME.I of the regions of image I, from rows [Q, columns] of all. */
static enum status compare_rows(struct run *run, const char *name, const float *rows,
                                int64_t columns)
{
    enum status status = OK;
    for (int64_t image = 0; image < run->n_images; image++) {
        int64_t n = run->first[image + 1] - run->first[image];
        char *full = text_format("%s.%lld", name, (long long)image);
        status = golden_compare(&run->reference, full, rows + run->first[image] * columns,
                                n * columns, GOLDEN_FORWARD);
        free(full);
        TRY(status);
    }
out:
    return status;
}

static enum status compare_areas(struct run *run, int level)
{
    enum status status = OK;
    int64_t p = points_of(run, level);
    int64_t *areas = memory_new((size_t)run->n_regions + 1, sizeof *areas);
    for (int64_t i = 0; i < run->n_regions * p; i++) areas[i / p] += run->footprint[level][i];
    for (int64_t image = 0; image < run->n_images; image++) {
        char *name = text_format("footprint_area.res%d.%lld", level + 2, (long long)image);
        status = golden_compare_integers(&run->reference, name, areas + run->first[image],
                                         run->first[image + 1] - run->first[image]);
        free(name);
        TRY(status);
    }
out:
    free(areas);
    return status;
}

static enum status compare_forward(struct run *run)
{
    enum status status = OK;
    int64_t d = run->config.model.lm.hidden;
    for (int level = 0; level < N_LEVELS; level++) {
        char *name = text_format("pooled.res%d", level + 2);
        status = compare_rows(run, name, run->activations.pooled[level],
                              run->config.model.vision.dims[level]);
        free(name);
        TRY(status);
        TRY(compare_areas(run, level));
    }
    TRY(compare_rows(run, "t", run->activations.t, d));
    TRY(compare_rows(run, "s", run->activations.s, d));
out:
    return status;
}

/* Loss of one kind of token; its rows become their gradient, the cotangent. */
static double take_cotangents(struct run *run, const char *name, float *rows)
{
    double loss = 0;
    int64_t d = run->config.model.lm.hidden;
    for (int64_t image = 0; image < run->n_images; image++) {
        int64_t n = (run->first[image + 1] - run->first[image]) * d;
        float *own = rows + run->first[image] * d;
        float *cotangent = memory_new((size_t)n + 1, sizeof *cotangent);
        char *full = text_format("cotangent.%s.%lld", name, (long long)image);
        golden_fill(cotangent, n, run->config.seed, full, 1.0);
        for (int64_t i = 0; i < n; i++) loss += (double)own[i] * (double)cotangent[i];
        memcpy(own, cotangent, (size_t)n * sizeof *own);
        free(full);
        free(cotangent);
    }
    return loss;
}

static enum status compare_backward(struct run *run)
{
    enum status status = OK;
    for (int level = 0; level < N_LEVELS; level++) {
        const int64_t sizes[3] = {run->n_images, points_of(run, level),
                                  run->config.model.vision.dims[level]};
        char *name = text_format("grad.features.res%d", level + 2);
        status = golden_compare_map(&run->reference, name, run->dfeatures[level], sizes,
                                    GOLDEN_GRADIENT);
        free(name);
        TRY(status);
    }
    TRY(golden_compare_gradients(&run->reference, "grad.", run->weights.table,
                                 run->weights.gradients));
out:
    return status;
}

static enum status run_extractor(const char *directory, const struct golden_options *options,
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
    const struct model_run model_run = {.kernels = options->kernels, .stream = options->stream};
    TRY(set_up(&run, directory, report));
    struct extractor_input input = {.n_images = run.n_images,
                                    .n_regions = run.n_regions,
                                    .footprint = (const uint8_t *const *)run.footprint,
                                    .region_image = run.region_image,
                                    .position_grid = run.position_grid};
    for (int level = 0; level < N_LEVELS; level++) {
        input.points[level] = points_of(&run, level);
        input.features[level] = run.features[level];
    }
    TRY(extractor_forward(&run.extractor, &run.activations, &input, &model_run));
    TRY(compare_forward(&run));
    double loss = take_cotangents(&run, "t", run.activations.t);
    loss += take_cotangents(&run, "s", run.activations.s);
    TRY(golden_compare_number(&run.reference, "loss", loss, GOLDEN_FORWARD));
    void *dfeatures[N_LEVELS];
    for (int level = 0; level < N_LEVELS; level++) dfeatures[level] = run.dfeatures[level];
    TRY(extractor_backward(&run.extractor, &run.activations, &input, dfeatures, &model_run));
    TRY(compare_backward(&run));
    golden_reference_finish(&run.reference);
out:
    release(&run);
    return status;
}

static bool recognises_extractor(const char *directory)
{
    return golden_config_names(directory, "mask_extractor");
}

const struct golden_family golden_extractor = {"mask_extractor", recognises_extractor,
                                               run_extractor};
