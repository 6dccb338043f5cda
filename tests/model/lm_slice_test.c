/* Slices of a language model: which sizes may be split, that the slices of all sharers make the
 * whole, and that every sharer starts with its part of the same weights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text_buffer.h"
#include "model/lm_slice.h"
#include "model/parameters.h"
#include "support/tiny_robin.h"

static const bool all[N_MODULES] = {true, true, true, true};

static void refusals_name_the_allowed_numbers(void **state)
{
    (void)state;
    struct lm_slice slice;
    struct lm_config config = {
        .vocab = 100, .hidden = 96, .ffn = 60, .layers = 1, .heads = 12, .kv_heads = 4};
    assert_int_equal(lm_slice_make(&slice, &config, 0, 5), ERR_SHAPE);
    assert_non_null(strstr(status_message(), "over 5 ranks; parallel.tp may be 1, 2, 4, 12"));
    config.ffn = 3;
    assert_int_equal(lm_slice_make(&slice, &config, 0, 4), ERR_SHAPE);
    assert_non_null(strstr(status_message(), "parallel.tp may be 1, 2"));
}

static void fewer_key_heads_than_sharers_are_repeated(void **state)
{
    (void)state;
    const struct lm_config config = {
        .vocab = 101, .hidden = 64, .ffn = 50, .layers = 1, .heads = 8, .kv_heads = 2};
    int64_t words = 0, channels = 0;
    for (int i = 0; i < 8; i++) {
        struct lm_slice slice;
        assert_int_equal(lm_slice_make(&slice, &config, i, 8), OK);
        assert_int_equal(slice.heads, 1);
        assert_int_equal(slice.kv_heads, 1);
        assert_int_equal(slice.first_kv_head, i / 4); /* as query head i reads */
        assert_int_equal(slice.kv_replicas, 4);
        assert_int_equal(slice.first_word, words);
        assert_int_equal(slice.first_channel, channels);
        words += slice.vocab;
        channels += slice.real_ffn;
    }
    assert_int_equal(words, 101);
    assert_int_equal(channels, 50);
}

/* Every sharer's weights, pasted, are those of one model; whole parameters come before slices. */
static void check_weights(const struct model_config *config, int size)
{
    struct parameter_table *whole = NULL, *part = NULL;
    assert_int_equal(parameter_table_create(&whole, config, all), OK);
    const size_t n = (size_t)whole->n_weight_elements;
    float *weights = calloc(n, sizeof *weights), *pasted = calloc(n, sizeof *pasted);
    parameters_initialise(weights, whole, config, 5);
    for (int i = 0; i < size; i++) {
        assert_int_equal(parameter_table_create_slice(&part, config, all, i, size), OK);
        float *own = calloc((size_t)part->n_weight_elements, sizeof *own);
        float *cut = calloc((size_t)part->n_weight_elements, sizeof *cut);
        parameters_initialise(own, part, config, 5);
        bool split = false;
        for (int64_t p = 0; p < part->n_parameters; p++) {
            const struct parameter *parameter = &part->parameters[p];
            const float *from = weights + parameter_find(whole, parameter->name)->offset;
            parameter_cut(cut + parameter->offset, from, parameter);
            parameter_paste(pasted + parameter_find(whole, parameter->name)->offset,
                            own + parameter->offset, parameter);
            assert_true(parameter_is_split(parameter) || !split);
            assert_true(parameter_is_split(parameter) ||
                        parameter_size(parameter) == parameter->n_elements);
            split = parameter_is_split(parameter);
        }
        assert_memory_equal(cut, own, (size_t)part->n_weight_elements * sizeof *own);
        assert_int_equal(parameter_count(part, MODULE_LM), parameter_count(whole, MODULE_LM));
        free(cut);
        free(own);
        parameter_table_destroy(part);
    }
    assert_memory_equal(weights, pasted, n * sizeof *weights);
    free(pasted);
    free(weights);
    parameter_table_destroy(whole);
}

static void slices_make_the_whole(void **state)
{
    (void)state;
    struct model_config config = tiny_config();
    check_weights(&config, 1);
    check_weights(&config, 2);
    check_weights(&config, 4);
    config.lm.tied = false;
    config.lm.vocab = 67;
    config.lm.ffn = 21;
    check_weights(&config, 4);
}

/* In two windows a model of three layers holds the gradients of two; the offsets stay. */
static void layers_take_turns_in_windows(void **state)
{
    (void)state;
    struct model_config config = tiny_config();
    for (int size = 1; size <= 2; size++) {
        struct parameter_table *plain = NULL, *table = NULL;
        assert_int_equal(parameter_table_create_slice(&plain, &config, all, 0, size), OK);
        assert_int_equal(parameter_table_create_slice(&table, &config, all, 0, size), OK);
        parameter_table_use_windows(table, 2);
        int64_t layer = 0;
        for (int64_t p = 0; p < table->n_parameters; p++) {
            const struct parameter *parameter = &table->parameters[p];
            const struct parameter *first = &table->parameters[p > 0 ? p - 1 : 0];
            assert_int_equal(parameter->gradient_offset, plain->parameters[p].gradient_offset);
            if (parameter->windowed && parameter->stage == 1) layer += parameter->n_elements;
            if (strstr(parameter->name, "k_proj") != NULL)
                assert_int_equal(parameter->gradient_place,
                                 first->gradient_place + first->n_elements);
        }
        assert_true(layer > 0);
        const int64_t saved = table->n_gradient_elements - table->n_gradient_places;
        assert_true(saved > layer - 200 && saved < layer + 200);
        assert_int_equal(
            parameter_find(table, "model.layers.0.mlp.down_proj.weight")->gradient_place,
            parameter_find(table, "model.layers.2.mlp.down_proj.weight")->gradient_place);
        parameter_table_destroy(table);
        parameter_table_destroy(plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_name_the_allowed_numbers),
        cmocka_unit_test(fewer_key_heads_than_sharers_are_repeated),
        cmocka_unit_test(slices_make_the_whole),
        cmocka_unit_test(layers_take_turns_in_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
