/* mpi: 1 2 3
 * The loader over a source of made samples: each sample reaches exactly one rank in each step, in
 * micro-batches that fit the plan, whatever is prefetched; skipped samples are listed; an error
 * names the first bad sample, whichever thread or rank met it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "base/text_buffer.h"
#include "train/loader.h"

#define N_RECORDS    11
#define GLOBAL_BATCH 7

static struct comm *comm;

static const struct model_config config = {
    .image_height = 32,
    .image_width = 32,
    .vision = {.depths = {1, 1, 1, 1}, .dims = {8, 8, 8, 8}},
    .extractor = {.embed = 8, .mask_side = 4},
    .lm = {.vocab = 512, .hidden = 16, .ffn = 32, .layers = 1, .heads = 2, .kv_heads = 1},
};

/* What the source does beside making samples of record + 3 words. */
struct behaviour {
    int64_t skip, fail, beyond; /* records; -1: none */
};

static enum status build(void *context, const struct order_item *item, struct sample *sample_out,
                         const char **skipped_out)
{
    enum status status = OK;
    const struct behaviour *behaviour = context;
    if (item->record == behaviour->fail) FAIL(ERR_FORMAT, "record %d is rotten", (int)item->record);
    *skipped_out = item->record == behaviour->skip ? "nothing to say" : NULL;
    if (*skipped_out != NULL) goto out;
    struct sample sample = {.id = item->id};
    for (int64_t i = 0; i < item->record + 3; i++) {
        token_list_append(&sample.ids,
                          item->record == behaviour->beyond ? 512 : (int32_t)item->record);
        token_list_append(&sample.labels, (int32_t)i);
    }
    *sample_out = sample;
out:
    return status;
}

static struct order *make_order(void)
{
    struct order *order = NULL;
    const struct order_source source = {
        .name = "made", .n_records = N_RECORDS, .n_tasks = 1, .weight = 1};
    assert_int_equal(order_create(&order, 1, GLOBAL_BATCH, &source, 1), OK);
    return order;
}

static enum too_long too_long = TOO_LONG_CUT;
static int64_t max_length = 30;

static struct loader *make_loader(const struct order *order, struct behaviour *behaviour,
                                  int64_t prefetch, enum pack_mode mode)
{
    struct loader *loader = NULL;
    const struct loader_options options = {
        .comm = comm,
        .dp_rank = comm_rank(comm),
        .order = order,
        .source = {build, behaviour},
        .config = &config,
        .rows = {.mask_id = 500, .vocab = 512, .image_rows = 4, .max_length = max_length},
        .too_long = too_long,
        .pack = {.mode = mode,
                 .n_ranks = comm_size(comm),
                 .limits = {.max_images = 1,
                            .max_regions = 1,
                            .max_sequences = 9,
                            .max_tokens = 30,
                            .max_targets = 30}},
        .mean_of_means = mode == PACK_SEQUENTIAL,
        .n_threads = 3,
        .prefetch = prefetch,
        .first_step = 2,
        .end_step = 7,
    };
    assert_int_equal(loader_create(&loader, &options), OK);
    return loader;
}

/* Takes this rank's micro-batches, adding up how often each place came and the weights. */
static void take_batch(struct loader *loader, const struct global_batch *batch, int64_t *seen,
                       double *weight)
{
    for (int64_t m = 0; m < batch->n_mine; m++) {
        struct micro_batch *micro = NULL;
        const int64_t *first = batch->plan.first + batch->mine[m];
        assert_int_equal(loader_next_micro(loader, &micro), OK);
        assert_int_equal(micro->batch.n_sequences, first[1] - first[0]);
        for (int64_t s = 0; s < micro->batch.n_sequences; s++) {
            const int64_t place = batch->plan.slot[first[0] + s];
            const int64_t n = micro->batch.seq_start[s + 1] - micro->batch.seq_start[s];
            assert_int_equal(micro->sample_id[s], batch->ids[place]);
            assert_int_equal(n, batch->sizes[place].tokens);
            assert_int_equal(n, (int64_t)(batch->ids[place] & 0xff) + 3);
            seen[place]++;
        }
        for (int64_t t = 0; t < micro->batch.n_targets; t++)
            *weight += micro->batch.target_weight[t];
        micro_batch_destroy(micro);
    }
}

static void run_all(int64_t prefetch, enum pack_mode mode)
{
    struct order *order = make_order();
    struct behaviour behaviour = {.skip = 4, .fail = -1, .beyond = -1};
    struct loader *loader = make_loader(order, &behaviour, prefetch, mode);
    for (int64_t step = 2; step < 7; step++) {
        const struct global_batch *batch = NULL;
        int64_t seen[GLOBAL_BATCH] = {0}, n_skipped = 0;
        double weight = 0;
        assert_int_equal(loader_next_batch(loader, &batch), OK);
        assert_int_equal(batch->step, step);
        take_batch(loader, batch, seen, &weight);
        assert_int_equal(comm_sum_int64(comm, seen, GLOBAL_BATCH), OK);
        assert_int_equal(comm_sum_double(comm, &weight, 1), OK);
        for (int64_t i = 0; i < GLOBAL_BATCH; i++) {
            const struct order_item item = order_item_at(order, step * GLOBAL_BATCH + i);
            assert_int_equal(batch->ids[i], item.id);
            assert_int_equal(seen[i], item.record != 4);
            n_skipped += item.record == 4;
        }
        assert_int_equal(batch->n_skipped, n_skipped);
        assert_true(weight > 1 - 1e-5 && weight < 1 + 1e-5);
    }
    loader_destroy(loader);
    order_destroy(order);
}

static void test_each_sample_once(void **state)
{
    (void)state;
    for (int64_t prefetch = 1; prefetch <= 8; prefetch += 3) {
        run_all(prefetch, PACK_BALANCED);
        run_all(prefetch, PACK_SEQUENTIAL);
    }
}

static void test_left_early(void **state)
{
    (void)state;
    struct order *order = make_order();
    struct behaviour behaviour = {.skip = -1, .fail = -1, .beyond = -1};
    const struct global_batch *batch = NULL;
    struct loader *loader = make_loader(order, &behaviour, 4, PACK_BALANCED);
    assert_int_equal(loader_next_batch(loader, &batch), OK);
    loader_destroy(loader); /* with everything in flight */
    loader = make_loader(order, &behaviour, 4, PACK_BALANCED);
    loader_destroy(loader);
    order_destroy(order);
}

static void expect_error(struct behaviour behaviour, enum status expected)
{
    struct order *order = make_order();
    struct loader *loader = make_loader(order, &behaviour, 2, PACK_BALANCED);
    enum status status = OK;
    while (status == OK) {
        const struct global_batch *batch = NULL;
        int64_t seen[GLOBAL_BATCH] = {0};
        double weight = 0;
        status = loader_next_batch(loader, &batch);
        if (status == OK) take_batch(loader, batch, seen, &weight);
    }
    assert_int_equal(status, expected);
    loader_destroy(loader);
    order_destroy(order);
}

static void test_errors_reach_all_ranks(void **state)
{
    (void)state;
    expect_error((struct behaviour){.skip = -1, .fail = 7, .beyond = -1}, ERR_FORMAT);
    if (comm_size(comm) == 1) {
        assert_non_null(strstr(status_message(), "step "));
        assert_non_null(strstr(status_message(), "record 7 is rotten"));
    }
    expect_error((struct behaviour){.skip = -1, .fail = -1, .beyond = 3}, ERR_SHAPE);
    if (comm_size(comm) == 1)
        assert_non_null(strstr(status_message(), "sample 0000000000000003 (record none) holds id"));
}

/* Records 8, 9 and 10 have more than 10 words. */
static void test_too_long(void **state)
{
    (void)state;
    max_length = 10;
    for (too_long = TOO_LONG_CUT; too_long <= TOO_LONG_SKIP; too_long++) {
        struct order *order = make_order();
        struct behaviour behaviour = {.skip = -1, .fail = -1, .beyond = -1};
        struct loader *loader = make_loader(order, &behaviour, 2, PACK_BALANCED);
        const struct global_batch *batch = NULL;
        int64_t n_long = 0;
        assert_int_equal(loader_next_batch(loader, &batch), OK);
        for (int64_t i = 0; i < GLOBAL_BATCH; i++) {
            const bool is_long = (batch->ids[i] & 0xff) > 7;
            n_long += is_long;
            if (is_long)
                assert_int_equal(batch->sizes[i].tokens, too_long == TOO_LONG_CUT ? 10 : 0);
        }
        assert_true(n_long > 0);
        assert_int_equal(batch->n_cut, too_long == TOO_LONG_CUT ? n_long : 0);
        assert_int_equal(batch->n_skipped, too_long == TOO_LONG_CUT ? 0 : n_long);
        loader_destroy(loader);
        order_destroy(order);
    }
    expect_error((struct behaviour){.skip = -1, .fail = -1, .beyond = -1}, ERR_LIMIT);
}

int main(void)
{
    if (comm_create(&comm, NULL) != OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_sample_once),
        cmocka_unit_test(test_left_early),
        cmocka_unit_test(test_errors_reach_all_ranks),
        cmocka_unit_test(test_too_long),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    comm_destroy(comm);
    return failed;
}
