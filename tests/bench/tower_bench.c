/* The vision tower's forward alone, all four stages as a run has them, from fp32 pixels that are
 * where it computes. Beside PyTorch's compiled one by step_table.py.
 *
 * usage: tower_bench [images=N] [image=SIDE] [tower=WIDTH,OUTER,INNER] [steps=N] [warm=N] [gpu=1]
 *
 * One JSON object: pictures a second by the median of the steps, seconds from the program's start
 * to the end of the first, and the mean of the squares of the map that the language model reads,
 * by which two devices are compared. gpu: in bf16. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text_buffer.h"
#include "device/device.h"
#include "device/stream.h"
#include "model/model_store.h"
#include "model/tower.h"
#include "support/bench.h"
#include "support/bench_tower.h"

enum { MAX_STEPS = 1000 };

struct bench {
    struct bench_tower size;
    int64_t images, side, steps, warm, gpu;
    struct model_config config;
    struct device *device; /* NULL: the CPU */
    struct stream *stream;
    const struct kernels *kernels;
    struct model *model; /* holds the weights; it is not run */
    struct tower tower;
    struct tower_activations activations;
    struct arena arena;
    void *pixels; /* where it computes */
    double began, first, median, square;
};

static enum status open_device(struct bench *b)
{
    enum status status = OK;
    b->kernels = b->gpu != 0 ? kernels_find("cuda-bf16") : &kernels_cpu;
    if (b->kernels == NULL)
        FAIL(ERR_UNSUPPORTED, "gpu=1, but this was built without CUDA; rebuild with make CUDA=1");
    if (b->gpu != 0) {
        TRY(device_open(&b->device, "cuda", 0));
        TRY(device_stream(b->device, &b->stream, 1));
    } else {
        TRY(stream_create(&b->stream, bench_threads()));
    }
out:
    return status;
}

static void lay_out(struct bench *b, struct arena *arena)
{
    const struct tower_mode forward_only = {.backward = false};
    tower_layout_saved(&b->activations, arena, &b->config, &forward_only, b->images);
    tower_layout_scratch(&b->activations, arena, &b->config, b->kernels);
}

static enum status make_tower(struct bench *b)
{
    enum status status = OK;
    const struct model_options options = {.limits = {.max_tokens = 1}};
    struct arena measuring;
    b->config = bench_tower_config(&b->size, b->side);
    b->config.lm = (struct lm_config){16, 16, 16, 1, 1, 1, 16, 1e-6, 1e6, true};
    TRY(model_create(&b->model, &b->config, &options, b->kernels, b->stream));
    parameters_fill(model_weights(b->model), model_parameters(b->model), 1);
    TRY(model_send_weights(b->model));
    const struct flat_weights flat = model_flat_weights(b->model);
    tower_init(&b->tower, &b->config, &flat);
    tower_activations_init(&b->activations, &b->config.vision);
    b->activations.dtype = b->kernels->dtype;
    arena_init_measuring(&measuring);
    lay_out(b, &measuring);
    TRY(model_arena_init(&b->arena, measuring.peak, b->stream, "activations of the tower"));
    lay_out(b, &b->arena);
out:
    return status;
}

static enum status place_pixels(struct bench *b)
{
    enum status status = OK;
    const size_t bytes = (size_t)(b->images * b->side * b->side * 3) * sizeof(float);
    float *pixels = bench_tower_pixels(b->images, b->side);
    TRY(stream_take(b->stream, &b->pixels, bytes, "pixels"));
    TRY(stream_copy(b->stream, b->pixels, pixels, bytes));
    TRY(stream_wait(b->stream));
out:
    free(pixels);
    return status;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum status take_steps(struct bench *b, const struct model_run *run)
{
    enum status status = OK;
    double took[MAX_STEPS];
    for (int64_t step = 0; step < b->warm + b->steps; step++) {
        const double start = monotonic_seconds();
        TRY(tower_forward(&b->tower, &b->activations, b->pixels, NULL, run));
        TRY(stream_wait(b->stream));
        const double end = monotonic_seconds();
        if (step == 0) b->first = end - b->began;
        if (step >= b->warm) took[step - b->warm] = end - start;
    }
    qsort(took, (size_t)b->steps, sizeof *took, compare_doubles);
    b->median = took[b->steps / 2];
out:
    return status;
}

static enum status look_at_map(struct bench *b, const struct model_run *run)
{
    enum status status = OK;
    const int64_t side = level_side(b->side, IMAGE_LEVEL);
    const int64_t n = b->images * side * side * b->config.vision.dims[IMAGE_LEVEL];
    float *map = memory_new((size_t)n, sizeof *map);
    TRY(read_tensor(run, map, b->activations.features[IMAGE_LEVEL], n));
    for (int64_t i = 0; i < n; i++) b->square += (double)map[i] * map[i] / (double)n;
out:
    free(map);
    return status;
}

static enum status measure(struct bench *b)
{
    enum status status = OK;
    TRY(open_device(b));
    TRY(make_tower(b));
    TRY(place_pixels(b));
    const struct model_run run = {.kernels = b->kernels, .stream = b->stream};
    TRY(take_steps(b, &run));
    TRY(look_at_map(b, &run));
    printf("{\"pictures_per_s\": %.6g, \"median\": %.6g, \"first_s\": %.6g, \"square\": %.9g}\n",
           (double)b->images / b->median, b->median, b->first, b->square);
out:
    return status;
}

static void read_number(int64_t *value, const char *text, const char *name)
{
    const size_t n = strlen(name);
    if (strncmp(text, name, n) == 0) *value = strtoll(text + n, NULL, 10);
}

int main(int argc, char **argv)
{
    struct bench b = {.size = BENCH_TOWER_LARGE,
                      .images = 8,
                      .side = 512,
                      .steps = 10,
                      .warm = 3,
                      .began = monotonic_seconds()};
    for (int i = 1; i < argc; i++) {
        read_number(&b.images, argv[i], "images=");
        read_number(&b.side, argv[i], "image=");
        read_number(&b.steps, argv[i], "steps=");
        read_number(&b.warm, argv[i], "warm=");
        read_number(&b.gpu, argv[i], "gpu=");
        bench_tower_read(&b.size, argv[i]);
    }
    if (b.steps < 1 || b.steps > MAX_STEPS || b.warm < 0 || b.images < 1) {
        fprintf(stderr, "error: steps= is 1 to %d, images= at least 1, warm= at least 0\n",
                MAX_STEPS);
        return 2;
    }
    const enum status status = measure(&b);
    if (status != OK) fprintf(stderr, "error: %s\n", status_message());
    if (b.stream != NULL && b.pixels != NULL) stream_give(b.stream, b.pixels);
    if (b.stream != NULL) model_arena_release(&b.arena, b.stream);
    tower_activations_release(&b.activations);
    tower_release(&b.tower);
    model_destroy(b.model);
    if (b.device == NULL) stream_destroy(b.stream);
    device_close(b.device);
    return status == OK ? 0 : 1;
}
