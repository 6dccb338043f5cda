/* What must hold of the model whatever its sizes: recompute, packing, frozen modules, odd batches.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/tiny_robin.h"

#define assert_ok(call) assert_string_equal((call) == OK ? "" : status_message(), "")

static struct tiny_samples samples;

static int set_up(void **state)
{
    (void)state;
    const struct model_config config = tiny_config();
    tiny_samples_init(&samples, &config);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tiny_samples_release(&samples);
    return 0;
}

/* One step from zero gradients. */
static struct model_result step(struct model *model, const struct model_batch *batch)
{
    struct model_result result;
    model_zero_gradients(model);
    assert_ok(model_step(model, batch, true, NULL, &result));
    return result;
}

static int64_t n_gradients(struct model *model)
{
    return model_parameters(model)->n_gradient_elements;
}

/* ---- recompute ---- */

static void test_recompute_gives_the_same_bits(void **state)
{
    (void)state;
    struct made_batch made;
    struct model_options options = tiny_options();
    tiny_batch(&made, &samples, 0, TINY_SAMPLES);
    struct model *keeps = tiny_model(&options);
    options.recompute = true;
    struct model *recomputes = tiny_model(&options);
    struct model_result a = step(keeps, &made.batch);
    struct model_result b = step(recomputes, &made.batch);
    assert_true(a.loss_sum > 0);
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_equal(model_gradients(keeps), model_gradients(recomputes),
                        (size_t)n_gradients(keeps) * sizeof(float));
    model_destroy(keeps);
    model_destroy(recomputes);
    batch_release(&made);
}

static void test_a_second_run_gives_the_same_bits(void **state)
{
    (void)state;
    struct made_batch made, other;
    struct model_options options = tiny_options();
    tiny_batch(&made, &samples, 0, TINY_SAMPLES);
    tiny_batch(&other, &samples, 1, 1);
    struct model *model = tiny_model(&options);
    size_t bytes = (size_t)n_gradients(model) * sizeof(float);
    float *first = malloc(bytes);
    step(model, &made.batch);
    memcpy(first, model_gradients(model), bytes);
    step(model, &other.batch); /* another layout of the same memory in between */
    step(model, &made.batch);
    assert_memory_equal(first, model_gradients(model), bytes);
    free(first);
    model_destroy(model);
    batch_release(&other);
    batch_release(&made);
}

/* ---- packing ---- */

static void test_samples_alone_add_up_to_the_packed_batch(void **state)
{
    (void)state;
    struct made_batch packed, alone;
    struct model_options options = tiny_options();
    tiny_batch(&packed, &samples, 0, TINY_SAMPLES);
    struct model *together = tiny_model(&options);
    struct model *apart = tiny_model(&options);
    struct model_result whole = step(together, &packed.batch);
    struct model_result sum = {0};
    model_zero_gradients(apart);
    for (int i = 0; i < TINY_SAMPLES; i++) {
        struct model_result part;
        tiny_batch(&alone, &samples, i, 1);
        for (int64_t t = 0; t < alone.batch.n_targets; t++)
            alone.target_weight[t] = packed.target_weight[0];
        assert_ok(model_step(apart, &alone.batch, true, NULL, &part));
        sum.loss_sum += part.loss_sum;
        sum.weighted_loss += part.weighted_loss;
        batch_release(&alone);
    }
    assert_true(sum.loss_sum > 0.999999 * whole.loss_sum);
    assert_true(sum.loss_sum < 1.000001 * whole.loss_sum);
    assert_true(tiny_difference(model_gradients(apart), model_gradients(together),
                                n_gradients(together)) < 1e-5);
    model_destroy(apart);
    model_destroy(together);
    batch_release(&packed);
}

/* ---- chunks of the loss ---- */

static void test_chunks_of_the_loss_do_not_change_it(void **state)
{
    (void)state;
    static const int64_t chunks[][2] = {{1, 64}, {5, 7}, {128, 1}, {3, 63}};
    struct made_batch made;
    struct model_options options = tiny_options();
    tiny_batch(&made, &samples, 0, TINY_SAMPLES);
    struct model *whole = tiny_model(&options);
    struct model_result wanted = step(whole, &made.batch);
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        options.loss_chunk_rows = chunks[i][0];
        options.loss_chunk_vocab = chunks[i][1];
        struct model *chunked = tiny_model(&options);
        struct model_result found = step(chunked, &made.batch);
        assert_true(found.loss_sum > 0.999999 * wanted.loss_sum);
        assert_true(found.loss_sum < 1.000001 * wanted.loss_sum);
        assert_true(tiny_difference(model_gradients(chunked), model_gradients(whole),
                                    n_gradients(whole)) < 1e-5);
        model_destroy(chunked);
    }
    model_destroy(whole);
    batch_release(&made);
}

/* ---- freezing ---- */

/* Each module's gradients are the same bits whatever else trains; the frozen have none. */
static void test_freezing_changes_no_gradient(void **state)
{
    (void)state;
    struct made_batch made;
    struct model_options options = tiny_options();
    tiny_batch(&made, &samples, 0, TINY_SAMPLES);
    struct model *all = tiny_model(&options);
    step(all, &made.batch);
    for (unsigned set = 0; set < 1u << N_MODULES; set++) {
        for (int m = 0; m < N_MODULES; m++) options.trainable[m] = (set >> m & 1) != 0;
        options.recompute = set % 3 == 0;
        struct model *some = tiny_model(&options);
        const struct parameter_table *table = model_parameters(some);
        step(some, &made.batch);
        for (int64_t i = 0; i < table->n_parameters; i++) {
            const struct parameter *own = &table->parameters[i];
            const struct parameter *full = &model_parameters(all)->parameters[i];
            bool trains = options.trainable[own->module] && own->used;
            assert_int_equal(own->gradient_offset >= 0, trains);
            if (trains)
                assert_memory_equal(model_gradients(some) + own->gradient_offset,
                                    model_gradients(all) + full->gradient_offset,
                                    (size_t)own->n_elements * sizeof(float));
        }
        model_destroy(some);
    }
    model_destroy(all);
    batch_release(&made);
}

static void test_a_step_leaves_the_weights_alone(void **state)
{
    (void)state;
    struct made_batch made;
    struct model_options options = tiny_options();
    tiny_batch(&made, &samples, 0, TINY_SAMPLES);
    struct model *model = tiny_model(&options);
    size_t bytes = (size_t)model_parameters(model)->n_weight_elements * sizeof(float);
    float *before = malloc(bytes);
    memcpy(before, model_weights(model), bytes);
    step(model, &made.batch);
    assert_memory_equal(before, model_weights(model), bytes);
    free(before);
    model_destroy(model);
    batch_release(&made);
}

static void test_frozen_lm_matrices_leave_the_other_gradients(void **state)
{
    (void)state;
    struct made_batch made;
    struct model_options options = tiny_options();
    tiny_batch(&made, &samples, 0, TINY_SAMPLES);
    struct model *all = tiny_model(&options);
    options.lm_matrices_frozen = true;
    struct model *vectors = tiny_model(&options);
    step(all, &made.batch);
    step(vectors, &made.batch);
    int64_t n_frozen = 0;
    for (int64_t i = 0; i < model_parameters(all)->n_parameters; i++) {
        const struct parameter *full = &model_parameters(all)->parameters[i];
        const struct parameter *own = &model_parameters(vectors)->parameters[i];
        bool is_matrix = full->module == MODULE_LM && full->n_dims > 1;
        if (!full->used) continue;
        assert_int_equal(own->gradient_offset < 0, is_matrix);
        n_frozen += is_matrix;
        if (is_matrix) continue;
        assert_true(tiny_difference(model_gradients(vectors) + own->gradient_offset,
                                    model_gradients(all) + full->gradient_offset,
                                    full->n_elements) < 1e-6);
    }
    assert_int_equal(n_frozen, 1 + 7 * 3);
    model_destroy(vectors);
    model_destroy(all);
    batch_release(&made);
}

/* ---- odd batches ---- */

/* The second sample, words alone, beside an image and regions that it never names. */
static void make_batch_with_idle_image(struct made_batch *made, const float *pixels)
{
    struct tiny_samples changed = samples;
    changed.samples[1].pixels = pixels;
    changed.samples[1].masks = samples.samples[2].masks;
    changed.samples[1].n_regions = 3;
    changed.samples[1].mask_height = changed.samples[1].mask_width = samples.samples[2].mask_width;
    tiny_batch(made, &changed, 0, 2);
}

/* An image whose tokens and regions stand nowhere changes nothing: beyond rounding if it is not
 * there at all, not a bit if it is another one. */
static void test_what_stands_nowhere_has_no_gradient(void **state)
{
    (void)state;
    struct made_batch without, with, other;
    struct model_options options = tiny_options();
    tiny_batch(&without, &samples, 0, 2);
    make_batch_with_idle_image(&with, samples.samples[2].pixels);
    make_batch_with_idle_image(&other, samples.samples[0].pixels);
    assert_int_equal(with.batch.n_images, without.batch.n_images + 1);
    struct model *a = tiny_model(&options);
    struct model *b = tiny_model(&options);
    step(a, &without.batch);
    step(b, &with.batch);
    assert_true(tiny_difference(model_gradients(b), model_gradients(a), n_gradients(a)) < 1e-5);
    step(a, &other.batch);
    assert_memory_equal(model_gradients(b), model_gradients(a),
                        (size_t)n_gradients(a) * sizeof(float));
    model_destroy(b);
    model_destroy(a);
    batch_release(&other);
    batch_release(&with);
    batch_release(&without);
}

static void test_batches_without_images_regions_or_targets(void **state)
{
    (void)state;
    struct made_batch words, none;
    struct model_options options = tiny_options();
    struct model *model = tiny_model(&options);
    tiny_batch(&words, &samples, 1, 1);
    assert_int_equal(words.batch.n_images, 0);
    assert_true(step(model, &words.batch).loss_sum > 0);
    tiny_batch(&none, &samples, 0, 1);
    none.batch.n_targets = 0;
    struct model_result result = step(model, &none.batch);
    assert_true(result.loss_sum == 0 && result.weighted_loss == 0);
    for (int64_t i = 0; i < n_gradients(model); i++) assert_true(model_gradients(model)[i] == 0);
    none.batch.n_regions = 0; /* the region rows keep the zeros of the embedding */
    step(model, &none.batch);
    struct model_batch empty = {0};
    result = step(model, &empty);
    assert_true(result.loss_sum == 0);
    batch_release(&none);
    batch_release(&words);
    model_destroy(model);
}

/* ---- DropPath ---- */

static void test_drop_path(void **state)
{
    (void)state;
    struct made_batch made;
    struct model_options options = tiny_options();
    float keep[5 * 2]; /* blocks x images */
    tiny_batch(&made, &samples, 0, TINY_SAMPLES);
    struct model *plain = tiny_model(&options);
    struct model *dropped = tiny_model(&options);
    size_t bytes = (size_t)n_gradients(plain) * sizeof(float);
    step(plain, &made.batch);
    for (int i = 0; i < 10; i++) keep[i] = 1;
    made.batch.keep = keep;
    step(dropped, &made.batch);
    assert_memory_equal(model_gradients(plain), model_gradients(dropped), bytes);

    /* Block 3 (stage 2) dropped in both images: its branch has no gradient, the others have. */
    keep[3 * 2] = keep[3 * 2 + 1] = 0;
    step(dropped, &made.batch);
    const struct parameter_table *table = model_parameters(dropped);
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        if (strstr(parameter->name, "blocks") == NULL) continue;
        bool silent = strstr(parameter->name, "stages.2.blocks.0") != NULL;
        bool all_zero = true;
        for (int64_t e = 0; e < parameter->n_elements; e++)
            all_zero = all_zero && model_gradients(dropped)[parameter->gradient_offset + e] == 0;
        assert_int_equal(all_zero, silent);
    }
    model_destroy(dropped);
    model_destroy(plain);
    batch_release(&made);
}

/* ---- limits and refusals ---- */

static void expect_limit(const struct model_options *options, const struct model_batch *batch,
                         const char *word)
{
    struct model_result result;
    struct model *model = tiny_model(options);
    assert_int_equal(model_step(model, batch, true, NULL, &result), ERR_LIMIT);
    assert_non_null(strstr(status_message(), word));
    model_destroy(model);
}

static void test_batches_beyond_the_limits_are_refused(void **state)
{
    (void)state;
    struct made_batch made;
    tiny_batch(&made, &samples, 0, TINY_SAMPLES);
    const struct model_batch *batch = &made.batch;
    struct model_options options = tiny_options();
    options.limits.max_images = batch->n_images - 1;
    expect_limit(&options, batch, "images");
    options = tiny_options();
    options.limits.max_regions = batch->n_regions - 1;
    expect_limit(&options, batch, "regions");
    options = tiny_options();
    options.limits.max_sequences = batch->n_sequences - 1;
    expect_limit(&options, batch, "sequences");
    options = tiny_options();
    options.limits.max_tokens = batch->n_tokens - 1;
    expect_limit(&options, batch, "tokens");
    options = tiny_options();
    options.limits.max_targets = batch->n_targets - 1;
    expect_limit(&options, batch, "targets");
    made.position[3] = (int32_t)samples.config.lm.max_positions;
    options = tiny_options();
    expect_limit(&options, batch, "position");
    batch_release(&made);
}

static void test_impossible_models_are_refused(void **state)
{
    (void)state;
    struct model_memory memory;
    struct model_options options = tiny_options();
    struct model_config config = tiny_config();
    struct kernels half = kernels_ref;
    half.rope = NULL;
    assert_int_equal(model_plan(&memory, &config, &options, &half), ERR_UNSUPPORTED);
    assert_non_null(strstr(status_message(), "rope"));
    config.lm.kv_heads = 3;
    assert_int_equal(model_plan(&memory, &config, &options, &kernels_ref), ERR_SHAPE);
    assert_non_null(strstr(status_message(), "kv_heads"));
    config = tiny_config();
    config.image_width = 16;
    assert_int_equal(model_plan(&memory, &config, &options, &kernels_ref), ERR_SHAPE);
    config = tiny_config();
    options.loss_chunk_rows = -1;
    assert_int_equal(model_plan(&memory, &config, &options, &kernels_ref), ERR_SHAPE);
}

/* ---- the plan ---- */

/* A batch that fills every limit uses the planned bytes, no more and no less. */
static void test_the_plan_is_what_is_used(void **state)
{
    (void)state;
    struct made_batch made;
    struct model_config config = tiny_config();
    struct model_options options = tiny_options();
    tiny_batch(&made, &samples, 0, TINY_SAMPLES);
    options.limits = (struct model_limits){.max_images = made.batch.n_images,
                                           .max_regions = made.batch.n_regions,
                                           .max_sequences = made.batch.n_sequences,
                                           .max_tokens = made.batch.n_tokens,
                                           .max_targets = made.batch.n_targets};
    for (unsigned set = 0; set < 4u << N_MODULES; set++) {
        struct model_memory memory;
        for (int m = 0; m < N_MODULES; m++) options.trainable[m] = (set >> m & 1) != 0;
        options.backward = (set >> N_MODULES & 1) != 0;
        options.recompute = (set >> (N_MODULES + 1) & 1) != 0;
        assert_ok(model_plan(&memory, &config, &options, &kernels_cpu));
        struct model *model = tiny_model(&options);
        struct model_result result;
        assert_ok(model_step(model, &made.batch, options.backward, NULL, &result));
        assert_int_equal(model_memory_used(model), memory.activations + memory.workspace);
        model_destroy(model);
    }
    batch_release(&made);
}

static void test_what_is_frozen_or_recomputed_saves_memory(void **state)
{
    (void)state;
    struct model_config config = tiny_config();
    struct model_options options = tiny_options();
    struct model_memory all, recomputed, stage0a, forward;
    assert_ok(model_plan(&all, &config, &options, &kernels_cpu));
    options.recompute = true;
    assert_ok(model_plan(&recomputed, &config, &options, &kernels_cpu));
    options = tiny_options();
    options.trainable[MODULE_TOWER] = options.trainable[MODULE_EXTRACTOR] =
        options.trainable[MODULE_LM] = false;
    assert_ok(model_plan(&stage0a, &config, &options, &kernels_cpu));
    options.backward = false;
    assert_ok(model_plan(&forward, &config, &options, &kernels_cpu));
    assert_true(recomputed.activations < all.activations / 2);
    assert_true(stage0a.by_module[MODULE_TOWER] < all.by_module[MODULE_TOWER] / 4);
    assert_true(stage0a.by_module[MODULE_EXTRACTOR] < all.by_module[MODULE_EXTRACTOR]);
    assert_true(stage0a.by_module[MODULE_LM] < all.by_module[MODULE_LM]);
    assert_true(stage0a.gradients < all.gradients / 10);
    assert_true(forward.activations < stage0a.activations);
    assert_int_equal(forward.gradients, 0);
    assert_int_equal(all.weights, forward.weights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recompute_gives_the_same_bits),
        cmocka_unit_test(test_a_second_run_gives_the_same_bits),
        cmocka_unit_test(test_samples_alone_add_up_to_the_packed_batch),
        cmocka_unit_test(test_chunks_of_the_loss_do_not_change_it),
        cmocka_unit_test(test_freezing_changes_no_gradient),
        cmocka_unit_test(test_a_step_leaves_the_weights_alone),
        cmocka_unit_test(test_frozen_lm_matrices_leave_the_other_gradients),
        cmocka_unit_test(test_what_stands_nowhere_has_no_gradient),
        cmocka_unit_test(test_batches_without_images_regions_or_targets),
        cmocka_unit_test(test_drop_path),
        cmocka_unit_test(test_batches_beyond_the_limits_are_refused),
        cmocka_unit_test(test_impossible_models_are_refused),
        cmocka_unit_test(test_the_plan_is_what_is_used),
        cmocka_unit_test(test_what_is_frozen_or_recomputed_saves_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
