/* Passes of a decoder in which every sequence has one row and asks for logits, as graphs of a GPU:
 * one for each of a few sizes, to which a pass is filled up with rows of nobody. A row's bits do
 * not depend on other rows (kernels.h), so these change none. Internal to src/model. */
#ifndef ROBIN_MODEL_DECODER_GRAPHS_H
#define ROBIN_MODEL_DECODER_GRAPHS_H

#include "model/decoder.h"

struct graph;
struct stream;

#define DECODER_GRAPHS 64

struct decoder_graph {
    int64_t n_rows, table_width; /* what it is for */
    bool seen;                   /* a pass of this size has run */
    struct graph *graph;         /* NULL: not written down yet */
};

struct decoder_graphs { /* zeroed is releasable, and takes no pass */
    struct decoder_graph list[DECODER_GRAPHS];
    int n;
    struct decoder_limits limits;
    /* A pass that was filled up: [max_logits] and more, as in struct decoder_rows. */
    int32_t *token_id, *slot, *position, *row_start, *table, *group_start, *shared, *logit_row;
};

/* Block number limits->n_blocks of the cache is for the rows of nobody. */
void decoder_graphs_init(struct decoder_graphs *graphs, const struct decoder_limits *limits);
void decoder_graphs_release(struct decoder_graphs *graphs);

/* The graph for such rows, and `filled` to its size; NULL for passes that graphs are not for. */
struct decoder_graph *decoder_graphs_find(struct decoder_graphs *graphs,
                                          struct decoder_rows *filled,
                                          const struct decoder_rows *rows);

#endif
