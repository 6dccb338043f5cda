/* A model large enough that its loops are shared out gives the same bits for any number of threads:
 * losses, gradients, and weights after some steps of the optimizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/stream.h"
#include "model/robin_model.h"
#include "parallel/optimizer.h"
#include "support/batch_maker.h"
#include "support/kernel_test.h"

enum { SAMPLES = 2, SIDE = 128, VOCAB = 320, MASK_ID = VOCAB - 2, REGIONS = 3, STEPS = 2 };
enum { PROMPT = 5, ANSWER = 40, IDS = PROMPT + 1 + 2 * REGIONS + ANSWER };

static const struct model_config config = {
    .image_height = SIDE,
    .image_width = SIDE,
    .vision = {.depths = {1, 1, 1, 1},
               .dims = {40, 48, 96, 192},
               .norm_eps = 1e-6,
               .layer_scale_init = 1},
    .extractor = {.embed = 64, .mask_side = 28},
    .lm = {.vocab = VOCAB,
           .hidden = 128,
           .ffn = 352,
           .layers = 2,
           .heads = 8,
           .kv_heads = 4,
           .max_positions = 512,
           .rms_eps = 1e-6,
           .rope_theta = 1e4,
           .tied = true},
};

static void make_batch(struct made_batch *made, struct stream *stream)
{
    int64_t ids[IDS], labels[IDS], n = 0;
    uint8_t *masks = calloc(REGIONS * SIDE * SIDE, 1);
    float *pixels = kernel_random("pixels", 3 * SIDE * SIDE, -2, 2);
    assert_non_null(masks);
    for (int64_t i = 0; i < PROMPT; i++) ids[n++] = 3 + i;
    ids[n++] = MAKER_IMAGE_ID;
    for (int64_t q = 0; q < REGIONS; q++) {
        ids[n++] = MASK_ID;
        ids[n++] = MASK_ID + 1;
        memset(masks + q * SIDE * SIDE, 1, (size_t)(SIDE * (20 + 30 * q)));
    }
    for (int64_t i = 0; i < ANSWER; i++) ids[n++] = 20 + 7 * i % 280;
    for (int64_t i = 0; i < n; i++) labels[i] = i < n - ANSWER ? MAKER_IGNORE : ids[i];
    struct made_sample samples[SAMPLES];
    for (int i = 0; i < SAMPLES; i++)
        samples[i] = (struct made_sample){.ids = ids,
                                          .labels = labels,
                                          .n_ids = n,
                                          .pixels = pixels,
                                          .masks = masks,
                                          .n_regions = REGIONS,
                                          .mask_height = SIDE,
                                          .mask_width = SIDE};
    const struct maker_options options = {
        .config = &config, .mask_id = MASK_ID, .kernels = &kernels_cpu, .stream = stream};
    kernel_ok(batch_make(made, samples, SAMPLES, &options));
    free(masks);
    free(pixels);
}

/* What some steps leave behind. */
struct outcome {
    double loss;
    int64_t n_gradients, n_weights;
    float *gradients, *weights;
};

static float *copy_floats(const float *values, int64_t n)
{
    float *copy = malloc((size_t)n * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, values, (size_t)n * sizeof *copy);
    return copy;
}

static struct outcome train(int n_threads)
{
    struct stream *stream;
    struct made_batch made;
    struct model *model;
    struct optimizer *optimizer;
    struct model_result result = {0};
    kernel_ok(stream_create(&stream, n_threads));
    make_batch(&made, stream);
    const struct model_batch *batch = &made.batch;
    const struct model_options options = {.limits = {batch->n_images, batch->n_regions,
                                                     batch->n_sequences, batch->n_tokens,
                                                     batch->n_targets},
                                          .trainable = {true, true, true, true},
                                          .backward = true};
    kernel_ok(model_create(&model, &config, &options, &kernels_cpu, stream));
    const struct parameter_table *table = model_parameters(model);
    parameters_fill(model_weights(model), table, 1);
    const struct optimizer_options adamw = {
        .lr = {1e-3, 1e-3, 1e-3, 1e-3}, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .clip_norm = 1};
    kernel_ok(optimizer_create(&optimizer, table, NULL, &adamw, &kernels_cpu, stream));
    for (int step = 0; step < STEPS; step++) {
        double norm;
        model_zero_gradients(model);
        kernel_ok(model_step(model, batch, true, NULL, &result));
        kernel_ok(optimizer_gradient_norm(optimizer, model_gradients(model), &norm, NULL));
        kernel_ok(optimizer_step(optimizer, model_weights(model), model_gradients(model), norm, 1));
    }
    struct outcome outcome = {
        .loss = result.loss_sum,
        .n_gradients = table->n_gradient_elements,
        .n_weights = table->n_weight_elements,
        .gradients = copy_floats(model_gradients(model), table->n_gradient_elements),
        .weights = copy_floats(model_weights(model), table->n_weight_elements)};
    optimizer_destroy(optimizer);
    model_destroy(model);
    batch_release(&made);
    stream_destroy(stream);
    return outcome;
}

static void outcome_release(struct outcome *outcome)
{
    free(outcome->gradients);
    free(outcome->weights);
}

static void the_same_bits_for_any_number_of_threads(void **state)
{
    (void)state;
    struct outcome one = train(1);
    double squares = kernel_dot(one.gradients, one.gradients, one.n_gradients);
    assert_true(one.loss > 0 && squares > 0);
    for (int n_threads = 2; n_threads <= 3; n_threads++) {
        struct outcome more = train(n_threads);
        assert_true(one.loss == more.loss);
        assert_memory_equal(one.gradients, more.gradients, (size_t)one.n_gradients * sizeof(float));
        assert_memory_equal(one.weights, more.weights, (size_t)one.n_weights * sizeof(float));
        outcome_release(&more);
    }
    outcome_release(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_bits_for_any_number_of_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
