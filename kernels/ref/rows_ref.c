/* Rows looked up by index: token embeddings, and the splice of region tokens into the stream. */
#include "ref.h"

#include "base/assertion.h"

/* out_n = table_{ids_n}, or 0 */
enum status ref_embedding_forward(void *out, const void *table, const int32_t *ids, int64_t n,
                                  int64_t v, int64_t c, struct stream *stream)
{
    (void)stream;
    float *outs = out;
    const float *rows = table;
    for (int64_t row = 0; row < n; row++) {
        int64_t id = ids[row];
        ASSERT(id >= -1 && id < v, "id %lld of row %lld is not below %lld", (long long)id,
               (long long)row, (long long)v);
        for (int64_t k = 0; k < c; k++) outs[row * c + k] = id < 0 ? 0.0f : rows[id * c + k];
    }
    return OK;
}

/* dtable_{ids_n} += dout_n. The additions are in fp32, one after the other in order of n: their
 * order is part of the specification, so every backend gives the same bits. */
enum status ref_embedding_backward(float *dtable, const void *dout, const int32_t *ids, int64_t n,
                                   int64_t v, int64_t c, struct stream *stream)
{
    (void)stream;
    const float *douts = dout;
    for (int64_t row = 0; row < n; row++) {
        int64_t id = ids[row];
        ASSERT(id >= -1 && id < v, "id %lld of row %lld is not below %lld", (long long)id,
               (long long)row, (long long)v);
        if (id < 0) continue;
        for (int64_t k = 0; k < c; k++) dtable[id * c + k] += douts[row * c + k];
    }
    return OK;
}

/* dst_{index_n} = src_n */
enum status ref_rows_scatter(void *dst, const void *src, const int32_t *index, int64_t t, int64_t n,
                             int64_t c, struct stream *stream)
{
    (void)stream;
    float *dsts = dst;
    const float *srcs = src;
    for (int64_t row = 0; row < n; row++) {
        int64_t to = index[row];
        ASSERT(to >= -1 && to < t, "index %lld of row %lld is not below %lld", (long long)to,
               (long long)row, (long long)t);
        if (to < 0) continue;
        for (int64_t k = 0; k < c; k++) dsts[to * c + k] = srcs[row * c + k];
    }
    return OK;
}

/* dst_n = src_{index_n}, or 0: the lookup of an embedding, with activations as the table. */
enum status ref_rows_gather(void *dst, const void *src, const int32_t *index, int64_t t, int64_t n,
                            int64_t c, struct stream *stream)
{
    return ref_embedding_forward(dst, src, index, n, t, c, stream);
}
