/* vector_exp against the C library's double exp: every 1009th float, every sign, and the edges. */
#include "cpu/vector.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static float exp_of(float x)
{
    return vector_exp(vector_set(x))[VECTOR_LANES - 1];
}

/* Distance from the true value in units of the last place of the float next to it. */
static double error_ulp(float x)
{
    double want = exp((double)x);
    float nearest = (float)want;
    double ulp = (double)nextafterf(nearest, INFINITY) - (double)nearest;
    return fabs((double)exp_of(x) - want) / ulp;
}

static void exp_is_within_one_ulp(void **state)
{
    (void)state;
    double worst = 0;
    float worst_at = 0;
    for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += 1009) {
        uint32_t word = (uint32_t)bits;
        float x;
        memcpy(&x, &word, sizeof x);
        if (!(x >= -103.9f && x <= 88.7f)) continue;
        double error = error_ulp(x);
        if (error > worst) {
            worst = error;
            worst_at = x;
        }
    }
    print_message("largest error %.3f ulp, at %.9g\n", worst, (double)worst_at);
#ifdef __FMA__
    assert_true(worst < 1.0);
#else
    assert_true(worst < 2.0);
#endif
}

static void exp_at_its_edges(void **state)
{
    (void)state;
    assert_true(exp_of(0.0f) == 1.0f);
    assert_true(exp_of(-0.0f) == 1.0f);
    assert_true(exp_of(-INFINITY) == 0.0f);
    assert_true(exp_of(-1e30f) == 0.0f);
    assert_true(exp_of(-104.0f) == 0.0f);
    assert_true(exp_of(89.0f) == INFINITY);
    assert_true(exp_of(INFINITY) == INFINITY);
    assert_true(isnan(exp_of(NAN)));
}

static void partial_vectors_touch_nothing_else(void **state)
{
    (void)state;
    float values[VECTOR_LANES + 1];
    for (int n = 0; n < VECTOR_LANES; n++) {
        for (int k = 0; k <= VECTOR_LANES; k++) values[k] = (float)k;
        vector_f32 loaded = vector_load_partial(values, n, -7.0f);
        for (int k = 0; k < VECTOR_LANES; k++) assert_true(loaded[k] == (k < n ? (float)k : -7.0f));
        vector_store_partial(values, vector_set(100.0f), n);
        for (int k = 0; k <= VECTOR_LANES; k++)
            assert_true(values[k] == (k < n ? 100.0f : (float)k));
    }
}

static void reductions_use_every_lane(void **state)
{
    (void)state;
    for (int lane = 0; lane < VECTOR_LANES; lane++) {
        float values[VECTOR_LANES] = {0};
        values[lane] = 3.0f;
        assert_true(vector_sum(vector_load(values)) == 3.0f);
        assert_true(vector_largest(vector_load(values)) == 3.0f);
    }
}

#define SUMS(N)                                                                                    \
    do {                                                                                           \
        vector_f32 used[24];                                                                       \
        float sums[24];                                                                            \
        memcpy(used, v, sizeof used);                                                              \
        vector_sums(sums, used, N);                                                                \
        for (int k = 0; k < (N); k++) assert_true(sums[k] == vector_sum(v[k]));                    \
    } while (0)

static void many_sums_are_those_of_each(void **state)
{
    (void)state;
    vector_f32 v[24];
    uint32_t x = 1;
    for (int k = 0; k < 24; k++)
        for (int lane = 0; lane < VECTOR_LANES; lane++) {
            x = x * 1664525u + 1013904223u;
            v[k][lane] = (float)(int32_t)x * 0x1p-20f;
        }
    SUMS(1);
    SUMS(2);
    SUMS(3);
    SUMS(5);
    SUMS(8);
    SUMS(12);
    SUMS(16);
    SUMS(20);
    SUMS(24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_sums_are_those_of_each),
        cmocka_unit_test(exp_is_within_one_ulp),
        cmocka_unit_test(exp_at_its_edges),
        cmocka_unit_test(partial_vectors_touch_nothing_else),
        cmocka_unit_test(reductions_use_every_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
