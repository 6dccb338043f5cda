/* Gradients of the whole model against differences of its loss, at sizes that are odd in every way:
 * for each module the loss is moved along the module's own gradient. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/stream.h"
#include "support/tiny_robin.h"

/* The loss moves by this; fp32 resolves it to about a thousandth. */
#define LOSS_STEP  4e-4
#define TOLERANCE  2e-2
#define TINY_VOCAB 64

static double loss_of(struct model *model, const struct model_batch *batch)
{
    struct model_result result;
    assert_int_equal(model_step(model, batch, false, NULL, &result), OK);
    return result.weighted_loss;
}

/* weights += step * gradient, on one module */
static void move(struct model *model, enum module module, const float *start, double step)
{
    const struct parameter_table *table = model_parameters(model);
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        if (parameter->module != module || parameter->gradient_offset < 0) continue;
        for (int64_t e = 0; e < parameter->n_elements; e++) {
            double gradient = (double)model_gradients(model)[parameter->gradient_offset + e];
            model_weights(model)[parameter->offset + e] =
                (float)((double)start[parameter->offset + e] + step * gradient);
        }
    }
}

static double square_of(struct model *model, enum module module)
{
    const struct parameter_table *table = model_parameters(model);
    double square = 0;
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        if (parameter->module != module || parameter->gradient_offset < 0) continue;
        for (int64_t e = 0; e < parameter->n_elements; e++) {
            double gradient = (double)model_gradients(model)[parameter->gradient_offset + e];
            square += gradient * gradient;
        }
    }
    return square;
}

/* Along the gradient g the loss changes by 2 step |g|^2 between the two sides. */
static void check_module(struct model *model, const struct model_batch *batch, enum module module)
{
    size_t bytes = (size_t)model_parameters(model)->n_weight_elements * sizeof(float);
    float *start = malloc(bytes);
    memcpy(start, model_weights(model), bytes);
    double square = square_of(model, module);
    assert_true(square > 0);
    double step = LOSS_STEP / square;
    move(model, module, start, step);
    double above = loss_of(model, batch);
    move(model, module, start, -step);
    double below = loss_of(model, batch);
    memcpy(model_weights(model), start, bytes);
    double ratio = (above - below) / (2 * LOSS_STEP);
    if (fabs(ratio - 1) > TOLERANCE)
        fail_msg("%s: the loss moves by %g of what the gradient says", module_names[module], ratio);
    free(start);
}

static void check_sizes(const struct model_config *config)
{
    struct tiny_samples samples;
    struct made_batch made;
    struct model *model = NULL;
    struct model_result result;
    struct model_options options = tiny_options();
    static struct stream stream;
    options.limits.max_tokens = options.limits.max_targets = 256;
    tiny_samples_init(&samples, config);
    tiny_batch(&made, &samples, 0, TINY_SAMPLES);
    assert_int_equal(model_create(&model, config, &options, &kernels_ref, &stream), OK);
    parameters_fill(model_weights(model), model_parameters(model), 3);
    assert_int_equal(model_step(model, &made.batch, true, NULL, &result), OK);
    for (int module = 0; module < N_MODULES; module++)
        check_module(model, &made.batch, (enum module)module);
    model_destroy(model);
    batch_release(&made);
    tiny_samples_release(&samples);
}

static void test_plain_sizes(void **state)
{
    (void)state;
    struct model_config config = tiny_config();
    check_sizes(&config);
}

static void test_odd_image(void **state)
{
    (void)state;
    struct model_config config = tiny_config();
    config.image_height = 71; /* 17, 8, 4, 2 rows: pixels and cells are left over */
    config.image_width = 61;  /* 15, 7, 3, 1 columns */
    check_sizes(&config);
}

static void test_untied_with_one_key_head(void **state)
{
    (void)state;
    struct model_config config = tiny_config();
    config.lm.tied = false;
    config.lm.hidden = 30;
    config.lm.heads = 5;
    config.lm.kv_heads = 1;
    config.lm.ffn = 7;
    config.lm.layers = 1;
    config.lm.vocab = TINY_VOCAB + 3;
    check_sizes(&config);
}

static void test_smallest_heads_and_odd_widths(void **state)
{
    (void)state;
    struct model_config config = tiny_config();
    config.lm.hidden = 6;
    config.lm.heads = config.lm.kv_heads = 3;
    config.extractor.embed = 5;
    config.extractor.mask_side = 31; /* larger than the masks */
    config.vision.dims[0] = 3;
    config.vision.dims[1] = 7;
    config.vision.dims[2] = 5;
    config.vision.dims[3] = 1;
    config.vision.depths[0] = 2;
    check_sizes(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_sizes),
        cmocka_unit_test(test_odd_image),
        cmocka_unit_test(test_untied_with_one_key_head),
        cmocka_unit_test(test_smallest_heads_and_odd_widths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
