/* mpi: 1 2 3 8
 * The stream of samples, without a model: the ids of steps 0 .. 1000 are those of one pure function
 * whatever the number of ranks and threads, the size of micro-batches and the memory for what is
 * held ahead, and from whichever step a loader begins; text alone and pictures mix; every sample's
 * rows reach one rank, and of the sharers of a model one decodes a picture. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text_buffer.h"
#include "image/image.h"
#include "train/loader.h"

enum { N_RECORDS = 301, GLOBAL_BATCH = 6, LAST_STEP = 1000, IMAGE_ROWS = 4 };

static struct comm *comm;

/* Ranks that share a core wait for each other at every step: with several of them a part of the
 * steps goes through the loader, unless ROBIN_LONG_TESTS is set. */
static bool every_step(void)
{
    return comm_size(comm) == 1 || getenv("ROBIN_LONG_TESTS") != NULL;
}

/* Of the ids of steps 0 .. LAST_STEP. Another value here is another order: runs that were stopped
 * could not go on. */
#define HASH_OF_IDS UINT64_C(0xcf603783333d59ef)

static struct order *order;
static uint8_t *jpeg;
static size_t jpeg_size;
static bool rotten; /* pictures cannot be decoded */

static const struct model_config config = {
    .image_height = 32,
    .image_width = 32,
    .vision = {.depths = {1, 1, 1, 1}, .dims = {8, 8, 8, 8}},
    .extractor = {.embed = 8, .mask_side = 4},
    .lm = {.vocab = 512, .hidden = 16, .ffn = 32, .layers = 1, .heads = 2, .kv_heads = 1},
};

static bool has_picture(const struct order_item *item)
{
    return item->source == 0 && item->record % 3 != 0;
}

/* Record r has r % 17 + 2 words, most of source 0 a picture. */
static enum status build(void *context, const struct order_item *item, struct sample *sample_out,
                         const char **skipped_out)
{
    (void)context;
    struct sample sample = {.id = item->id, .has_image = has_picture(item)};
    *skipped_out = NULL;
    if (sample.has_image) {
        token_list_append(&sample.ids, IMAGE_TOKEN_ID);
        token_list_append(&sample.labels, IGNORE_LABEL);
        sample.record.image = memory_new(jpeg_size, 1);
        memcpy(sample.record.image, jpeg, jpeg_size);
        if (rotten) memset(sample.record.image, 0, jpeg_size);
        sample.record.image_size = jpeg_size;
        sample.record.height = sample.record.width = 24;
    }
    for (int64_t i = 0; i < item->record % 17 + 2; i++) {
        token_list_append(&sample.ids, (int32_t)(item->record % 500));
        token_list_append(&sample.labels, (int32_t)i);
    }
    *sample_out = sample;
    return OK;
}

static int set_up(void **state)
{
    (void)state;
    const struct order_source sources[] = {
        {.name = "pictures", .n_records = N_RECORDS, .n_tasks = 2, .weight = 1},
        {.name = "text", .n_records = 40, .n_tasks = 1, .weight = 1.5},
    };
    uint8_t grey[24 * 24 * 3];
    memset(grey, 90, sizeof grey);
    const struct image image = {.height = 24, .width = 24, .rgb = grey};
    assert_int_equal(image_encode_jpeg(&jpeg, &jpeg_size, &image, 90), OK);
    assert_int_equal(order_create(&order, 1, GLOBAL_BATCH, sources, 2), OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    order_destroy(order);
    free(jpeg);
    return 0;
}

struct way {
    int n_threads, tp_rank, tp_size;
    int64_t max_tokens, prefetch, prefetch_bytes;
    enum pack_mode mode;
    int64_t first_step, end_step;
};

static struct loader *make_loader(const struct way *way)
{
    struct loader *loader = NULL;
    const struct loader_options options = {
        .comm = comm,
        .dp_rank = comm_rank(comm),
        .tp_rank = way->tp_rank,
        .tp_size = way->tp_size,
        .order = order,
        .source = {build, NULL},
        .config = &config,
        .rows = {.mask_id = 500, .vocab = 512, .image_rows = IMAGE_ROWS, .max_length = 24},
        .pack = {.mode = way->mode,
                 .n_ranks = comm_size(comm),
                 .multiple = 2,
                 .limits = {.max_images = way->tp_size > 1 ? 1 : 3,
                            .max_regions = 1,
                            .max_sequences = 9,
                            .max_tokens = way->max_tokens,
                            .max_targets = way->max_tokens},
                 .cost = {.token = 1, .image = 3}},
        .n_threads = way->n_threads,
        .prefetch = way->prefetch,
        .prefetch_bytes = way->prefetch_bytes,
        .first_step = way->first_step,
        .end_step = way->end_step,
    };
    assert_int_equal(loader_create(&loader, &options), OK);
    return loader;
}

/* The ids of the batch are the order's; its rows and pictures are on one rank each. */
static void check_step(struct loader *loader, int64_t step, uint64_t *hash)
{
    const struct global_batch *batch = NULL;
    int64_t sums[2] = {0}, want[2] = {0}; /* rows, pictures */
    assert_int_equal(loader_next_batch(loader, &batch), OK);
    assert_int_equal(batch->step, step);
    for (int64_t i = 0; i < GLOBAL_BATCH; i++) {
        const struct order_item item = order_item_at(order, step * GLOBAL_BATCH + i);
        assert_int_equal(batch->ids[i], item.id);
        *hash = order_hash_next(*hash, batch->ids[i]);
        want[0] += item.record % 17 + 2 + (has_picture(&item) ? IMAGE_ROWS : 0);
        want[1] += has_picture(&item);
    }
    for (int64_t m = 0; m < batch->n_mine; m++) {
        struct micro_batch *micro = NULL;
        assert_int_equal(loader_next_micro(loader, &micro), OK);
        sums[0] += micro->batch.n_tokens;
        sums[1] += micro->batch.n_images;
        if (micro->batch.n_images > 0) /* grey, normalised */
            assert_true(micro->pixels[0] > -0.6F && micro->pixels[0] < 0);
        micro_batch_destroy(micro);
    }
    if (step % 10 != 0) return; /* a sum over the ranks now and then */
    assert_int_equal(comm_sum_int64(comm, sums, 2), OK);
    assert_int_equal(sums[0], want[0]);
    assert_int_equal(sums[1], want[1]);
}

static uint64_t run(const struct way *way)
{
    uint64_t hash = 0;
    struct loader *loader = make_loader(way);
    for (int64_t step = way->first_step; step < way->end_step; step++)
        check_step(loader, step, &hash);
    loader_destroy(loader);
    return hash;
}

/* Of the order itself: no step of it needs the others. */
static void test_ids_of_all_steps(void **state)
{
    (void)state;
    uint64_t hash = 0;
    for (int64_t i = 0; i < (LAST_STEP + 1) * GLOBAL_BATCH; i++)
        hash = order_hash_next(hash, order_item_at(order, i).id);
    if (hash != HASH_OF_IDS) fail_msg("the ids hash to 0x%016llx", (unsigned long long)hash);
}

static void test_all_steps(void **state)
{
    (void)state;
    const int64_t end = every_step() ? LAST_STEP + 1 : 21;
    const struct way way = {2, 0, 1, 40, 3, 0, PACK_BALANCED, 0, end};
    const uint64_t hash = run(&way);
    if (every_step()) assert_true(hash == HASH_OF_IDS);
}

static void test_other_ways(void **state)
{
    (void)state;
    const int64_t end = every_step() ? 60 : 5;
    const struct way ways[] = {
        {1, 0, 1, 24, 1, 0, PACK_BALANCED, 0, end},   {7, 0, 1, 30, 5, 0, PACK_BALANCED, 0, end},
        {3, 0, 1, 64, 2, 0, PACK_SEQUENTIAL, 0, end}, {3, 0, 1, 30, 2, 0, PACK_BLIND, 0, end},
        {3, 0, 1, 40, 4, 2, PACK_BALANCED, 0, end}, /* nothing is kept: all is read again */
    };
    const uint64_t hash = run(&ways[0]);
    for (size_t i = 1; i < sizeof ways / sizeof ways[0]; i++) assert_true(run(&ways[i]) == hash);
}

/* As a resumed run begins. */
static void test_resume_at_every_step(void **state)
{
    (void)state;
    for (int64_t step = 0; step <= LAST_STEP; step += every_step() ? 1 : 200) {
        const struct way way = {1, 0, 1, 40, 1, 0, PACK_BALANCED, step, step + 1};
        run(&way);
    }
}

static enum status take_all(const struct way *way)
{
    enum status status = OK;
    struct loader *loader = make_loader(way);
    for (int64_t step = way->first_step; step < way->end_step; step++) {
        const struct global_batch *batch = NULL;
        TRY(loader_next_batch(loader, &batch));
        for (int64_t m = 0; m < batch->n_mine; m++) {
            struct micro_batch *micro = NULL;
            TRY(loader_next_micro(loader, &micro));
            micro_batch_destroy(micro);
        }
    }
out:
    loader_destroy(loader);
    return status;
}

/* One picture a micro-batch, which the last of two sharers computes: the first one never decodes
 * it, and does not notice that it cannot be. */
static void test_sharers_decode_their_own(void **state)
{
    (void)state;
    if (comm_size(comm) > 1) return; /* a rank that fails leaves */
    rotten = true;
    for (int tp_rank = 0; tp_rank < 2; tp_rank++) {
        const struct way way = {2, tp_rank, 2, 40, 2, 0, PACK_BALANCED, 0, 10};
        assert_int_equal(take_all(&way), tp_rank == 0 ? OK : ERR_FORMAT);
    }
    rotten = false;
}

int main(void)
{
    if (comm_create(&comm, NULL) != OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_of_all_steps),
        cmocka_unit_test(test_all_steps),
        cmocka_unit_test(test_other_ways),
        cmocka_unit_test(test_resume_at_every_step),
        cmocka_unit_test(test_sharers_decode_their_own),
    };
    const int failed = cmocka_run_group_tests(tests, set_up, tear_down);
    comm_destroy(comm);
    return failed;
}
