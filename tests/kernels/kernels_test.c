/* Finding tables by name, and naming what a table lacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernels.h"

static void tables_are_found_by_name(void **state)
{
    (void)state;
    assert_ptr_equal(kernels_find("ref"), &kernels_ref);
    assert_ptr_equal(kernels_find("cpu"), &kernels_cpu);
    assert_ptr_equal(kernels_find("ref-bf16"), &kernels_ref_bf16);
    assert_null(kernels_find("gpu"));
    assert_null(kernels_find(""));
}

static void tables_of_a_backend_lead_to_each_other(void **state)
{
    (void)state;
    struct kernels own = kernels_ref;
    own.name = "own";
    assert_ptr_equal(kernels_in(&kernels_ref, DTYPE_F32), &kernels_ref);
    assert_ptr_equal(kernels_in(&kernels_ref, DTYPE_BF16), &kernels_ref_bf16);
    assert_ptr_equal(kernels_in(&kernels_cpu_bf16, DTYPE_F32), &kernels_cpu);
    assert_null(kernels_in(&kernels_cpu, DTYPE_F16));
    assert_null(kernels_in(&own, DTYPE_BF16));
}

static void missing_entries_are_named(void **state)
{
    (void)state;
    struct kernels partial = kernels_ref;
    partial.rope = NULL;
    partial.linear_forward = NULL;
    partial.scale = NULL;
    char *missing = kernels_missing(&partial);
    assert_non_null(missing);
    assert_string_equal(missing, "linear_forward, rope, scale");
    free(missing);
    assert_null(kernels_missing_decoding(&partial));
    struct kernels trainer = kernels_ref;
    trainer.cache_copy = NULL;
    assert_null(kernels_missing(&trainer));
    missing = kernels_missing_decoding(&trainer);
    assert_string_equal(missing, "cache_copy");
    free(missing);
}

static void no_table_has_gaps(void **state)
{
    (void)state;
    assert_null(kernels_missing(&kernels_ref));
    assert_null(kernels_missing_decoding(&kernels_ref));
    assert_null(kernels_missing(&kernels_ref_bf16));
    assert_null(kernels_missing_decoding(&kernels_ref_bf16));
    assert_null(kernels_missing(&kernels_cpu_bf16));
    assert_null(kernels_missing_decoding(&kernels_cpu_bf16));
    assert_null(kernels_missing_decoding(&kernels_cpu));
    for (int bf16 = 0; bf16 < 2; bf16++) {
        const struct kernels *cuda = kernels_find(bf16 ? "cuda-bf16" : "cuda");
        if (cuda == NULL) continue;
        assert_null(kernels_missing(cuda));
        assert_null(kernels_missing_decoding(cuda));
    }
    char *missing = kernels_missing(&kernels_cpu);
    if (missing != NULL) fail_msg("cpu lacks %s", missing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_found_by_name),
        cmocka_unit_test(tables_of_a_backend_lead_to_each_other),
        cmocka_unit_test(missing_entries_are_named),
        cmocka_unit_test(no_table_has_gaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
