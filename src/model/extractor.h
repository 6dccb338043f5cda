/* The mask extractor: two tokens per region, t from features pooled under its mask at four levels,
 * s from the mask's own shape and place. svg/model/layer.py MaskExtractor. Internal to src/model.
 */
#ifndef ROBIN_MODEL_EXTRACTOR_H
#define ROBIN_MODEL_EXTRACTOR_H

#include "model/model_run.h"

struct extractor {
    const struct model_config *config;
    struct linear levels[N_LEVELS]; /* res2 .. res5 */
    struct linear feat;
    struct linear position[3];
};

/* What it reads: maps of all images and the regions on them. */
struct extractor_input {
    int64_t n_images, n_regions;
    int64_t points[N_LEVELS];        /* P of each level */
    const void *features[N_LEVELS];  /* [B, P, C] */
    const uint8_t *const *footprint; /* per level [Q, P] */
    const int32_t *region_image;     /* [Q] */
    const float *position_grid;      /* [Q, M * M] */
};

struct extractor_mode {
    bool trains;   /* its own parameters get gradients */
    bool features; /* the feature maps get gradients */
};

/* The reference computes in fp32 here whatever the rest is in, with unrounded weights: features are
 * widened while they are pooled, tokens rounded at the end. */
struct extractor_activations {
    int64_t n_regions;
    enum dtype dtype;        /* of features and of the rows of tokens: the kernels' */
    float *pooled[N_LEVELS]; /* [Q, C] */
    float *level;            /* [Q, E] scratch */
    float *sum;              /* [Q, E] over the levels */
    float *relu[2];          /* [Q, E] */
    float *t, *s;            /* [Q, D]; in the backward their gradients lie here */
    void *t_rows, *s_rows;   /* the same as tensors; t and s where that is fp32 */
    float *dembed[2];        /* [Q, E] scratch */
    float *dpooled;          /* [Q, widest C] scratch */
};

void extractor_init(struct extractor *extractor, const struct model_config *config,
                    const struct flat_weights *flat);
void extractor_layout_saved(struct extractor_activations *activations, struct arena *arena,
                            const struct model_config *config, const struct extractor_mode *mode,
                            int64_t n_regions);
void extractor_layout_scratch(struct extractor_activations *activations, struct arena *arena,
                              const struct model_config *config, const struct extractor_mode *mode);

enum status extractor_forward(const struct extractor *extractor,
                              struct extractor_activations *activations,
                              const struct extractor_input *input, const struct model_run *run);
/* Takes the gradients of t and s from where their rows lay; adds to dfeatures [B, P, C] of each
 * level (NULL: frozen). */
enum status extractor_backward(const struct extractor *extractor,
                               struct extractor_activations *activations,
                               const struct extractor_input *input, void *const dfeatures[N_LEVELS],
                               const struct model_run *run);

#endif
