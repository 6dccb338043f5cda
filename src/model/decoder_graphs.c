/* See decoder_graphs.h. */
#include "model/decoder_graphs.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "device/graph.h"

#define WIDTH_STEP 16 /* blocks by which rows of the table grow */

static int64_t most_width(const struct decoder_limits *limits)
{
    return (limits->n_positions + limits->block - 1) / limits->block;
}

void decoder_graphs_init(struct decoder_graphs *g, const struct decoder_limits *limits)
{
    const size_t n = (size_t)limits->max_logits;
    g->limits = *limits;
    g->token_id = memory_new(n, sizeof *g->token_id);
    g->slot = memory_new(n, sizeof *g->slot);
    g->position = memory_new(n, sizeof *g->position);
    g->row_start = memory_new(n + 1, sizeof *g->row_start);
    g->table = memory_new(n * (size_t)most_width(limits), sizeof *g->table);
    g->group_start = memory_new(n + 1, sizeof *g->group_start);
    g->shared = memory_new(n, sizeof *g->shared);
    g->logit_row = memory_new(n, sizeof *g->logit_row);
}

void decoder_graphs_release(struct decoder_graphs *g)
{
    for (int i = 0; i < g->n; i++) graph_destroy(g->list[i].graph);
    free(g->token_id);
    free(g->slot);
    free(g->position);
    free(g->row_start);
    free(g->table);
    free(g->group_start);
    free(g->shared);
    free(g->logit_row);
}

/* 1, 2, 4, 8, 16, then in steps of 16. */
static int64_t size_for(int64_t n, int64_t most)
{
    int64_t size = 1;
    while (size < n) size += size < 16 ? size : 16;
    return size < most ? size : most;
}

static bool is_for(const struct decoder_graphs *g, const struct decoder_rows *rows)
{
    const int64_t n = rows->n_rows;
    if (g->token_id == NULL || n == 0 || rows->n_sources > 0) return false;
    if (rows->cached.n_sequences != n || rows->n_logits != n) return false;
    for (int64_t i = 0; i < n; i++)
        if (rows->logit_row[i] != i) return false;
    return true;
}

static struct decoder_graph *find(struct decoder_graphs *g, int64_t n_rows, int64_t width)
{
    for (int i = 0; i < g->n; i++)
        if (g->list[i].n_rows == n_rows && g->list[i].table_width == width) return &g->list[i];
    if (g->n == DECODER_GRAPHS) return NULL;
    g->list[g->n] = (struct decoder_graph){.n_rows = n_rows, .table_width = width};
    return &g->list[g->n++];
}

/* Rows of nobody are sequences of one row, first of their block, alone in their groups; groups
 * behind the last one are empty. */
static void fill(struct decoder_graphs *g, const struct decoder_rows *rows, int64_t size,
                 int64_t width)
{
    const struct cached_rows *c = &rows->cached;
    const int64_t n = rows->n_rows, groups = c->n_groups;
    const int32_t nobody = (int32_t)g->limits.n_blocks;
    for (int64_t i = 0; i < size; i++) {
        g->token_id[i] = i < n ? rows->token_id[i] : 0;
        g->slot[i] = i < n ? rows->slot[i] : nobody * (int32_t)g->limits.block;
        g->position[i] = i < n ? c->position[i] : 0;
        g->row_start[i + 1] = (int32_t)(i + 1);
        g->logit_row[i] = (int32_t)i;
        for (int64_t k = 0; k < width; k++)
            g->table[i * width + k] =
                i < n && k < c->table_width ? c->table[i * c->table_width + k] : nobody;
        const int64_t end = i < groups ? c->group_start[i + 1] : n + i + 1 - groups;
        g->group_start[i + 1] = (int32_t)(end < size ? end : size);
        g->shared[i] = i < groups ? c->shared[i] : 0;
    }
}

struct decoder_graph *decoder_graphs_find(struct decoder_graphs *g, struct decoder_rows *filled,
                                          const struct decoder_rows *rows)
{
    if (!is_for(g, rows)) return NULL;
    const int64_t most = most_width(&g->limits), steps = rows->cached.table_width + WIDTH_STEP - 1;
    const int64_t size = size_for(rows->n_rows, g->limits.max_logits);
    const int64_t wide = steps / WIDTH_STEP * WIDTH_STEP, width = wide < most ? wide : most;
    struct decoder_graph *graph = find(g, size, width);
    if (graph == NULL) return NULL;
    fill(g, rows, size, width);
    *filled = (struct decoder_rows){.n_rows = size,
                                    .token_id = g->token_id,
                                    .slot = g->slot,
                                    .cached = {.block = rows->cached.block,
                                               .n_sequences = size,
                                               .row_start = g->row_start,
                                               .position = g->position,
                                               .table = g->table,
                                               .table_width = width,
                                               .n_groups = size,
                                               .group_start = g->group_start,
                                               .shared = g->shared},
                                    .logit_row = g->logit_row,
                                    .n_logits = size};
    return graph;
}
