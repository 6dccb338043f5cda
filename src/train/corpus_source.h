/* Samples from corpora: for an item of the order, reads the record and lets its task ask. */
#ifndef ROBIN_TRAIN_CORPUS_SOURCE_H
#define ROBIN_TRAIN_CORPUS_SOURCE_H

#include "corpus/shard.h"
#include "corpus/task.h"
#include "train/loader.h"

struct corpus_entry { /* one source of the mixture */
    struct corpus *corpus;
    const struct task **tasks;
    int64_t n_tasks;
    struct task_options options;
};

struct corpus_source { /* borrowed, read by several threads */
    const struct corpus_entry *entries;
    const struct tokenizer *tokenizer;
    uint64_t seed;
};

/* A sample_source over it. The conversation of an item is a function of (seed, item, round). */
struct sample_source corpus_source_samples(const struct corpus_source *source);

#endif
