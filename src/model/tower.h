/* The vision tower: timm's ConvNeXt as open_clip wraps it, features of the four stages kept.
 * Liu et al. 2022 (A ConvNet for the 2020s). Channels-last throughout. Internal to src/model. */
#ifndef ROBIN_MODEL_TOWER_H
#define ROBIN_MODEL_TOWER_H

#include "model/model_run.h"

struct tower_block {
    struct weight gamma;
    struct weight conv, conv_bias;
    struct norm norm;
    struct linear fc1, fc2;
};

struct tower_stage {
    struct norm down_norm; /* stages 1 .. 3 */
    struct linear down;
    struct tower_block *blocks;
};

struct tower {
    const struct model_config *config;
    struct linear stem; /* 4x4 convolution with stride 4, over unfolded patches */
    struct norm stem_norm;
    struct tower_stage stages[N_LEVELS];
};

/* Inner results of one block: rows M = B * P of its stage. */
struct tower_block_set {
    void *conv;         /* [M, C] after the depthwise convolution */
    float *mean, *rstd; /* [M] */
    void *norm;         /* [M, C] */
    void *hidden;       /* [M, 4 C] before GELU */
    void *gelu;         /* [M, 4 C] */
    void *branch;       /* [M, C] after fc2 */
};

struct tower_mode {
    bool backward;       /* the tower trains and this run may go back through it */
    bool recompute;      /* of a block only the input is kept */
    bool pixel_gradient; /* also the gradient of the pixels */
};

struct tower_activations {
    int64_t n_images;
    enum dtype dtype; /* of the tensors: the kernels' */
    struct tower_mode mode;
    void *pixels;              /* [B, height, width, 3] scratch, where tensors are not fp32 */
    void *features[N_LEVELS];  /* res2 .. res5: [B, P, C]; outputs of the stages */
    void *gradients[N_LEVELS]; /* of the features; backward only, in scratch */
    void *stem_columns, *stem_linear;
    float *stem_mean, *stem_rstd;
    void *down_columns[N_LEVELS];
    float *down_mean[N_LEVELS], *down_rstd[N_LEVELS];
    void *down_norm;                        /* scratch */
    void **inputs[N_LEVELS];                /* per block its input: backward only */
    struct tower_block_set *sets[N_LEVELS]; /* per block: backward without recompute */
    struct tower_block_set shared;          /* else: scratch of any block */
    void *narrow[2], *wide;                 /* scratch of the backward */
    void *pixel_gradient;                   /* [B, height, width, 3] if asked for */
    void *workspace;
};

/* Finds the weights in the flat buffers; `config` is borrowed. */
void tower_init(struct tower *tower, const struct model_config *config,
                const struct flat_weights *flat);
void tower_release(struct tower *tower);

/* Arrays of pointers, for the life of the model. */
void tower_activations_init(struct tower_activations *activations,
                            const struct vision_config *vision);
void tower_activations_release(struct tower_activations *activations);

/* What must live from the forward to the backward (features always); and what one call needs. */
void tower_layout_saved(struct tower_activations *activations, struct arena *arena,
                        const struct model_config *config, const struct tower_mode *mode,
                        int64_t n_images);
void tower_layout_scratch(struct tower_activations *activations, struct arena *arena,
                          const struct model_config *config, const struct kernels *kernels);

/* pixels [B, height, width, 3] -> activations->features. keep [blocks, B] or NULL: DropPath. */
enum status tower_forward(const struct tower *tower, struct tower_activations *activations,
                          const float *pixels, const float *keep, const struct model_run *run);
/* Consumes activations->gradients (of the loss by each feature map, written by the caller) and adds
 * to the gradients of the tower's parameters. Needs the factors of the forward. */
enum status tower_backward(const struct tower *tower, struct tower_activations *activations,
                           const float *keep, const struct model_run *run);

#endif
