/* Samples of a mixture as one static page: each picture with its regions and graph, and the rows
 * that the model is given for it, the learnt ones marked. */
#ifndef ROBIN_TRAIN_MIXTURE_PAGE_H
#define ROBIN_TRAIN_MIXTURE_PAGE_H

#include "base/text_buffer.h"
#include "train/mixture.h"
#include "train/sample_rows.h"

/* Samples first .. first + n - 1 in the order of training. A row with a token is an element with
 * data-id, its id: a <mark> where it is learnt (with data-label where the label is another id), a
 * <span> where it is not. */
enum status mixture_page(struct text_buffer *out, const struct mixture *mixture,
                         const struct sample_rows_options *options, int64_t first, int64_t n);

#endif
