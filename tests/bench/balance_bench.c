/* How evenly ranks are loaded over 10,000 steps with the lengths of the paper's second stage, and
 * what a plan costs. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/text_buffer.h"
#include "support/bench.h"
#include "support/stage2_lengths.h"
#include "train/balance.h"

enum { N_SIZES = 1000000, STEPS = 10000 };

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int main(void)
{
    static const int meshes[][2] = {{64, 8}, {64, 16}, {512, 64}};
    enum status status = OK;
    struct sample_size *sizes = memory_new(N_SIZES, sizeof *sizes);
    for (int64_t i = 0; i < N_SIZES; i++) sizes[i] = stage2_length((uint64_t)i);
    for (size_t i = 0; i < sizeof meshes / sizeof meshes[0]; i++) {
        const struct pack_options options = {
            .n_ranks = meshes[i][1], .limits = {8, 400, 8192, 8192, 8192}, .cost = stage2_cost()};
        struct balance balance;
        const double start = now();
        TRY(balance_expect(&balance, sizes, N_SIZES, meshes[i][0], STEPS, &options));
        char *size = text_format("batch %d, dp %d", meshes[i][0], meshes[i][1]);
        bench_row("fullest rank / mean", size,
                  "mean %.4f, worst %.3f; over the least possible: worst %.3f, %d of %d steps "
                  "above 1.02; %.0f us a plan",
                  balance.mean, balance.worst, balance.worst_over_bound, (int)balance.n_over, STEPS,
                  1e6 * (now() - start) / STEPS);
        free(size);
    }
out:
    if (status != OK) fprintf(stderr, "error: %s\n", status_message());
    free(sizes);
    return status == OK ? 0 : 1;
}
