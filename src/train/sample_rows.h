/* A sample laid out as rows of the model's input: the image token opened into its image rows, each
 * <mask><pos> pair bound to its region, everything cut at the maximum length, targets shifted. This
 * is the arithmetic of the reference's prepare_inputs_labels_for_multimodal, without embeddings. */
#ifndef ROBIN_TRAIN_SAMPLE_ROWS_H
#define ROBIN_TRAIN_SAMPLE_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "corpus/sample.h"

struct sample_rows_options {
    int32_t mask_id;    /* of <mask>; the id behind it is its partner whatever it is */
    int64_t vocab;      /* ids are 0 .. vocab - 1 */
    int64_t image_rows; /* rows of one picture */
    int64_t max_length; /* rows of one sample; 0: no limit */

    /* Pre-training of the tower: the only targets are the first token of each region's answer, and
     * the region's <mask> row predicts it, without the language model between. */
    bool region_objective;
    int32_t turn_id, newline_id; /* of <|im_start|> and the line's end behind a role's name */
};

struct sample_rows { /* zeroed is releasable */
    int64_t n_rows;
    int32_t *token_id; /* [n_rows]: -1 where an image or region token stands */
    int32_t *label;    /* [n_rows]: what row r itself holds; IGNORE_LABEL: not learnt */
    int64_t image_row; /* first row of the picture; -1: no picture */
    int64_t n_regions;
    int32_t *region_row; /* [n_regions]: row of <mask>, its partner is the next; >= n_rows: cut */
    int64_t n_targets;   /* rows 1 .. n_rows - 1 with a label */
    int64_t n_cut;       /* rows that fell away */
};

/* ERR_SHAPE naming the sample if its ids do not fit its picture and regions or the vocabulary. */
enum status sample_rows_create(struct sample_rows *rows_out, const struct sample *sample,
                               const struct sample_rows_options *options);
void sample_rows_release(struct sample_rows *rows);

#endif
