/* A vision tower for benchmarks: ConvNeXt-L unless another is asked for. */
#ifndef ROBIN_TESTS_SUPPORT_BENCH_TOWER_H
#define ROBIN_TESTS_SUPPORT_BENCH_TOWER_H

#include "model/model_config.h"

struct bench_tower {
    int64_t width, outer, inner; /* channels of res2, doubled at each stage; blocks of a stage: the
                                    third has `inner`, the others `outer` */
};
#define BENCH_TOWER_LARGE                                                                          \
    {                                                                                              \
        .width = 192, .outer = 3, .inner = 27                                                      \
    }

/* What "tower=WIDTH,OUTER,INNER" says; any other text leaves it as it was. */
void bench_tower_read(struct bench_tower *tower, const char *text);
/* A ROBIN with that tower for pictures of side x side; the language model is not filled in. */
struct model_config bench_tower_config(const struct bench_tower *tower, int64_t side);
/* f32 [n, side, side, 3], the same at every call; to free(). */
float *bench_tower_pixels(int64_t n, int64_t side);

#endif
