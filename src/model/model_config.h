/* The sizes of a ROBIN: everything that fixes the shapes of its parameters, and the constants of
 * its arithmetic. */
#ifndef ROBIN_MODEL_MODEL_CONFIG_H
#define ROBIN_MODEL_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#define N_LEVELS    4 /* stages of the tower: res2, res3, res4, res5, strides 4, 8, 16, 32 */
#define IMAGE_LEVEL 2 /* res4 gives the image tokens */

struct vision_config { /* timm ConvNeXt as open_clip wraps it */
    int64_t depths[N_LEVELS];
    int64_t dims[N_LEVELS];
    double norm_eps;         /* 1e-6 */
    double drop_path_rate;   /* linspace(0, rate, sum of depths) over the blocks; 0: off */
    double layer_scale_init; /* of weights made here: 1e-6 in the paper's */
};

struct extractor_config { /* svg/model/layer.py MaskExtractor; level widths are the tower's dims,
                             out is lm.hidden */
    int64_t embed;        /* 1024 */
    int64_t mask_side;    /* M = 112 */
};

struct lm_config { /* Hugging Face Qwen2Config */
    int64_t vocab, hidden, ffn, layers, heads, kv_heads, max_positions;
    double rms_eps, rope_theta;
    bool tied; /* tie_word_embeddings */
};

struct model_config {
    int64_t image_height,
        image_width; /* pixels, multiples of 32 in a ROBIN; 512 x 512 in the paper's */
    struct vision_config vision;
    struct extractor_config extractor;
    struct lm_config lm;
};

/* Rows (or columns) of level `level` for an image of `pixels`: floor division at the stem (4) and
 * each downsample (2). */
static inline int64_t level_side(int64_t pixels, int level)
{
    int64_t side = pixels / 4;
    for (int l = 0; l < level; l++) side /= 2;
    return side;
}

#endif
