/* A model of bf16 tables: what must hold bit for bit, and what its weights are. How near it is to
 * fp32 the golden tool compares. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/assertion.h"
#include "base/bf16.h"
#include "device/stream.h"
#include "kernels.h"
#include "support/tiny_robin.h"

static struct model_config config;
static struct tiny_samples samples;
static struct stream stream; /* the caller's thread alone */

static struct model *make(const struct model_options *options)
{
    struct model *model = NULL;
    const enum status status = model_create(&model, &config, options, &kernels_ref_bf16, &stream);
    ASSERT(status == OK, "%s", status_message());
    parameters_fill(model_weights(model), model_parameters(model), 5);
    return model;
}

static double step(struct model *model, const struct model_batch *batch)
{
    struct model_result result;
    model_zero_gradients(model);
    const enum status status = model_step(model, batch, true, NULL, &result);
    ASSERT(status == OK, "%s", status_message());
    return result.weighted_loss;
}

static size_t gradient_bytes(const struct model *model)
{
    return (size_t)model_parameters(model)->n_gradient_elements * sizeof(float);
}

static void test_recompute_gives_the_same_bits(void **state)
{
    (void)state;
    struct made_batch made;
    struct model_options options = tiny_options();
    tiny_batch(&made, &samples, 0, TINY_SAMPLES);
    struct model *keeps = make(&options);
    options.recompute = true;
    struct model *recomputes = make(&options);
    assert_true(step(keeps, &made.batch) == step(recomputes, &made.batch));
    assert_memory_equal(model_gradients(keeps), model_gradients(recomputes), gradient_bytes(keeps));
    model_destroy(recomputes);
    model_destroy(keeps);
    batch_release(&made);
}

/* Moves every weight of the module from its value to the next bf16 above, by `share` of the way. */
static void move(struct model *model, enum module module, float share)
{
    const struct parameter_table *table = model_parameters(model);
    float *weights = model_weights(model);
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *p = &table->parameters[i];
        for (int64_t e = p->offset; p->module == module && e < p->offset + p->n_elements; e++) {
            const uint16_t half = bf16_from_float(weights[e]);
            const float low = bf16_to_float(half), high = bf16_to_float((uint16_t)(half + 1));
            weights[e] = low + share * (high - low);
        }
    }
}

/* The trained weights are fp32; the kernels read what is nearest in bf16, but in the extractor. */
static void test_kernels_read_rounded_weights(void **state)
{
    (void)state;
    struct made_batch made;
    struct model_options options = tiny_options();
    tiny_batch(&made, &samples, 0, TINY_SAMPLES);
    struct model *model = make(&options);
    static const struct {
        enum module module;
        bool rounded;
    } cases[] = {{MODULE_TOWER, true},
                 {MODULE_PROJECTOR, true},
                 {MODULE_LM, true},
                 {MODULE_EXTRACTOR, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        move(model, cases[i].module, 0);
        const double loss = step(model, &made.batch);
        move(model, cases[i].module, 0.375f);
        assert_true((step(model, &made.batch) == loss) == cases[i].rounded);
        move(model, cases[i].module, 1);
        assert_true(step(model, &made.batch) != loss);
    }
    model_destroy(model);
    batch_release(&made);
}

/* Gradients of weights are added up in fp32: the same batch twice gives exactly twice as much. */
static void test_gradients_are_fp32_sums(void **state)
{
    (void)state;
    struct made_batch made;
    struct model_options options = tiny_options();
    struct model_result result;
    tiny_batch(&made, &samples, 0, TINY_SAMPLES);
    struct model *model = make(&options);
    (void)step(model, &made.batch);
    const int64_t n = model_parameters(model)->n_gradient_elements;
    float *once = malloc(gradient_bytes(model));
    int64_t finer = 0;
    assert_non_null(once);
    memcpy(once, model_gradients(model), gradient_bytes(model));
    ASSERT(model_step(model, &made.batch, true, NULL, &result) == OK, "%s", status_message());
    const float *twice = model_gradients(model);
    double worst = 0, most = 0;
    for (int64_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)twice[i] - 2 * (double)once[i]));
        most = fmax(most, fabs((double)once[i]));
        finer += bf16_to_float(bf16_from_float(once[i])) != once[i];
    }
    assert_true(worst <= 1e-6 * most);
    assert_true(finer > n / 2); /* of more digits than a bf16 has */
    free(once);
    model_destroy(model);
    batch_release(&made);
}

static int set_up(void **state)
{
    (void)state;
    config = tiny_config();
    tiny_samples_init(&samples, &config);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tiny_samples_release(&samples);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recompute_gives_the_same_bits),
        cmocka_unit_test(test_kernels_read_rounded_weights),
        cmocka_unit_test(test_gradients_are_fp32_sums),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
