/* Rows looked up by index. */
#include "cpu.h"

#include <string.h>

#include "base/assertion.h"
#include "blocks.h"

/* Columns of one block of the embedding's gradient: two cache lines' worth twice over, so that
 * blocks of neighbouring columns do not share lines. */
#define GRADIENT_COLUMNS 64

struct lookup {
    float *dst;
    const float *src;
    const int32_t *index;
    int64_t n, limit, c; /* -1 <= index < limit */
};

static int64_t checked_index(const struct lookup *l, int64_t row)
{
    int64_t index = l->index[row];
    ASSERT(index >= -1 && index < l->limit, "index %lld of row %lld is not below %lld",
           (long long)index, (long long)row, (long long)l->limit);
    return index;
}

static void gather_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct lookup *l = argument;
    size_t bytes = (size_t)l->c * sizeof(float);
    int64_t rows = light_block_rows(l->c), end = smaller(l->n, (block + 1) * rows);
    for (int64_t row = block * rows; row < end; row++) {
        int64_t from = checked_index(l, row);
        if (from >= 0)
            memcpy(l->dst + row * l->c, l->src + from * l->c, bytes);
        else
            memset(l->dst + row * l->c, 0, bytes);
    }
}

enum status cpu_embedding_forward(void *out, const void *table, const int32_t *ids, int64_t n,
                                  int64_t v, int64_t c, struct stream *stream)
{
    struct lookup l = {out, table, ids, n, v, c};
    run_blocks(stream, n, light_block_rows(c), gather_block, &l);
    return OK;
}

enum status cpu_rows_gather(void *dst, const void *src, const int32_t *index, int64_t t, int64_t n,
                            int64_t c, struct stream *stream)
{
    return cpu_embedding_forward(dst, src, index, n, t, c, stream);
}

static void scatter_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct lookup *l = argument;
    int64_t rows = light_block_rows(l->c), end = smaller(l->n, (block + 1) * rows);
    for (int64_t row = block * rows; row < end; row++) {
        int64_t to = checked_index(l, row);
        if (to >= 0) memcpy(l->dst + to * l->c, l->src + row * l->c, (size_t)l->c * sizeof(float));
    }
}

enum status cpu_rows_scatter(void *dst, const void *src, const int32_t *index, int64_t t, int64_t n,
                             int64_t c, struct stream *stream)
{
    struct lookup l = {dst, src, index, n, t, c};
    run_blocks(stream, n, light_block_rows(c), scatter_block, &l);
    return OK;
}

/* A block owns columns of the whole table and walks through all rows in order: two rows of one id
 * are added in the order of the specification. */
static void scatter_add_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct lookup *l = argument;
    int64_t first = block * GRADIENT_COLUMNS, width = smaller(GRADIENT_COLUMNS, l->c - first);
    for (int64_t row = 0; row < l->n; row++) {
        int64_t id = checked_index(l, row);
        if (id < 0) continue;
        float *restrict to = l->dst + id * l->c + first;
        const float *restrict from = l->src + row * l->c + first;
        for (int64_t k = 0; k < width; k++) to[k] += from[k];
    }
}

enum status cpu_embedding_backward(float *dtable, const void *dout, const int32_t *ids, int64_t n,
                                   int64_t v, int64_t c, struct stream *stream)
{
    struct lookup l = {dtable, dout, ids, n, v, c};
    thread_pool_run(pool_for(stream, n * c), ceil_divide(c, GRADIENT_COLUMNS), scatter_add_block,
                    &l);
    return OK;
}
