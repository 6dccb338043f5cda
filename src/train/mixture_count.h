/* What an epoch of a mixture amounts to: its samples built and counted, as many as asked for. */
#ifndef ROBIN_TRAIN_MIXTURE_COUNT_H
#define ROBIN_TRAIN_MIXTURE_COUNT_H

#include <stdint.h>

#include "base/text_buffer.h"
#include "train/mixture.h"
#include "train/packer.h"
#include "train/sample_rows.h"

#define MIXTURE_COUNT_BINS 16

struct mixture_part { /* one task of one source, or several added up */
    int64_t samples;  /* drawn */
    int64_t skipped;  /* of these, with nothing to learn */
    int64_t images, regions, tokens, targets, cut, longest, dropped_relations;
};

struct mixture_count { /* zeroed is releasable */
    int64_t n_parts;
    struct mixture_part *parts; /* [n_parts]: source by source, task by task */
    struct mixture_part total;
    int64_t bins[MIXTURE_COUNT_BINS]; /* samples by length: [0, w), [w, 2w), ... w = bin_width */
    int64_t bin_width;
    int64_t n_counted, epoch_size; /* samples */
    struct sample_size *sizes;     /* [n_counted] */
    int64_t *target_count;         /* [vocab]: how often each id is a target */
};
void mixture_count_release(struct mixture_count *count);

/* Builds samples 0 .. n - 1 of the order, which are drawn from all alike; n 0 or more than an
 * epoch: all of an epoch. A sample that cannot be built is an error that names it. */
enum status mixture_count_make(struct mixture_count *count_out, const struct mixture *mixture,
                               const struct sample_rows_options *rows, int64_t max_length,
                               int64_t n);

/* Tables for people: shares by source and task, shares by task, lengths. */
void mixture_count_write(struct text_buffer *out, const struct mixture_count *count,
                         const struct mixture *mixture);

#endif
