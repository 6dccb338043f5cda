/* The tree of leaves: every rank's share follows the last one's, the sum of pieces and stacks is
 * one expression whatever the ranks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "device/stream.h"
#include "kernels.h"
#include "parallel/reduction_tree.h"

#define MAX_LEAVES 37
#define MAX_RANKS  16

/* As one rank adds them: pushed, merged, and what is left at the end. */
static float sum_of_stack(const float *leaves, int64_t first, int64_t end)
{
    float stack[MAX_LEAVES + 1] = {0};
    int depth = 0;
    for (int64_t leaf = first; leaf < end; leaf++) {
        float value = leaves[leaf];
        for (int m = tree_merges_after(leaf, first, end); m > 0; m--) value += stack[--depth];
        stack[depth++] = value;
    }
    return depth == 0 ? 0 : stack[0];
}

static void leaves_go_to_ranks_in_their_order(void **state)
{
    (void)state;
    for (int64_t n = 0; n <= MAX_LEAVES; n++) {
        for (int ranks = 1; ranks <= MAX_RANKS; ranks++) {
            int64_t next = 0, most = 0;
            for (int rank = 0; rank < ranks; rank++) {
                int64_t first = 0, end = 0;
                tree_leaves_of(&first, &end, n, rank, ranks);
                assert_int_equal(first, next);
                assert_true(end >= first);
                most = end - first > most ? end - first : most;
                next = end;
            }
            assert_int_equal(next, n);
            assert_true(most <= (n + ranks - 1) / ranks + 1);
        }
    }
}

static void powers_of_two_add_up_alike(void **state)
{
    (void)state;
    float leaves[MAX_LEAVES], pieces[MAX_RANKS];
    random_fill(leaves, MAX_LEAVES, 0, random_stream(3, "leaves"), 0, 1);
    for (int64_t n = 1; n <= MAX_LEAVES; n++) {
        const float one = sum_of_stack(leaves, 0, n);
        for (int ranks = 2; ranks <= MAX_RANKS; ranks *= 2) {
            for (int rank = 0; rank < ranks; rank++) {
                int64_t first = 0, end = 0;
                tree_leaves_of(&first, &end, n, rank, ranks);
                pieces[rank] = sum_of_stack(leaves, first, end);
            }
            struct stream alone = {0};
            const struct piece_sum sum = {.kernels = &kernels_ref,
                                          .stream = &alone,
                                          .n = 1,
                                          .groups = 1,
                                          .group_stride = 1,
                                          .members = ranks,
                                          .member_stride = 1};
            float all = 0;
            assert_int_equal(tree_sum_pieces(&all, pieces, &sum), OK);
            assert_memory_equal(&all, &one, sizeof one);
        }
    }
}

/* Ranks 0 .. 5 as dp 3 x tp 2: members of a group, then groups. */
static void groups_come_after_members(void **state)
{
    (void)state;
    float pieces[] = {1, 0, 0x1p-24f, 0, 0x1p-24f, 0}, all = 0;
    struct stream alone = {0};
    const struct piece_sum sum = {.kernels = &kernels_ref,
                                  .stream = &alone,
                                  .n = 1,
                                  .groups = 2,
                                  .group_stride = 1,
                                  .members = 3,
                                  .member_stride = 2};
    assert_int_equal(tree_sum_pieces(&all, pieces, &sum), OK);
    assert_true(all == 1 + 0x1p-23f); /* 1 + (2^-24 + 2^-24), and not (1 + 2^-24) + 2^-24 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_go_to_ranks_in_their_order),
        cmocka_unit_test(powers_of_two_add_up_alike),
        cmocka_unit_test(groups_come_after_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
