/* The table of parameters: places in the flat buffers, values, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/parameters.h"
#include "support/tiny_robin.h"

static const bool everything[N_MODULES] = {true, true, true, true};

static struct parameter_table *make_table(const struct model_config *config,
                                          const bool trainable[N_MODULES])
{
    struct parameter_table *table = NULL;
    assert_int_equal(parameter_table_create(&table, config, trainable), OK);
    return table;
}

static int64_t end_of(const struct parameter_table *table, const char *name)
{
    const struct parameter *parameter = parameter_find(table, name);
    assert_non_null(parameter);
    return parameter->offset + parameter->n_elements;
}

static void test_fused_parameters_are_adjacent(void **state)
{
    (void)state;
    struct model_config config = tiny_config();
    struct parameter_table *table = make_table(&config, everything);
    static const char *const pairs[][2] = {
        {"model.layers.1.self_attn.q_proj.weight", "model.layers.1.self_attn.k_proj.weight"},
        {"model.layers.1.self_attn.k_proj.weight", "model.layers.1.self_attn.v_proj.weight"},
        {"model.layers.1.self_attn.q_proj.bias", "model.layers.1.self_attn.k_proj.bias"},
        {"model.layers.1.self_attn.k_proj.bias", "model.layers.1.self_attn.v_proj.bias"},
        {"model.layers.1.mlp.gate_proj.weight", "model.layers.1.mlp.up_proj.weight"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const struct parameter *first = parameter_find(table, pairs[i][0]);
        const struct parameter *second = parameter_find(table, pairs[i][1]);
        assert_int_equal(end_of(table, pairs[i][0]), second->offset);
        assert_int_equal(first->gradient_offset + first->n_elements, second->gradient_offset);
    }
    parameter_table_destroy(table);
}

/* In order, without overlap, groups at multiples of 16; the same weights whatever trains. */
static void test_offsets(void **state)
{
    (void)state;
    struct model_config config = tiny_config();
    const bool projector_only[N_MODULES] = {[MODULE_PROJECTOR] = true};
    struct parameter_table *table = make_table(&config, everything);
    struct parameter_table *frozen = make_table(&config, projector_only);
    int64_t end = 0;
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        assert_true(parameter->offset == end || parameter->offset % 16 == 0);
        assert_true(parameter->offset >= end && parameter->offset < end + 16);
        end = parameter->offset + parameter->n_elements;
        assert_int_equal(frozen->parameters[i].offset, parameter->offset);
        assert_int_equal(frozen->parameters[i].gradient_offset >= 0,
                         parameter->module == MODULE_PROJECTOR);
    }
    assert_true(table->n_weight_elements >= end && table->n_weight_elements < end + 16);
    assert_int_equal(frozen->n_gradient_elements,
                     16 * 8 + 16 + 16 * 16 + 16); /* two layers and their biases */
    parameter_table_destroy(frozen);
    parameter_table_destroy(table);
}

static void test_counts_of_the_published_model(void **state)
{
    (void)state;
    struct model_config config = {
        .image_height = 512,
        .image_width = 512,
        .vision = {.depths = {3, 3, 27, 3}, .dims = {192, 384, 768, 1536}},
        .extractor = {.embed = 1024, .mask_side = 112},
        .lm = {.vocab = 151936,
               .hidden = 2048,
               .ffn = 11008,
               .layers = 36,
               .heads = 16,
               .kv_heads = 2,
               .max_positions = 32768,
               .tied = true}};
    struct parameter_table *table = make_table(&config, everything);
    assert_int_equal(table->n_parameters, 799);
    assert_int_equal(parameter_count(table, MODULE_LM), 3085938688);
    assert_int_equal(parameter_count(table, MODULE_PROJECTOR), 5771264);
    assert_int_equal(parameter_count(table, MODULE_EXTRACTOR), 21047296);
    assert_int_equal(parameter_count(table, MODULE_TOWER), 196227264 + 3072 + 3540480);
    parameter_table_destroy(table);
}

static void test_untied_head_is_one_parameter_more(void **state)
{
    (void)state;
    struct model_config config = tiny_config();
    struct parameter_table *tied = make_table(&config, everything);
    config.lm.tied = false;
    struct parameter_table *untied = make_table(&config, everything);
    assert_int_equal(untied->n_parameters, tied->n_parameters + 1);
    assert_null(parameter_find(tied, "lm_head.weight"));
    assert_non_null(parameter_find(untied, "lm_head.weight"));
    parameter_table_destroy(untied);
    parameter_table_destroy(tied);
}

/* Every gap between parameters is zero after either way of giving values. */
static void check_padding(const struct parameter_table *table, const float *weights)
{
    int64_t end = 0;
    for (int64_t i = 0; i <= table->n_parameters; i++) {
        int64_t next =
            i < table->n_parameters ? table->parameters[i].offset : table->n_weight_elements;
        for (; end < next; end++) assert_true(weights[end] == 0);
        if (i < table->n_parameters) end = next + table->parameters[i].n_elements;
    }
}

static void test_values(void **state)
{
    (void)state;
    struct model_config config = tiny_config();
    struct parameter_table *table = make_table(&config, everything);
    size_t bytes = (size_t)table->n_weight_elements * sizeof(float);
    float *first = malloc(bytes);
    float *second = malloc(bytes);
    memset(first, 255, bytes);
    memset(second, 127, bytes);
    parameters_initialise(first, table, &config, 5);
    parameters_initialise(second, table, &config, 5);
    assert_memory_equal(first, second, bytes);
    check_padding(table, first);
    const struct parameter *gamma = parameter_find(
        table, "model.vision_tower.vision_tower.visual.trunk.stages.0.blocks.0.gamma");
    const struct parameter *norm = parameter_find(table, "model.norm.weight");
    const struct parameter *embedding = parameter_find(table, "model.embed_tokens.weight");
    assert_true(first[gamma->offset] == 1e-6f);
    assert_true(first[norm->offset + 15] == 1.0f);
    double square = 0;
    for (int64_t i = 0; i < embedding->n_elements; i++)
        square += (double)first[embedding->offset + i] * (double)first[embedding->offset + i];
    square /= (double)embedding->n_elements;
    assert_true(square > 0.8 * 0.05 * 0.05 && square < 1.2 * 0.05 * 0.05);
    memset(second, 255, bytes);
    parameters_fill(second, table, 5);
    check_padding(table, second);
    assert_true(second[norm->offset] >= 0.9f && second[norm->offset] <= 1.1f);
    free(second);
    free(first);
    parameter_table_destroy(table);
}

static void expect_refusal(const struct model_config *config, const char *word)
{
    struct parameter_table *table = NULL;
    assert_int_equal(parameter_table_create(&table, config, everything), ERR_SHAPE);
    assert_null(table);
    assert_non_null(strstr(status_message(), word));
}

static void test_sizes_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct model_config config = tiny_config();
    config.lm.kv_heads = 3;
    expect_refusal(&config, "lm.kv_heads");
    config = tiny_config();
    config.lm.hidden = 12; /* head size 3 */
    expect_refusal(&config, "even head size");
    config = tiny_config();
    config.lm.hidden = 18;
    expect_refusal(&config, "lm.heads");
    config = tiny_config();
    config.lm.vocab = 0;
    expect_refusal(&config, "lm.vocab");
    config = tiny_config();
    config.vision.depths[2] = 0;
    expect_refusal(&config, "stage 2");
    config = tiny_config();
    config.image_height = 31;
    expect_refusal(&config, "32");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fused_parameters_are_adjacent),
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_counts_of_the_published_model),
        cmocka_unit_test(test_untied_head_is_one_parameter_more),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_sizes_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
