/* How fast one core makes a photograph into pixels of a model's size, beside nothing but
 * decoding it; a mask into the grids of the mask extractor; and a scene of the procedural
 * corpus. */
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/scenes.h"
#include "image/image.h"
#include "image/region_grid.h"
#include "support/bench.h"

enum { MAX_PHOTOGRAPHS = 32, MAX_FILE = 1 << 24, N_SCENES = 50, N_GRIDS = 5 };

struct work {
    struct image_source photographs[MAX_PHOTOGRAPHS];
    int64_t n, side;
    float *pixels;
    struct rle mask;
    uint8_t *cells;
    struct region_grid *grids[N_GRIDS];
};

static void must(enum status status)
{
    if (status == OK) return;
    fprintf(stderr, "error: %s\n", status_message());
    exit(1);
}

static void read_photographs(struct work *work, const char *pattern)
{
    glob_t found = {0};
    if (glob(pattern, 0, NULL, &found) != 0) return;
    for (size_t i = 0; i < found.gl_pathc && work->n < MAX_PHOTOGRAPHS; i++) {
        unsigned char *bytes;
        size_t size;
        must(file_read(&bytes, &size, found.gl_pathv[i], MAX_FILE));
        work->photographs[work->n++] = (struct image_source){bytes, size, "photograph"};
    }
    globfree(&found);
}

static void decode_all(void *context)
{
    struct work *work = context;
    for (int64_t i = 0; i < work->n; i++) {
        struct image image = {0};
        must(image_decode(&image, work->photographs[i].bytes, work->photographs[i].size, "x"));
        image_release(&image);
    }
}

static void preprocess_all(void *context)
{
    struct work *work = context;
    for (int64_t i = 0; i < work->n; i++)
        must(image_preprocess(work->pixels, work->photographs[i], IMAGE_MODE_PAD, work->side,
                              work->side));
}

/* What one region of a 512 x 512 model needs: four footprints and the position grid. */
static void all_grids(void *context)
{
    struct work *work = context;
    for (int i = 0; i < N_GRIDS; i++) {
        region_grid_take(work->grids[i], &work->mask);
        if (i < N_GRIDS - 1)
            region_grid_footprint(work->cells, work->grids[i]);
        else
            region_grid_values(work->pixels, work->grids[i]);
    }
}

static void draw_scenes(void *context)
{
    (void)context;
    struct scenes_options options = scenes_options_default();
    for (int64_t i = 0; i < N_SCENES; i++) {
        struct record record = {0};
        must(scenes_record(&record, &options, i));
        record_release(&record);
    }
}

/* A disc that fills about a third of a 640 x 480 picture. */
static void make_disc(struct rle *rle)
{
    double xy[128];
    for (int i = 0; i < 64; i++) {
        double angle = 2 * 3.14159265358979 * i / 64;
        xy[2 * i] = 320 + 180 * cos(angle);
        xy[2 * i + 1] = 240 + 180 * sin(angle);
    }
    must(rle_from_polygon(rle, xy, 64, 480, 640));
}

int main(void)
{
    struct work work = {.pixels = bench_floats(512 * 512 * 3), .cells = malloc(128 * 128)};
    const char *shared = getenv("ROBIN_SHARED");
    char *pattern =
        text_format("%s/data/coco_panoptic/images/*.jpg", shared ? shared : "../shared");
    read_photographs(&work, pattern);
    if (work.n > 0) {
        double bare = bench_seconds(decode_all, &work);
        bench_row("decode", "photographs", "%7.1f images/s", (double)work.n / bare);
        for (work.side = 128; work.side <= 512; work.side *= 2) {
            char *size = text_format("%d x %d", (int)work.side, (int)work.side);
            double all = bench_seconds(preprocess_all, &work);
            bench_row("decode, resize, normalise", size, "%7.1f images/s = %.0f %% of decoding",
                      (double)work.n / all, 100 * bare / all);
            free(size);
        }
    } else {
        bench_row("decode", "photographs", "skipped: no %s", pattern);
    }
    make_disc(&work.mask);
    static const int64_t sides[N_GRIDS] = {128, 64, 32, 16, 112};
    for (int i = 0; i < N_GRIDS; i++)
        must(region_grid_create(&work.grids[i], 480, 640, sides[i], sides[i]));
    double grids = bench_seconds(all_grids, &work);
    bench_row("mask to its five grids", "640 x 480", "%7.0f regions/s", 1 / grids);
    double scenes = bench_seconds(draw_scenes, NULL);
    bench_row("scenes", "128 x 128", "%7.0f scenes/s", N_SCENES / scenes);
    for (int i = 0; i < N_GRIDS; i++) region_grid_destroy(work.grids[i]);
    rle_release(&work.mask);
    for (int64_t i = 0; i < work.n; i++) free((void *)(uintptr_t)work.photographs[i].bytes);
    free(work.pixels);
    free(work.cells);
    free(pattern);
    return 0;
}
