/* Schedule and optimizer against values worked out by hand from their equations, and what must stay
 * untouched. The long comparisons with the reference are golden folders (schedule, adamw). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "parallel/optimizer.h"
#include "train/schedule.h"

static void test_schedule(void **state)
{
    (void)state;
    const int64_t totals[] = {1, 2, 7, 10, 33, 34, 100};
    const int64_t warmups[] = {1, 1, 1, 1, 1, 2, 3};
    for (int i = 0; i < 7; i++) {
        const struct schedule schedule = schedule_make(totals[i], 0.03);
        assert_int_equal(schedule.warmup_steps, warmups[i]);
        assert_true(schedule_factor(&schedule, 0) == 0);
        assert_true(schedule_factor(&schedule, warmups[i]) == 1);
        assert_true(totals[i] == 1 || fabs(schedule_factor(&schedule, totals[i])) < 1e-15);
    }
    const struct schedule schedule = schedule_make(100, 0.03);
    assert_true(schedule_factor(&schedule, 1) == 1.0 / 3);
    const double pi = 3.14159265358979323846;
    const double expected = 0.5 * (1 + cos(pi * 47 / 97));
    assert_true(fabs(schedule_factor(&schedule, 50) - expected) < 1e-15);
    const struct schedule none = schedule_make(10, 0);
    assert_true(schedule_factor(&none, 0) == 1);
}

/* Four parameters: decaying, not decaying, frozen, unused; of three modules. */
static struct parameter parameters[] = {
    {.name = "w",
     .module = MODULE_LM,
     .n_elements = 3,
     .offset = 0,
     .gradient_offset = 16,
     .decays = true,
     .used = true},
    {.name = "b",
     .module = MODULE_PROJECTOR,
     .n_elements = 2,
     .offset = 16,
     .gradient_offset = 0,
     .used = true},
    {.name = "frozen",
     .module = MODULE_EXTRACTOR,
     .n_elements = 2,
     .offset = 32,
     .gradient_offset = -1,
     .decays = true,
     .used = true},
    {.name = "unused",
     .module = MODULE_TOWER,
     .n_elements = 2,
     .offset = 48,
     .gradient_offset = -1,
     .decays = true},
};
static const struct parameter_table table = {.parameters = parameters,
                                             .n_parameters = 4,
                                             .n_weight_elements = 64,
                                             .n_gradient_elements = 32};

/* p, m, v after one step from m, v in double, by the equations of torch.optim.AdamW. */
struct expected {
    double p, m, v;
};
static struct expected adamw(struct expected was, double g, double lr, double decay, int k)
{
    struct expected is;
    is.p = was.p * (1 - lr * decay);
    is.m = 0.9 * was.m + 0.1 * g;
    is.v = 0.999 * was.v + 0.001 * g * g;
    const double root = sqrt(is.v) / sqrt(1 - pow(0.999, k)) + 1e-8;
    is.p -= lr / (1 - pow(0.9, k)) * is.m / root;
    return is;
}

static void test_groups_and_clipping(void **state)
{
    (void)state;
    float weights[64], gradients[32] = {0};
    for (int i = 0; i < 64; i++) weights[i] = 1 + (float)i / 8;
    gradients[0] = 3;  /* of b */
    gradients[16] = 4; /* of w: the norm is 5 */
    const struct optimizer_options options = {
        .lr = {[MODULE_LM] = 0.1, [MODULE_PROJECTOR] = 0.2, [MODULE_TOWER] = 1, [2] = 1},
        .beta1 = 0.9,
        .beta2 = 0.999,
        .eps = 1e-8,
        .weight_decay = 0.5,
        .clip_norm = 1};
    struct optimizer *optimizer = NULL;
    double norm = 0;
    assert_int_equal(optimizer_create(&optimizer, &table, NULL, &options, &kernels_ref, NULL), OK);
    struct expected w = {.p = weights[0]}, idle = {.p = weights[1]}, b = {.p = weights[16]};
    for (int k = 1; k <= 3; k++) {
        assert_int_equal(optimizer_gradient_norm(optimizer, gradients, &norm, NULL), OK);
        assert_true(fabs(norm - 5) < 1e-12);
        assert_int_equal(optimizer_step(optimizer, weights, gradients, norm, 0.5), OK);
        const double clip = 1 / (5 + 1e-6);
        w = adamw(w, 4 * clip, 0.05, 0.5, k);
        idle = adamw(idle, 0, 0.05, 0.5, k); /* no gradient this step, but decay */
        b = adamw(b, 3 * clip, 0.1, 0, k);
    }
    assert_true(fabs(weights[0] - w.p) < 1e-6);
    assert_true(fabs(weights[1] - idle.p) < 1e-6);
    assert_true(fabs(weights[16] - b.p) < 1e-6);
    for (int i = 20; i < 64; i++) assert_true(weights[i] == 1 + (float)i / 8);
    assert_int_equal(optimizer_steps_done(optimizer), 3);
    float first[32] = {0}, second[32] = {0};
    optimizer_get_state(optimizer, OPTIMIZER_FIRST_MOMENT, first);
    optimizer_get_state(optimizer, OPTIMIZER_SECOND_MOMENT, second);
    assert_true(fabs(first[16] - w.m) < 1e-7);
    assert_true(fabs(second[0] - b.v) < 1e-9);
    optimizer_destroy(optimizer);
}

static void test_small_norms_are_not_enlarged(void **state)
{
    (void)state;
    float clipped[64] = {0}, unclipped[64] = {0}, gradients[32] = {0};
    gradients[0] = 1e-3f;
    for (int clip = 0; clip < 2; clip++) {
        struct optimizer *optimizer = NULL;
        const struct optimizer_options options = {
            .lr = {1, 1, 1, 1}, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .clip_norm = clip};
        assert_int_equal(optimizer_create(&optimizer, &table, NULL, &options, &kernels_ref, NULL),
                         OK);
        assert_int_equal(optimizer_step(optimizer, clip ? clipped : unclipped, gradients, 1e-3, 1),
                         OK);
        optimizer_destroy(optimizer);
    }
    assert_memory_equal(clipped, unclipped, sizeof clipped);
    assert_true(clipped[16] < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_groups_and_clipping),
        cmocka_unit_test(test_small_norms_are_not_enlarged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
