/* A model_batch with memory of its own: rows of several samples behind each other, room for their
 * pictures and regions, targets and DropPath factors. The rows are laid out at once; pixels and
 * regions are filled in afterwards, from any thread, each place once. */
#ifndef ROBIN_TRAIN_MICRO_BATCH_H
#define ROBIN_TRAIN_MICRO_BATCH_H

#include <stdint.h>

#include "base/status.h"
#include "image/region_grid.h"
#include "image/rle.h"
#include "model/batch.h"
#include "train/sample_cost.h"
#include "train/sample_rows.h"

struct micro_batch {
    struct model_batch batch; /* its pointers lead into the memory below */
    uint64_t *sample_id;      /* [n_sequences] */
    int64_t *image_of;        /* [n_sequences]: which picture; -1: none */
    int64_t *first_region;    /* [n_sequences + 1]: regions of a sequence stand together */
    int64_t pixels_per_image; /* floats */
    int64_t grid_side;        /* M */
    int64_t level_rows[N_LEVELS], level_columns[N_LEVELS];
    float *pixels, *keep, *position_grid, *target_weight;
    uint8_t *footprint[N_LEVELS];
    int32_t *indices; /* all of the batch's int32 arrays */
};

struct micro_batch_options {
    const struct model_config *config;
    double target_weight; /* share of each target in the loss */
    bool drop_path;       /* with config->vision.drop_path_rate */
    uint64_t seed;        /* of DropPath */
    int64_t step;
};

/* Memory of a micro-batch with so many rows, pictures and regions in all. */
int64_t micro_batch_bytes(const struct model_config *config, const struct sample_size *sum);

/* `sequences` and `sample_ids` [n]; nothing of them is kept. ERR_MEMORY with the size. */
enum status micro_batch_create(struct micro_batch **micro_out, const struct sample_rows *sequences,
                               const uint64_t *sample_ids, int64_t n,
                               const struct micro_batch_options *options);
void micro_batch_destroy(struct micro_batch *micro);

/* f32 [image_height, image_width, 3] of the picture of sequence `sequence`, to be filled. */
float *micro_batch_pixels(struct micro_batch *micro, int64_t sequence);

/* Footprints and position grid of region `region` (counted within its sequence) from its mask. */
enum status micro_batch_set_region(struct micro_batch *micro, int64_t sequence, int64_t region,
                                   const struct rle *mask);

/* The same for many regions of one picture, whose grids are then made once. */
struct micro_batch_grids { /* zeroed is releasable */
    struct region_grid *level[N_LEVELS], *position;
};
enum status micro_batch_grids_init(struct micro_batch_grids *grids_out,
                                   const struct micro_batch *micro, int64_t height, int64_t width);
void micro_batch_grids_release(struct micro_batch_grids *grids);
void micro_batch_fill_region(struct micro_batch *micro, int64_t sequence, int64_t region,
                             const struct micro_batch_grids *grids, const struct rle *mask);

/* DropPath's factor of one block for one sample in one step: 0 or 1 / (1 - rate). */
float micro_batch_keep(uint64_t seed, int64_t step, uint64_t sample_id, int64_t block, double rate);

#endif
