/* From samples to micro-batches: no row, region or target token lost or doubled, limits kept, the
 * same groups for any number of ranks where the loss needs it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "train/micro_batch.h"
#include "train/packer.h"
#include "train/sample_rows.h"

#define N_SAMPLES 37
#define MASK_ID   500
#define VOCAB     512

/* 32 x 32 pixels: 2 x 2 image rows */
static const struct model_config config = {
    .image_height = 32,
    .image_width = 32,
    .vision = {.depths = {1, 1, 1, 1}, .dims = {8, 8, 8, 8}, .drop_path_rate = 0.5},
    .extractor = {.embed = 8, .mask_side = 4},
    .lm = {.vocab = VOCAB, .hidden = 16, .ffn = 32, .layers = 1, .heads = 2, .kv_heads = 1},
};
static const struct sample_rows_options splicing = {
    .mask_id = MASK_ID, .vocab = VOCAB, .image_rows = 4, .max_length = 30};

/* A sample of random length: text, an image, some regions, text; labels of its own. */
static struct sample make_sample(int64_t i)
{
    const struct random_stream stream = random_substream(random_stream(9, "sample"), (uint64_t)i);
    struct sample sample = {.id = (uint64_t)i + 1000, .has_image = i % 5 != 0};
    uint64_t draw = 0;
    const int64_t before = (int64_t)random_below(stream, draw++, 3);
    const int64_t after = 3 + (int64_t)random_below(stream, draw++, 28);
    for (int64_t t = 0; t < before; t++) token_list_append(&sample.ids, 1);
    if (sample.has_image) token_list_append(&sample.ids, IMAGE_TOKEN_ID);
    sample.n_regions = sample.has_image ? (int64_t)random_below(stream, draw++, 6) : 0;
    for (int64_t q = 0; q < sample.n_regions; q++) {
        token_list_append(&sample.ids, MASK_ID);
        token_list_append(&sample.ids, MASK_ID + 1);
    }
    for (int64_t t = 0; t < after; t++)
        token_list_append(&sample.ids, (int32_t)random_below(stream, draw++, 499));
    for (int64_t t = 0; t < sample.ids.n; t++)
        token_list_append(&sample.labels,
                          random_uniform(stream, draw++) < 0.4 ? IGNORE_LABEL : (int32_t)t);
    return sample;
}

static void release_made(struct sample *sample)
{
    token_list_release(&sample->ids);
    token_list_release(&sample->labels);
}

static struct sample_rows sequences[N_SAMPLES];
static struct sample_size sizes[N_SAMPLES];

static int make_samples(void **state)
{
    (void)state;
    for (int64_t i = 0; i < N_SAMPLES; i++) {
        struct sample sample = make_sample(i);
        assert_int_equal(sample_rows_create(&sequences[i], &sample, &splicing), OK);
        sizes[i] = (struct sample_size){.tokens = sequences[i].n_rows,
                                        .images = sample.has_image,
                                        .regions = sequences[i].n_regions,
                                        .targets = sequences[i].n_targets};
        release_made(&sample);
    }
    return 0;
}

static int release_samples(void **state)
{
    (void)state;
    for (int64_t i = 0; i < N_SAMPLES; i++) sample_rows_release(&sequences[i]);
    return 0;
}

static struct pack_options options_for(enum pack_mode mode, int n_ranks)
{
    return (struct pack_options){
        .mode = mode,
        .n_ranks = n_ranks,
        .limits = {.max_images = 5,
                   .max_regions = 12,
                   .max_sequences = 7,
                   .max_tokens = 90,
                   .max_targets = 60},
        .multiple = 3,
        .cost = {.token = 1, .image = 10},
    };
}

static struct pack_plan plan_for(enum pack_mode mode, int n_ranks)
{
    struct pack_plan plan;
    int64_t offender = -1;
    const struct pack_options options = options_for(mode, n_ranks);
    assert_int_equal(pack_plan_make(&plan, &offender, sizes, N_SAMPLES, &options), OK);
    return plan;
}

static void test_each_sample_once_within_limits(void **state)
{
    (void)state;
    for (int n_ranks = 1; n_ranks <= 5; n_ranks++) {
        for (int mode = PACK_BALANCED; mode <= PACK_BLIND; mode++) {
            struct pack_plan plan = plan_for((enum pack_mode)mode, n_ranks);
            const struct model_limits limits = options_for((enum pack_mode)mode, n_ranks).limits;
            int64_t seen[N_SAMPLES] = {0}, targets = 0;
            for (int64_t m = 0; m < plan.n_micro; m++) {
                struct sample_size sum = {0};
                for (int64_t i = plan.first[m]; i < plan.first[m + 1]; i++) {
                    const int64_t slot = plan.slot[i];
                    seen[slot]++;
                    sum.tokens += sizes[slot].tokens;
                    sum.images += sizes[slot].images;
                    sum.regions += sizes[slot].regions;
                    sum.targets += sizes[slot].targets;
                }
                assert_true(sum.tokens <= limits.max_tokens && sum.images <= limits.max_images);
                assert_true(sum.regions <= limits.max_regions);
                assert_true(sum.targets <= limits.max_targets);
                assert_true(plan.first[m + 1] - plan.first[m] <= limits.max_sequences);
                assert_int_equal(sum.targets, plan.targets[m]);
                assert_in_range(plan.rank[m], 0, n_ranks - 1);
                targets += sum.targets;
            }
            for (int64_t i = 0; i < N_SAMPLES; i++) assert_int_equal(seen[i], 1);
            assert_int_equal(targets, plan.n_targets);
            pack_plan_release(&plan);
        }
    }
}

static void test_groups_that_do_not_know_ranks(void **state)
{
    (void)state;
    for (int mode = PACK_SEQUENTIAL; mode <= PACK_BLIND; mode++) {
        struct pack_plan one = plan_for((enum pack_mode)mode, 1), cut;
        int64_t offender = -1;
        const struct pack_options options = options_for((enum pack_mode)mode, 4);
        assert_int_equal(pack_cut(&cut, &offender, sizes, N_SAMPLES, &options), OK);
        for (int64_t m = 0; m < cut.n_micro; m++) assert_int_equal(cut.rank[m], 0);
        pack_deal(&cut, 4);
        assert_true(pack_imbalance(&cut, 4) < 1.5);
        assert_int_equal(one.n_micro, cut.n_micro);
        if (mode == PACK_BLIND) assert_int_equal(cut.n_micro % 3, 0);
        assert_memory_equal(one.first, cut.first, (size_t)(one.n_micro + 1) * sizeof *one.first);
        assert_memory_equal(one.slot, cut.slot, N_SAMPLES * sizeof *one.slot);
        pack_plan_release(&one);
        pack_plan_release(&cut);
    }
}

static void test_balance(void **state)
{
    (void)state;
    struct pack_plan plan = plan_for(PACK_BALANCED, 4);
    double load[4] = {0}, total = 0;
    for (int64_t m = 0; m < plan.n_micro; m++)
        for (int64_t i = plan.first[m]; i < plan.first[m + 1]; i++) {
            const struct sample_size *size = &sizes[plan.slot[i]];
            load[plan.rank[m]] += (double)size->tokens + 10 * (double)size->images;
            total += (double)size->tokens + 10 * (double)size->images;
        }
    for (int rank = 0; rank < 4; rank++) assert_true(load[rank] < 1.01 * total / 4);
    pack_plan_release(&plan);
}

/* A tower is trained without a language model's layers: its pictures are still dealt evenly. */
static void test_balance_without_layers(void **state)
{
    (void)state;
    struct model_config bare = config;
    bare.lm.layers = 0;
    struct sample_size pictures[8];
    for (int i = 0; i < 8; i++) pictures[i] = (struct sample_size){9, 1, 2, 1, 0};
    struct pack_options options = options_for(PACK_BALANCED, 4);
    options.cost = sample_cost_of(&bare, (const bool[N_MODULES]){true, true, true, false});
    struct pack_plan plan;
    int64_t offender = -1;
    assert_int_equal(pack_plan_make(&plan, &offender, pictures, 8, &options), OK);
    int64_t dealt[4] = {0};
    for (int64_t m = 0; m < plan.n_micro; m++)
        dealt[plan.rank[m]] += plan.first[m + 1] - plan.first[m];
    for (int rank = 0; rank < 4; rank++) assert_int_equal(dealt[rank], 2);
    pack_plan_release(&plan);
}

static void test_skipped_and_too_long(void **state)
{
    (void)state;
    struct sample_size some[3] = {{.tokens = 5, .targets = 2}, {0}, {.tokens = 6, .targets = 1}};
    const struct pack_options options = options_for(PACK_BALANCED, 4);
    struct pack_plan plan;
    int64_t offender = -1;
    assert_int_equal(pack_plan_make(&plan, &offender, some, 3, &options), OK);
    assert_int_equal(plan.n_micro, 2);
    assert_int_equal(plan.n_targets, 3);
    assert_int_equal(plan.first[2], 2);
    pack_plan_release(&plan);
    some[1] = (struct sample_size){.tokens = 91, .targets = 1};
    assert_int_equal(pack_plan_make(&plan, &offender, some, 3, &options), ERR_LIMIT);
    assert_int_equal(offender, 1);
    assert_non_null(strstr(status_message(), "91 tokens"));
}

/* Every (sequence, row, label) of the samples appears once among the targets of the batches. */
static void check_targets(const struct micro_batch *micro, const int64_t *slots, int64_t n)
{
    const struct model_batch *batch = &micro->batch;
    int64_t t = 0;
    for (int64_t s = 0; s < n; s++) {
        const struct sample_rows *rows = &sequences[slots[s]];
        assert_int_equal(batch->seq_start[s + 1] - batch->seq_start[s], rows->n_rows);
        for (int64_t r = 1; r < rows->n_rows; r++) {
            if (rows->label[r] == IGNORE_LABEL) continue;
            assert_int_equal(batch->target_row[t], batch->seq_start[s] + r - 1);
            assert_int_equal(batch->target[t], rows->label[r]);
            assert_true(batch->target_weight[t] == 0.25f);
            t++;
        }
    }
    assert_int_equal(t, batch->n_targets);
}

/* Every row of the batch has exactly one origin: a token, an image cell or a region token. */
static void check_rows(const struct micro_batch *micro)
{
    const struct model_batch *batch = &micro->batch;
    int *origins = calloc((size_t)batch->n_tokens, sizeof *origins);
    for (int64_t r = 0; r < batch->n_tokens; r++) origins[r] = batch->token_id[r] >= 0;
    for (int64_t i = 0; i < batch->n_images * 4; i++)
        if (batch->image_row[i] >= 0) origins[batch->image_row[i]]++;
    for (int64_t q = 0; q < batch->n_regions; q++) {
        if (batch->mask_row[q] >= 0) origins[batch->mask_row[q]]++;
        if (batch->pos_row[q] >= 0) origins[batch->pos_row[q]]++;
        assert_in_range(batch->region_image[q], 0, batch->n_images - 1);
    }
    for (int64_t r = 0; r < batch->n_tokens; r++) assert_int_equal(origins[r], 1);
    free(origins);
}

static void test_batches_conserve_rows_and_targets(void **state)
{
    (void)state;
    struct pack_plan plan = plan_for(PACK_BALANCED, 3);
    const struct micro_batch_options options = {
        .config = &config, .target_weight = 0.25, .drop_path = true, .seed = 3, .step = 4};
    for (int64_t m = 0; m < plan.n_micro; m++) {
        const int64_t *slots = plan.slot + plan.first[m];
        const int64_t n = plan.first[m + 1] - plan.first[m];
        struct sample_rows chosen[N_SAMPLES];
        uint64_t ids[N_SAMPLES];
        for (int64_t s = 0; s < n; s++) {
            chosen[s] = sequences[slots[s]];
            ids[s] = (uint64_t)slots[s];
        }
        struct micro_batch *micro = NULL;
        assert_int_equal(micro_batch_create(&micro, chosen, ids, n, &options), OK);
        check_targets(micro, slots, n);
        check_rows(micro);
        for (int64_t s = 0; s < n; s++) {
            if (micro->image_of[s] < 0) continue;
            const float last = micro->keep[3 * micro->batch.n_images + micro->image_of[s]];
            assert_true(last == micro_batch_keep(3, 4, ids[s], 3, 0.5)); /* whatever the group */
            assert_true(micro->keep[micro->image_of[s]] == 1);
        }
        micro_batch_destroy(micro);
    }
    pack_plan_release(&plan);
}

/* The reference's rule of the cut: rows beyond max_length fall away, whatever they are. */
static void test_cut(void **state)
{
    (void)state;
    struct sample sample = {.id = 1, .has_image = true, .n_regions = 2};
    const int32_t ids[] = {1, IMAGE_TOKEN_ID, MASK_ID, 501, MASK_ID, 501, 7, 8};
    for (int i = 0; i < 8; i++) {
        token_list_append(&sample.ids, ids[i]);
        token_list_append(&sample.labels, 40 + i);
    }
    struct sample_rows_options options = splicing;
    const int64_t lengths[] = {11, 8, 6, 3};
    const int64_t targets[] = {2, 0, 0, 0};
    const int64_t cut[] = {0, 3, 5, 8};
    for (int i = 0; i < 4; i++) {
        struct sample_rows rows;
        options.max_length = lengths[i];
        assert_int_equal(sample_rows_create(&rows, &sample, &options), OK);
        assert_int_equal(rows.n_rows, lengths[i]);
        assert_int_equal(rows.n_targets, targets[i]);
        assert_int_equal(rows.n_cut, cut[i]);
        const uint64_t id = 1;
        struct micro_batch *micro = NULL;
        const struct micro_batch_options batching = {.config = &config, .target_weight = 1};
        assert_int_equal(micro_batch_create(&micro, &rows, &id, 1, &batching), OK);
        check_rows(micro);
        if (lengths[i] == 8) { /* the second pair loses its partner */
            assert_int_equal(micro->batch.mask_row[1], 7);
            assert_int_equal(micro->batch.pos_row[1], -1);
        }
        micro_batch_destroy(micro);
        sample_rows_release(&rows);
    }
    release_made(&sample);
}

static void test_bad_samples_are_named(void **state)
{
    (void)state;
    const int32_t too_few[] = {1, IMAGE_TOKEN_ID, 2};
    const int32_t too_many[] = {IMAGE_TOKEN_ID, MASK_ID, 501, MASK_ID, 501};
    const int32_t open_end[] = {IMAGE_TOKEN_ID, MASK_ID};
    const int32_t beyond[] = {IMAGE_TOKEN_ID, MASK_ID, 501, 512};
    const int32_t two[] = {IMAGE_TOKEN_ID, IMAGE_TOKEN_ID};
    const struct {
        const int32_t *ids;
        int n;
        const char *sentence;
    } cases[] = {{too_few, 3, "has 1 regions but 0 <mask> tokens"},
                 {too_many, 5, "has more <mask> tokens than its 1 regions"},
                 {open_end, 2, "ends behind a <mask>"},
                 {beyond, 4, "holds id 512 but the model's vocabulary ends at 511"},
                 {two, 2, "has more image tokens than pictures"},
                 {beyond, 0, "has a picture but no image token"}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct sample sample = {.id = 0xab, .has_image = true, .n_regions = 1};
        struct sample_rows rows;
        for (int i = 0; i < cases[c].n; i++) {
            token_list_append(&sample.ids, cases[c].ids[i]);
            token_list_append(&sample.labels, 1);
        }
        assert_int_equal(sample_rows_create(&rows, &sample, &splicing), ERR_SHAPE);
        assert_non_null(strstr(status_message(), cases[c].sentence));
        assert_non_null(strstr(status_message(), "sample 00000000000000ab"));
        release_made(&sample);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_sample_once_within_limits),
        cmocka_unit_test(test_groups_that_do_not_know_ranks),
        cmocka_unit_test(test_balance),
        cmocka_unit_test(test_balance_without_layers),
        cmocka_unit_test(test_skipped_and_too_long),
        cmocka_unit_test(test_batches_conserve_rows_and_targets),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_bad_samples_are_named),
    };
    return cmocka_run_group_tests(tests, make_samples, release_samples);
}
