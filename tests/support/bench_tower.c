/* See bench_tower.h. */
#include "support/bench_tower.h"

#include <stdio.h>

#include "base/random.h"
#include "base/text_buffer.h"

void bench_tower_read(struct bench_tower *tower, const char *text)
{
    long long n[3];
    if (sscanf(text, "tower=%lld,%lld,%lld", n, n + 1, n + 2) != 3) return;
    *tower = (struct bench_tower){.width = n[0], .outer = n[1], .inner = n[2]};
}

struct model_config bench_tower_config(const struct bench_tower *tower, int64_t side)
{
    const int64_t width = tower->width, outer = tower->outer;
    return (struct model_config){
        .image_height = side,
        .image_width = side,
        .vision = {.depths = {outer, outer, tower->inner, outer},
                   .dims = {width, 2 * width, 4 * width, 8 * width},
                   .norm_eps = 1e-6,
                   .layer_scale_init = 1e-6},
        .extractor = {.embed = width >= 192 ? 1024 : 1, .mask_side = width >= 192 ? 112 : 1},
    };
}

float *bench_tower_pixels(int64_t n, int64_t side)
{
    const size_t count = (size_t)(n * side * side * 3);
    float *pixels = memory_new(count, sizeof *pixels);
    random_fill(pixels, count, 0, random_stream(1, "pixels"), 0, 2);
    return pixels;
}
