/* One micro-batch as the model takes it: packed samples, everything resolved to rows and indices,
 * nothing about files, ranks or tokenizers. Made by the packer (src/train), by the golden tool and
 * by tests.
 *
 * A sample is a sequence of T_s rows. A row comes from the embedding (token_id >= 0), from an image
 * token (image_row) or from a region token (mask_row, pos_row). Cutting at the maximum length is
 * done by the maker: rows that fell away are -1. */
#ifndef ROBIN_MODEL_BATCH_H
#define ROBIN_MODEL_BATCH_H

#include <stdint.h>

#include "model/model_config.h"

struct model_batch {
    /* images */
    int64_t n_images;    /* B */
    const float *pixels; /* [B, image_height, image_width, 3] f32, normalised */
    const float *keep;   /* DropPath factors [sum of depths, B]: 0 or 1 / (1 - rate of that block);
                            NULL: all 1 */

    /* regions, of all images, in any order */
    int64_t n_regions;                  /* Q */
    const int32_t *region_image;        /* [Q]: which image */
    const uint8_t *footprint[N_LEVELS]; /* [Q, P_level]: bilinear resize of the mask to the level's
                                           grid, then > 0 */
    const float *position_grid;         /* [Q, M * M]: bilinear resize of the original mask */

    /* rows */
    int64_t n_sequences;      /* S */
    int64_t n_tokens;         /* T */
    const int32_t *seq_start; /* [S + 1] */
    const int32_t *position;  /* [T]: counts from 0 in each sequence */
    const int32_t *token_id;  /* [T]: -1 where an image or region token stands */
    const int32_t *image_row; /* [B * P_IMAGE_LEVEL]: row of each image token; -1: nowhere */
    const int32_t *mask_row;  /* [Q]: row of t_q; -1: nowhere */
    const int32_t *pos_row;   /* [Q]: row of s_q; -1: nowhere */

    /* targets, already shifted: row t predicts the label of row t + 1 of the same sequence */
    int64_t n_targets;          /* N */
    const int32_t *target_row;  /* [N], increasing */
    const int32_t *target;      /* [N]: 0 .. vocab - 1 */
    const float *target_weight; /* [N]: share in the loss, e.g. 1 / targets of the global batch */
};

#endif
