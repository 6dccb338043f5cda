/* The counter-based random numbers: known values, permutations, moments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "base/random.h"

static void fill_known_values(void **state)
{
    (void)state;
    /* Computed by an independent program from the formula in random.h. */
    static const struct {
        const char *name;
        uint64_t seed;
        uint64_t index;
        uint64_t z;
        double u;
    } known[] = {
        {"model.embed_tokens.weight", 0, 0, 0x5f0ce47989047d81u, 0.3712904453277588},
        {"model.layers.0.self_attn.q_proj.weight", 0, 4095, 0xa3011671a36a4b7au,
         0.6367353200912476},
        {"mask_extractor.mask_linear.layers.0.weight", 1, 12845055, 0x3b0e96f6ebf0da09u,
         0.2306913137435913},
        {"pixel_values", 7, 12345, 0xad5ebd138a6683c1u, 0.6772268414497375},
        {"model.vision_tower.vision_tower.visual.trunk.stages.0.blocks.0.conv_dw.weight", 20250611,
         48, 0xc8487963514e8deau, 0.7823558449745178},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct random_stream stream = random_stream(known[i].seed, known[i].name);
        assert_true(random_u64(stream, known[i].index) == known[i].z);
        assert_true(random_uniform(stream, known[i].index) == known[i].u);
    }
}

static void fill_is_the_formula_at_any_offset(void **state)
{
    (void)state;
    struct random_stream stream = random_stream(20250611, "model.norm.weight");
    float whole[100];
    float part[7];
    random_fill(whole, 100, 0, stream, 1.0, 0.1);
    random_fill(part, 7, 50, stream, 1.0, 0.1);
    for (uint64_t i = 0; i < 100; i++) {
        volatile double offset = 0.1 * (2.0 * random_uniform(stream, i) - 1.0);
        assert_true(whole[i] == (float)(1.0 + offset));
    }
    for (int i = 0; i < 7; i++) assert_true(part[i] == whole[50 + i]);
}

static void permutation_is_a_bijection(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 4, 5, 16, 17, 100, 1000, 4097};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        uint64_t n = sizes[s];
        struct random_stream stream = random_stream(n, "permutation");
        unsigned char *seen = calloc(n, 1);
        uint64_t fixed_points = 0;
        for (uint64_t i = 0; i < n; i++) {
            uint64_t to = random_permute(stream, i, n);
            assert_true(to < n);
            assert_int_equal(seen[to], 0);
            seen[to] = 1;
            if (to == i) fixed_points++;
        }
        /* One fixed point is expected of a random permutation; the identity has n. */
        if (n >= 16) assert_true(fixed_points < 10);
        free(seen);
    }
    uint64_t huge = UINT64_MAX;
    struct random_stream stream = random_stream(1, "huge");
    assert_true(random_permute(stream, 5, huge) != random_permute(stream, 6, huge));
}

static void small_permutations_are_uniform(void **state)
{
    (void)state;
    /* All 24 orders of four things over 24,000 seeds: 1000 each expected, sigma 31. */
    int counts[256] = {0};
    for (uint64_t seed = 0; seed < 24000; seed++) {
        struct random_stream stream = random_stream(seed, "order");
        unsigned code = 0;
        for (uint64_t i = 0; i < 4; i++) code = code * 4 + (unsigned)random_permute(stream, i, 4);
        counts[code]++;
    }
    int n_orders = 0;
    for (int code = 0; code < 256; code++) {
        if (counts[code] == 0) continue;
        n_orders++;
        assert_in_range(counts[code], 800, 1200);
    }
    assert_int_equal(n_orders, 24);
}

static void draws_have_their_moments(void **state)
{
    (void)state;
    const uint64_t n = 200000;
    struct random_stream stream = random_stream(3, "moments");
    double sum = 0.0, squares = 0.0, uniform_sum = 0.0;
    int buckets[7] = {0};
    for (uint64_t i = 0; i < n; i++) {
        double x = random_normal(stream, i);
        assert_true(isfinite(x));
        sum += x;
        squares += x * x;
        uniform_sum += random_uniform(stream, i);
        uint64_t below = random_below(stream, i, 7);
        assert_true(below < 7);
        buckets[below]++;
    }
    /* Five standard errors each. */
    assert_true(fabs(sum / (double)n) < 5.0 / sqrt((double)n));
    assert_true(fabs(squares / (double)n - 1.0) < 5.0 * sqrt(2.0 / (double)n));
    assert_true(fabs(uniform_sum / (double)n - 0.5) < 5.0 * sqrt(1.0 / 12.0 / (double)n));
    for (int i = 0; i < 7; i++) assert_in_range(buckets[i], 28571 - 800, 28571 + 800);
    assert_true(random_below(stream, 0, 1) == 0);
}

static void substreams_differ(void **state)
{
    (void)state;
    struct random_stream parent = random_stream(9, "parent");
    for (uint64_t n = 0; n < 1000; n++) {
        struct random_stream child = random_substream(parent, n);
        assert_true(child.key != parent.key);
        assert_true(child.key != random_substream(parent, n + 1).key);
        assert_true(random_u64(child, 0) != random_u64(parent, n));
    }
    assert_true(random_substream(parent, 4).key == random_substream(parent, 4).key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fill_known_values),
        cmocka_unit_test(fill_is_the_formula_at_any_offset),
        cmocka_unit_test(permutation_is_a_bijection),
        cmocka_unit_test(small_permutations_are_uniform),
        cmocka_unit_test(draws_have_their_moments),
        cmocka_unit_test(substreams_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
