/* Sums whose bits do not depend on who adds: leaves 0 .. n - 1 are added along one tree that their
 * number alone decides. A node holds leaves low .. high - 1; its children split them at
 * low + (high - low) / 2. On 2^k ranks the nodes k levels below the root go one to a rank: each
 * adds up its own leaves, then the ranks' sums are added along the top of the same tree. */
#ifndef ROBIN_PARALLEL_REDUCTION_TREE_H
#define ROBIN_PARALLEL_REDUCTION_TREE_H

#include <stdint.h>

#include "base/status.h"
#include "kernels.h"

/* The leaves of rank `rank`: first_out .. end_out - 1; may be none. On numbers of ranks that are no
 * power of two consecutive leaves as evenly as they go: right sums, bits of their own. */
void tree_leaves_of(int64_t *first_out, int64_t *end_out, int64_t n_leaves, int rank, int n_ranks);

/* Leaves come in their order and are put on a stack. How many times the two sums on top of it
 * become one after `leaf` was put there, among leaves first .. end - 1 of one rank. */
int tree_merges_after(int64_t leaf, int64_t first, int64_t end);

/* values [n] = the sum of pieces [n_pieces, n] along the tree; the pieces are used up. `group` of
 * them after another are added first, then the groups' sums: of n_pieces = groups * group. */
struct piece_sum {
    const struct kernels *kernels;
    struct stream *stream;
    int64_t n;                       /* elements of a piece */
    int group_stride, member_stride; /* piece of member m of group g: g * group + m * member */
    int groups, members;
};
enum status tree_sum_pieces(float *values, float *pieces, const struct piece_sum *sum);

#endif
