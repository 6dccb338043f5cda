/* Attention over a cache in blocks: against ref through the table's own layout, and the same bits
 * for a sequence alone, in a batch, in groups, in other blocks and rows run in other portions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "device/stream.h"
#include "support/kernel_test.h"

/* Sequences over one cache: all begin with the same keys. */
struct scene {
    int64_t block, h, kv, d;
    int64_t n_sequences, prefix; /* keys that all have in common */
    int64_t length, rows;        /* keys of a sequence in all; how many of its last ones ask */
};

struct tables {
    struct cached_rows rows;
    int32_t *slots; /* [prefix, then per sequence length - prefix]: where each key lies */
    int32_t *row_start, *position, *table, *group_start, *shared;
    int64_t n_blocks, n_keys;
};

static int64_t blocks_of(int64_t tokens, int64_t block)
{
    return (tokens + block - 1) / block;
}

/* Whole blocks of the prefix are shared; every sequence has its own blocks behind them, and its own
 * copy of what the prefix leaves in a broken one. Blocks are handed out in a shuffled order. */
static void tables_make(struct tables *t, const struct scene *s, bool grouped)
{
    const int64_t common = s->prefix / s->block, width = blocks_of(s->length, s->block);
    const struct random_stream draws = random_stream(kernel_seed(), "blocks");
    t->n_blocks = common + s->n_sequences * (width - common) + 3;
    t->row_start = calloc((size_t)s->n_sequences + 1, sizeof(int32_t));
    t->position = calloc((size_t)(s->n_sequences * s->rows), sizeof(int32_t));
    t->table = calloc((size_t)(s->n_sequences * width), sizeof(int32_t));
    t->group_start = calloc((size_t)s->n_sequences + 1, sizeof(int32_t));
    t->shared = calloc((size_t)s->n_sequences, sizeof(int32_t));
    int64_t used = 0;
    for (int64_t q = 0; q < s->n_sequences; q++) {
        for (int64_t b = 0; b < width; b++)
            t->table[q * width + b] =
                b < common ? (int32_t)random_permute(draws, (uint64_t)b, (uint64_t)t->n_blocks)
                           : (int32_t)random_permute(draws, (uint64_t)(common + used++),
                                                     (uint64_t)t->n_blocks);
        for (int64_t r = 0; r < s->rows; r++)
            t->position[q * s->rows + r] = (int32_t)(s->length - s->rows + r);
        t->row_start[q + 1] = (int32_t)((q + 1) * s->rows);
        t->group_start[q + 1] = (int32_t)(q + 1);
    }
    t->rows = (struct cached_rows){.block = s->block,
                                   .n_sequences = s->n_sequences,
                                   .row_start = t->row_start,
                                   .position = t->position,
                                   .table = t->table,
                                   .table_width = width,
                                   .n_groups = s->n_sequences,
                                   .group_start = t->group_start,
                                   .shared = t->shared};
    if (grouped) {
        t->rows.n_groups = 1;
        t->group_start[1] = (int32_t)s->n_sequences;
        t->shared[0] = (int32_t)(common * s->block);
    }
}

static void tables_release(struct tables *t)
{
    free(t->row_start);
    free(t->position);
    free(t->table);
    free(t->group_start);
    free(t->shared);
}

/* Stores key j of sequence q from row q * length + j of `keys` [sequences * length, H + 2 KV, D];
 * keys of the prefix are those of sequence 0. */
static void fill(const struct kernels *k, void *cache, const struct scene *s,
                 const struct tables *t, const void *keys, struct stream *stream)
{
    const size_t row = (size_t)((s->h + 2 * s->kv) * s->d) * dtype_size(k->dtype);
    int32_t *slot = calloc((size_t)s->length, sizeof *slot);
    for (int64_t q = 0; q < s->n_sequences; q++) {
        for (int64_t j = 0; j < s->length; j++)
            slot[j] = (int32_t)(t->table[q * t->rows.table_width + j / s->block] * s->block +
                                j % s->block);
        kernel_ok(
            k->cache_store(cache, keys, slot, s->prefix, s->h, s->kv, s->d, s->block, stream));
        const void *own = (const char *)keys + (size_t)(q * s->length + s->prefix) * row;
        kernel_ok(k->cache_store(cache, own, slot + s->prefix, s->length - s->prefix, s->h, s->kv,
                                 s->d, s->block, stream));
    }
    free(slot);
}

static struct scene scene_of(const int64_t *dims)
{
    return (struct scene){.block = dims[0],
                          .h = dims[1],
                          .kv = dims[2],
                          .d = dims[3],
                          .n_sequences = dims[4],
                          .prefix = dims[5],
                          .length = dims[6],
                          .rows = dims[7]};
}

/* block, h, kv, d, sequences, prefix, length, rows */
static const int64_t sizes[][8] = {
    {16, 1, 1, 1, 1, 0, 1, 1},      {16, 4, 2, 16, 1, 0, 70, 70},      {32, 6, 2, 20, 3, 40, 53, 1},
    {64, 14, 2, 64, 5, 70, 130, 3}, {16, 16, 2, 128, 20, 150, 167, 1}, {16, 4, 4, 7, 2, 64, 65, 1},
    {64, 9, 3, 33, 2, 129, 200, 40}};

static void call(struct kernel_run *run)
{
    const struct scene s = scene_of(run->dims);
    struct tables t;
    tables_make(&t, &s, true);
    const int64_t row = (s.h + 2 * s.kv) * s.d;
    const void *keys = kernel_input(run, "keys", s.n_sequences * s.length * row, -2, 2);
    const void *qkv = kernel_input(run, "qkv", s.n_sequences * s.rows * row, -2, 2);
    void *out = kernel_output(run, "out", s.n_sequences * s.rows * s.h * s.d, s.length + s.d);
    void *cache = kernel_workspace(run, run->kernels->cache_bytes(t.n_blocks, s.block, s.kv, s.d));
    fill(run->kernels, cache, &s, &t, keys, run->stream);
    kernel_ok(run->kernels->attention_cached(out, qkv, cache, &t.rows, s.n_sequences * s.rows, s.h,
                                             s.kv, s.d, 1.0 / sqrt((double)s.d), run->stream));
    tables_release(&t);
}

static void equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(attention_cached, call), sizes);
}

/* The outputs of all rows of the scene, in blocks of another size or not, grouped or not, and
 * `portion` rows of each sequence at a time. To free(). */
static float *attend(const struct scene *scene, int64_t block, bool grouped, int64_t portion,
                     const float *keys, const float *qkv)
{
    struct scene s = *scene;
    const int64_t row = (s.h + 2 * s.kv) * s.d, width = s.h * s.d;
    const struct kernels *k = &kernels_cpu;
    struct stream *stream;
    struct tables t;
    kernel_ok(stream_create(&stream, 2));
    s.block = block;
    tables_make(&t, &s, grouped);
    const size_t bytes = k->cache_bytes(t.n_blocks, block, s.kv, s.d);
    void *cache = malloc(bytes);
    memset(cache, 0xff, bytes); /* NaN wherever nothing is written */
    fill(k, cache, &s, &t, keys, stream);
    float *out = calloc((size_t)(s.n_sequences * s.rows * width), sizeof *out);
    for (int64_t first = 0; first < s.rows; first += portion) {
        const int64_t n = s.rows - first < portion ? s.rows - first : portion;
        struct cached_rows rows = t.rows;
        for (int64_t q = 0; q < s.n_sequences; q++) {
            int32_t start[2] = {0, (int32_t)n}, group[2] = {0, 1};
            const int64_t at = q * s.rows + first;
            if (grouped && portion == s.rows) break;
            rows.n_sequences = rows.n_groups = 1;
            rows.row_start = start;
            rows.group_start = group;
            rows.position = t.position + at;
            rows.table = t.table + q * t.rows.table_width;
            kernel_ok(k->attention_cached(out + at * width, qkv + at * row, cache, &rows, n, s.h,
                                          s.kv, s.d, 0.3, stream));
        }
        if (grouped && portion == s.rows)
            kernel_ok(k->attention_cached(out, qkv, cache, &t.rows, s.n_sequences * s.rows, s.h,
                                          s.kv, s.d, 0.3, stream));
    }
    free(cache);
    tables_release(&t);
    stream_destroy(stream);
    return out;
}

static void bits_depend_on_the_row_alone(void **state)
{
    (void)state;
    static const struct scene scenes[] = {
        {.h = 6, .kv = 2, .d = 20, .n_sequences = 7, .prefix = 210, .length = 300, .rows = 5},
        {.h = 16, .kv = 2, .d = 64, .n_sequences = 3, .prefix = 64, .length = 140, .rows = 76}};
    for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
        const struct scene *s = &scenes[i];
        const int64_t row = (s->h + 2 * s->kv) * s->d;
        const size_t size = (size_t)(s->n_sequences * s->rows * s->h * s->d) * sizeof(float);
        float *keys = kernel_random("keys", s->n_sequences * s->length * row, -2, 2);
        float *qkv = kernel_random("qkv", s->n_sequences * s->rows * row, -2, 2);
        float *first = attend(s, 16, false, 1, keys, qkv);
        static const int64_t blocks[] = {16, 32, 64};
        for (size_t b = 0; b < 3; b++) {
            float *grouped = attend(s, blocks[b], true, s->rows, keys, qkv);
            float *portions = attend(s, blocks[b], false, 3, keys, qkv);
            assert_memory_equal(grouped, first, size);
            assert_memory_equal(portions, first, size);
            free(grouped);
            free(portions);
        }
        free(first);
        free(keys);
        free(qkv);
    }
}

static void copied_blocks_are_equal(void **state)
{
    (void)state;
    const struct kernels *const tables[] = {&kernels_ref, &kernels_cpu};
    enum { BLOCKS = 5, BLOCK = 16, KV = 2, D = 6, ROW = (2 + 2 * KV) * D };
    struct stream *stream;
    kernel_ok(stream_create(&stream, 1));
    for (size_t k = 0; k < 2; k++) {
        const size_t bytes = tables[k]->cache_bytes(BLOCKS, BLOCK, KV, D);
        assert_int_equal(bytes, BLOCKS * BLOCK * 2 * KV * D * sizeof(float));
        char *cache = calloc(bytes, 1);
        float *rows = kernel_random("copied", 3 * ROW, -1, 1);
        const int32_t slot[] = {1 * BLOCK, 1 * BLOCK + 15, 2 * BLOCK + 7}, pairs[] = {4, 1, 0, 2};
        kernel_ok(tables[k]->cache_store(cache, rows, slot, 3, 2, KV, D, BLOCK, stream));
        kernel_ok(tables[k]->cache_copy(cache, pairs, 2, BLOCK, KV, D, stream));
        assert_memory_equal(cache + 4 * bytes / BLOCKS, cache + bytes / BLOCKS, bytes / BLOCKS);
        assert_memory_equal(cache, cache + 2 * bytes / BLOCKS, bytes / BLOCKS);
        assert_memory_not_equal(cache, cache + bytes / BLOCKS, bytes / BLOCKS);
        free(rows);
        free(cache);
    }
    stream_destroy(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_ref),
        cmocka_unit_test(bits_depend_on_the_row_alone),
        cmocka_unit_test(copied_blocks_are_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
