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
#include "support/kernel_test.h"
#include "support/table_run.h"

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

/* The keys of all sequences, each stored once, for cache_store: where key j of sequence q goes and
 * which row of `keys` [sequences * length, H + 2 KV, D] it is; keys of the prefix are those of
 * sequence 0. Returns how many. */
static int64_t list_keys(int32_t *slot, int64_t *from, const struct scene *s,
                         const struct tables *t)
{
    const int64_t common = s->prefix / s->block * s->block;
    int64_t n = 0;
    for (int64_t q = 0; q < s->n_sequences; q++)
        for (int64_t j = q == 0 ? 0 : common; j < s->length; j++) {
            slot[n] = (int32_t)(t->table[q * t->rows.table_width + j / s->block] * s->block +
                                j % s->block);
            from[n++] = (j < s->prefix ? 0 : q) * s->length + j;
        }
    return n;
}

static void fill(struct kernel_run *run, void *cache, const struct scene *s, const struct tables *t)
{
    const int64_t row = (s->h + 2 * s->kv) * s->d, most = s->n_sequences * s->length;
    int32_t *slot = calloc((size_t)most, sizeof *slot);
    int64_t *from = calloc((size_t)most, sizeof *from);
    const int64_t n = list_keys(slot, from, s, t);
    const void *keys = kernel_input(run, "keys", n * row, -2, 2);
    const int32_t *slots = kernel_input_i32_values(run, "slots", n, slot);
    kernel_ok(
        run->kernels->cache_store(cache, keys, slots, n, s->h, s->kv, s->d, s->block, run->stream));
    free(from);
    free(slot);
}

/* The same tables where the kernels reach them. */
static struct cached_rows send_tables(struct kernel_run *run, const struct tables *t)
{
    const struct cached_rows *from = &t->rows;
    struct cached_rows rows = *from;
    const int64_t n = from->n_sequences;
    rows.row_start = kernel_input_i32_values(run, "row_start", n + 1, from->row_start);
    rows.position = kernel_input_i32_values(run, "position", from->row_start[n], from->position);
    rows.table = kernel_input_i32_values(run, "table", n * from->table_width, from->table);
    rows.group_start =
        kernel_input_i32_values(run, "group_start", from->n_groups + 1, from->group_start);
    rows.shared = kernel_input_i32_values(run, "shared", from->n_groups, from->shared);
    return rows;
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
    {16, 1, 1, 1, 1, 0, 1, 1},         {16, 4, 2, 16, 1, 0, 70, 70},
    {32, 6, 2, 20, 3, 40, 53, 1},      {64, 14, 2, 64, 5, 70, 130, 3},
    {16, 16, 2, 128, 20, 150, 167, 1}, {16, 4, 4, 7, 2, 64, 65, 1},
    {64, 9, 3, 33, 2, 129, 200, 40},   {16, 16, 2, 128, 9, 300, 310, 1},
    {32, 14, 2, 64, 3, 530, 580, 3},   {64, 8, 2, 64, 1, 0, 330, 70}};

static void call(struct kernel_run *run)
{
    const struct scene s = scene_of(run->dims);
    struct tables t;
    tables_make(&t, &s, true);
    const int64_t row = (s.h + 2 * s.kv) * s.d;
    const struct cached_rows rows = send_tables(run, &t);
    const void *qkv = kernel_input(run, "qkv", s.n_sequences * s.rows * row, -2, 2);
    void *out = kernel_output(run, "out", s.n_sequences * s.rows * s.h * s.d, s.length + s.d);
    void *cache = kernel_workspace(run, run->kernels->cache_bytes(t.n_blocks, s.block, s.kv, s.d));
    fill(run, cache, &s, &t);
    kernel_ok(run->kernels->attention_cached(out, qkv, cache, &rows, s.n_sequences * s.rows, s.h,
                                             s.kv, s.d, 1.0 / sqrt((double)s.d), run->stream));
    tables_release(&t);
}

static void equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(attention_cached, call), sizes);
}

/* ---- the same bits ---- */

static const char *const tables[] = {"ref", "cpu", "cuda", "cuda-bf16"};

/* A scene on one table's device, stored in its cache. */
struct stage {
    struct table_run run;
    struct scene scene;
    struct tables tables;
    void *cache;
    const char *qkv;
    char *out;
};

static void store_keys(struct stage *stage, const float *keys)
{
    const struct scene *s = &stage->scene;
    const int64_t row = (s->h + 2 * s->kv) * s->d, most = s->n_sequences * s->length;
    int32_t *slot = calloc((size_t)most, sizeof *slot);
    int64_t *from = calloc((size_t)most, sizeof *from);
    float *rows = calloc((size_t)(most * row), sizeof *rows);
    const int64_t n = list_keys(slot, from, s, &stage->tables);
    for (int64_t i = 0; i < n; i++)
        memcpy(rows + i * row, keys + from[i] * row, (size_t)row * sizeof *rows);
    kernel_ok(
        stage->run.kernels->cache_store(stage->cache, table_send_tensor(&stage->run, rows, n * row),
                                        table_send(&stage->run, slot, (size_t)n * sizeof *slot), n,
                                        s->h, s->kv, s->d, s->block, stage->run.stream));
    free(rows);
    free(from);
    free(slot);
}

/* Rows first .. first + n - 1 of sequences q .. q + n_sequences - 1. */
static void attend_some(struct stage *stage, int64_t q, int64_t n_sequences, int64_t first,
                        int64_t n)
{
    const struct scene *s = &stage->scene;
    const struct cached_rows *all = &stage->tables.rows;
    const size_t element = dtype_size(stage->run.kernels->dtype);
    const int64_t at = q * s->rows + first, d = s->d;
    const bool whole = n_sequences > 1;
    const int32_t start[2] = {0, (int32_t)n}, group[2] = {0, 1}, none = 0;
    struct table_run *run = &stage->run;
    const int n_buffers = run->n;
    const size_t numbers = sizeof(int32_t);
    const struct cached_rows rows = {
        .block = s->block,
        .n_sequences = n_sequences,
        .row_start =
            table_send(run, whole ? all->row_start : start, (size_t)(n_sequences + 1) * numbers),
        .position = table_send(run, all->position + at, (size_t)(n_sequences * n) * numbers),
        .table = table_send(run, all->table + q * all->table_width,
                            (size_t)(n_sequences * all->table_width) * numbers),
        .table_width = all->table_width,
        .n_groups = whole ? all->n_groups : 1,
        .group_start = table_send(run, whole ? all->group_start : group,
                                  (size_t)((whole ? all->n_groups : 1) + 1) * numbers),
        .shared = table_send(run, whole ? all->shared : &none,
                             (size_t)(whole ? all->n_groups : 1) * numbers)};
    kernel_ok(run->kernels->attention_cached(
        stage->out + (size_t)(at * s->h * d) * element,
        stage->qkv + (size_t)(at * (s->h + 2 * s->kv) * d) * element, stage->cache, &rows,
        n_sequences * n, s->h, s->kv, d, 0.3, run->stream));
    table_rewind(run, n_buffers);
}

/* The outputs of all rows of the scene, in blocks of another size or not, grouped or not, and
 * `portion` rows of each sequence at a time. To free(). */
static char *attend(const char *table, const struct scene *scene, int64_t block, bool grouped,
                    int64_t portion, const float *keys, const float *qkv)
{
    struct stage stage = {.scene = *scene};
    struct scene *s = &stage.scene;
    const int64_t row = (s->h + 2 * s->kv) * s->d, n_rows = s->n_sequences * s->rows;
    s->block = block;
    tables_make(&stage.tables, s, grouped);
    assert_true(table_run_init(&stage.run, table, 2));
    const size_t bytes = stage.run.kernels->cache_bytes(stage.tables.n_blocks, block, s->kv, s->d);
    const size_t out_bytes = (size_t)(n_rows * s->h * s->d) * dtype_size(stage.run.kernels->dtype);
    char *nothing = malloc(bytes), *out = calloc(out_bytes, 1);
    memset(nothing, 0xff, bytes); /* NaN wherever nothing is written */
    stage.cache = table_send(&stage.run, nothing, bytes);
    stage.qkv = table_send_tensor(&stage.run, qkv, n_rows * row);
    stage.out = table_take(&stage.run, out_bytes);
    store_keys(&stage, keys);
    if (grouped && portion == s->rows) {
        attend_some(&stage, 0, s->n_sequences, 0, s->rows);
    } else {
        for (int64_t q = 0; q < s->n_sequences; q++)
            for (int64_t first = 0; first < s->rows; first += portion) {
                const int64_t left = s->rows - first;
                attend_some(&stage, q, 1, first, left < portion ? left : portion);
            }
    }
    table_read(&stage.run, out, stage.out, out_bytes);
    table_run_release(&stage.run);
    tables_release(&stage.tables);
    free(nothing);
    return out;
}

static void compare_company(const char *table, const struct scene *s)
{
    const struct kernels *k = kernels_find(table);
    const int64_t row = (s->h + 2 * s->kv) * s->d;
    if (k == NULL || k->attention_cached == NULL) return;
    const size_t size = (size_t)(s->n_sequences * s->rows * s->h * s->d) * dtype_size(k->dtype);
    float *keys = kernel_random("keys", s->n_sequences * s->length * row, -2, 2);
    float *qkv = kernel_random("qkv", s->n_sequences * s->rows * row, -2, 2);
    char *first = attend(table, s, 16, false, 1, keys, qkv);
    static const int64_t blocks[] = {16, 32, 64};
    for (size_t b = 0; b < 3; b++) {
        char *grouped = attend(table, s, blocks[b], true, s->rows, keys, qkv);
        char *portions = attend(table, s, blocks[b], false, 3, keys, qkv);
        assert_memory_equal(grouped, first, size);
        assert_memory_equal(portions, first, size);
        free(grouped);
        free(portions);
    }
    print_message("%s: rows alone, in groups and in portions: the same bits\n", table);
    free(first);
    free(keys);
    free(qkv);
}

static void bits_depend_on_the_row_alone(void **state)
{
    (void)state;
    static const struct scene on_cpu[] = {
        {.h = 6, .kv = 2, .d = 20, .n_sequences = 7, .prefix = 210, .length = 300, .rows = 5},
        {.h = 16, .kv = 2, .d = 64, .n_sequences = 3, .prefix = 64, .length = 140, .rows = 76}};
    static const struct scene on_gpu[] = {
        {.h = 4, .kv = 2, .d = 20, .n_sequences = 2, .prefix = 210, .length = 300, .rows = 4},
        {.h = 16, .kv = 2, .d = 64, .n_sequences = 6, .prefix = 290, .length = 300, .rows = 2}};
    for (size_t i = 0; i < 2; i++) {
        compare_company("cpu", &on_cpu[i]);
        compare_company("cuda", &on_gpu[i]);
        compare_company("cuda-bf16", &on_gpu[i]);
    }
}

static void copied_blocks_are_equal(void **state)
{
    (void)state;
    enum { BLOCKS = 5, BLOCK = 16, KV = 2, D = 6, ROW = (2 + 2 * KV) * D };
    static const int32_t slot[] = {1 * BLOCK, 1 * BLOCK + 15, 2 * BLOCK + 7},
                         pairs[] = {4, 1, 0, 2};
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        struct table_run run;
        if (!table_run_init(&run, tables[t], 1)) continue;
        const struct kernels *k = run.kernels;
        const size_t bytes = k->cache_bytes(BLOCKS, BLOCK, KV, D);
        assert_int_equal(bytes, BLOCKS * BLOCK * 2 * KV * D * dtype_size(k->dtype));
        char *blocks = calloc(bytes, 1);
        void *cache = table_send(&run, blocks, bytes);
        float *rows = kernel_random("copied", 3 * ROW, -1, 1);
        kernel_ok(k->cache_store(cache, table_send_tensor(&run, rows, 3 * ROW),
                                 table_send(&run, slot, sizeof slot), 3, 2, KV, D, BLOCK,
                                 run.stream));
        kernel_ok(k->cache_copy(cache, table_send(&run, pairs, sizeof pairs), 2, BLOCK, KV, D,
                                run.stream));
        table_read(&run, blocks, cache, bytes);
        assert_memory_equal(blocks + 4 * bytes / BLOCKS, blocks + bytes / BLOCKS, bytes / BLOCKS);
        assert_memory_equal(blocks, blocks + 2 * bytes / BLOCKS, bytes / BLOCKS);
        assert_memory_not_equal(blocks, blocks + bytes / BLOCKS, bytes / BLOCKS);
        free(rows);
        free(blocks);
        table_run_release(&run);
    }
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
