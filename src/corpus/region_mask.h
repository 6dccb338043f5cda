/* The mask a region gives the model, in the frame of the original picture. */
#ifndef ROBIN_CORPUS_REGION_MASK_H
#define ROBIN_CORPUS_REGION_MASK_H

#include "base/status.h"
#include "corpus/record.h"
#include "image/rle.h"

enum region_mode {
    REGION_SEGMENTATION,    /* the mask; the filled box where a region has none */
    REGION_BOX,             /* the filled box */
    REGION_BOX_SEGMENTATION /* the mask and a border of 3 pixels round the box */
};

/* `region` indexes record.regions; -1: the whole picture. mask_out has the record's height and
 * width. ERR_SHAPE naming the record when a mask has another size. */
enum status region_mask(struct rle *mask_out, const struct record *record, int64_t region,
                        enum region_mode mode);

#endif
