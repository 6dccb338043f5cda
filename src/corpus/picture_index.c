/* See picture_index.h. */
#include "corpus/picture_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"

void picture_index_release(struct picture_index *index)
{
    free(index->rows);
    *index = (struct picture_index){0};
}

/* Other corpora first, in their order; then shards in order. */
static int compare_rows(const void *a, const void *b)
{
    const struct row_picture *left = a;
    const struct row_picture *right = b;
    const int hashes = content_hash_compare(&left->hash, &right->hash);
    if (hashes != 0) return hashes;
    if (left->corpus != right->corpus) return left->corpus - 1 < right->corpus - 1 ? -1 : 1;
    if (left->shard != right->shard) return left->shard < right->shard ? -1 : 1;
    return left->offset < right->offset ? -1 : left->offset > right->offset;
}

static void sort_rows(struct picture_index *index)
{
    if (index->n > 0) qsort(index->rows, (size_t)index->n, sizeof *index->rows, compare_rows);
}

/* Appends the rows of pictures that the shard holds itself, as of `corpus`. */
static enum status append_shard(struct picture_index *index, const struct shard *shard,
                                uint32_t corpus)
{
    enum status status = OK;
    struct row_picture *rows = NULL;
    const size_t n = shard->count[TABLE_PICTURES];
    TRY_WHERE(shard_read_pictures(shard, &rows), "%s", shard->path);
    index->rows = memory_resize(index->rows, (size_t)index->n + n + 1, sizeof *index->rows);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].corpus != 0 || rows[i].shard != (uint32_t)shard->number) continue;
        rows[i].corpus = corpus;
        index->rows[index->n++] = rows[i];
    }
out:
    free(rows);
    return status;
}

enum status picture_index_add_corpus(struct picture_index *index, struct shard_family family,
                                     uint32_t corpus)
{
    enum status status = OK;
    for (int64_t i = 0; i < family.n; i++) TRY(append_shard(index, &family.shards[i], corpus));
    sort_rows(index);
out:
    return status;
}

/* Equal pictures but the first go; the others move up to the places that are free then. */
static void keep_first(struct picture_index *own, uint64_t *taken, bool *spare_out)
{
    struct picture_index sorted = {memory_new((size_t)own->n + 1, sizeof *own->rows), own->n};
    int64_t n = 0;
    memcpy(sorted.rows, own->rows, (size_t)own->n * sizeof *own->rows);
    sort_rows(&sorted);
    for (int64_t i = 0; i < own->n; i++) { /* in the order of shards and offsets */
        struct row_picture row = own->rows[i];
        const struct row_picture *first = picture_index_find(&sorted, &row.hash, INT64_MAX);
        if (first->shard != row.shard) {
            spare_out[row.shard] = true;
            continue;
        }
        row.offset = taken[row.shard];
        taken[row.shard] += row.size;
        own->rows[n++] = row;
    }
    own->n = n;
    picture_index_release(&sorted);
}

enum status picture_index_add_own(struct picture_index *index, struct shard_family family,
                                  bool *spare_out)
{
    enum status status = OK;
    struct picture_index own = {0};
    uint64_t *taken = memory_new((size_t)family.n + 1, sizeof *taken);
    for (int64_t i = 0; i < family.n; i++) {
        if (family.shards[i].number != i)
            FAIL(ERR_FORMAT, "%s says that it is shard %lld, not %lld", family.shards[i].path,
                 (long long)family.shards[i].number, (long long)i);
        TRY(append_shard(&own, &family.shards[i], 0));
    }
    keep_first(&own, taken, spare_out);
    index->rows = memory_resize(index->rows, (size_t)(index->n + own.n) + 1, sizeof *index->rows);
    if (own.n > 0) memcpy(index->rows + index->n, own.rows, (size_t)own.n * sizeof *own.rows);
    index->n += own.n;
    sort_rows(index);
out:
    free(taken);
    picture_index_release(&own);
    return status;
}

const struct row_picture *picture_index_find(const struct picture_index *index,
                                             const struct content_hash *hash, int64_t shard)
{
    int64_t low = 0; /* rows before low are less than the hash, rows from high on are not */
    int64_t high = index->n;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (content_hash_compare(&index->rows[middle].hash, hash) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == index->n || content_hash_compare(&index->rows[low].hash, hash) != 0) return NULL;
    const struct row_picture *found = &index->rows[low];
    return found->corpus != 0 || found->shard < shard ? found : NULL;
}
