/* What a run learns from: the configuration's sources opened, their tasks found, their order. */
#ifndef ROBIN_TRAIN_MIXTURE_H
#define ROBIN_TRAIN_MIXTURE_H

#include "config/run_config.h"
#include "text/tokenizer.h"
#include "train/corpus_source.h"
#include "train/order.h"

struct mixture { /* zeroed is releasable */
    struct corpus_entry *entries;
    int64_t n_entries;
    struct order_source *sources;
    struct order *order;
    struct tokenizer *tokenizer;
    struct corpus_source samples;
};

/* Opens tokenizer and corpora. The configuration is borrowed. */
enum status mixture_open(struct mixture *mixture, const struct run_config *config);
void mixture_release(struct mixture *mixture);

/* A line for each source, on rank 0. */
void mixture_print(const struct mixture *mixture);

#endif
