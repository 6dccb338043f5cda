/* mesh.h and the tensor collectives of comm.h: who sits where, integers bit for bit in whole calls
 * and in pieces, counts, calls that differ between ranks, meshes that cannot be. The program runs
 * itself under mpirun with a case's name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/assertion.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "comm/mesh.h"
#include "support/mpi_run.h"

static const char *self;

/* ---- what each rank does ---- */

/* Parts of uneven length, one of them empty; whole numbers, so every sum is exact. */
static void work_parts(struct comm *comm)
{
    const int rank = comm_rank(comm), size = comm_size(comm);
    int64_t first[9] = {0};
    for (int r = 0; r < size; r++) first[r + 1] = first[r] + (r == 1 ? 0 : 100 * r + 37);
    const int64_t n = first[size], own = first[rank + 1] - first[rank];
    float *values = memory_new((size_t)n + 1, sizeof *values);
    float *pieces = memory_new((size_t)(own * size) + 1, sizeof *pieces);
    for (int64_t i = 0; i < n; i++) values[i] = (float)(rank * 1000 + i);
    ASSERT(comm_reduce_scatter(comm, pieces, values, first, "sums") == OK, "reduce_scatter");
    for (int64_t i = 0; i < own; i++) {
        const float sum = (float)(1000 * size * (size - 1) / 2 + size * (first[rank] + i));
        ASSERT(pieces[i] == sum, "sum %lld is %g", (long long)i, (double)pieces[i]);
    }
    ASSERT(comm_exchange(comm, pieces, values, first, "pieces") == OK, "exchange");
    for (int64_t i = 0; i < own * size; i++)
        ASSERT(pieces[i] == (float)(i / own * 1000 + first[rank] + i % own), "piece %lld",
               (long long)i);
    for (int64_t i = 0; i < n; i++)
        if (i < first[rank] || i >= first[rank + 1]) values[i] = -1;
    ASSERT(comm_all_gather(comm, values, first, "parts") == OK, "all_gather");
    for (int r = 0; r < size; r++)
        for (int64_t i = first[r]; i < first[r + 1]; i++)
            ASSERT(values[i] == (float)(r * 1000 + i), "gathered %lld", (long long)i);
    for (int64_t i = 0; i < n; i++) values[i] = (float)((rank + i) % size);
    ASSERT(comm_all_reduce_max(comm, values, n, "largest") == OK, "all_reduce_max");
    for (int64_t i = 0; i < n; i++) ASSERT(values[i] == (float)(size - 1), "largest");
    free(pieces);
    free(values);
}

static void work_axes(struct comm *world, int tp)
{
    struct mesh mesh;
    const int rank = comm_rank(world);
    ASSERT(comm_is_threaded(world), "Open MPI takes calls of several threads");
    ASSERT(mesh_init(&mesh, world, &(struct mesh_options){.tp = tp}) == OK, "%s", status_message());
    ASSERT(mesh.tp_rank == rank % tp && mesh.dp_rank == rank / tp, "tp is the fastest");
    ASSERT(comm_rank(mesh.tp) == mesh.tp_rank && comm_size(mesh.tp) == tp, "tp");
    ASSERT(comm_rank(mesh.dp) == mesh.dp_rank && comm_size(mesh.dp) == mesh.dp_size, "dp");
    float value = (float)rank;
    ASSERT(comm_all_reduce(mesh.tp, &value, 1, "ranks") == OK, "tp sum");
    ASSERT(value == (float)(tp * (rank - rank % tp) + tp * (tp - 1) / 2), "tp sum %g",
           (double)value);
    work_parts(mesh.tp);
    work_parts(mesh.dp);
    mesh_release(&mesh);
}

static void work_counts(struct comm *world)
{
    struct mesh mesh;
    struct comm_count counts[8];
    float values[12] = {0}, pieces[12];
    const int64_t first[] = {0, 6, 12};
    ASSERT(mesh_init(&mesh, world, &(struct mesh_options){.tp = 2}) == OK, "mesh");
    comm_counts_reset(world);
    for (int i = 0; i < 3; i++) ASSERT(comm_all_reduce(mesh.tp, values, 10, "rows") == OK, "sum");
    ASSERT(comm_exchange(mesh.dp, pieces, values, first, "gradients") == OK, "exchange");
    ASSERT(comm_barrier(world) == OK, "barrier");
    const int64_t n = comm_counts(world, counts, 8);
    for (int64_t i = 0; i < n && comm_rank(world) == 0; i++)
        printf("%s %s %s %lld %lld\n", counts[i].what, counts[i].axis, counts[i].kind,
               (long long)counts[i].calls, (long long)counts[i].bytes);
    mesh_release(&mesh);
}

static enum status work_mesh(struct comm *world, const char *sizes)
{
    struct mesh mesh = {0};
    long tp = 0, dp = 0;
    ASSERT(sscanf(sizes, "%ld,%ld", &tp, &dp) == 2, "%s", sizes);
    const enum status status = mesh_init(&mesh, world, &(struct mesh_options){.tp = tp, .dp = dp});
    mesh_release(&mesh);
    return status;
}

static int work(const char *name, const char *argument)
{
    struct comm *comm = NULL;
    const char *rank_text = getenv("OMPI_COMM_WORLD_RANK");
    const int rank = rank_text != NULL ? (int)strtol(rank_text, NULL, 10) : 0;
    const struct comm_options options = {
        .timeout_seconds = 30,
        .chunk_elements = strcmp(name, "pieces") == 0 ? 16 : 0,
        .check_calls = strcmp(name, "differ") == 0 || strcmp(name, "whole") == 0,
        .host = strcmp(name, "hosts") == 0 ? (rank < 3 ? "node-a" : "node-b") : NULL,
    };
    enum status status = comm_create(&comm, &options);
    ASSERT(status == OK, "%s", status_message());
    comm_set_step(comm, 5);
    if (strcmp(name, "pieces") == 0 || strcmp(name, "whole") == 0)
        work_axes(comm, (int)strtol(argument, NULL, 10));
    if (strcmp(name, "counts") == 0) work_counts(comm);
    if (strcmp(name, "mesh") == 0 || strcmp(name, "hosts") == 0) status = work_mesh(comm, argument);
    if (strcmp(name, "differ") == 0) {
        float values[8] = {0};
        status = comm_all_reduce(comm, values, rank == 2 ? 7 : 8, "rows");
    }
    if (status != OK && *status_message() != '\0') log_error("%s", status_message());
    comm_destroy(comm);
    return status == OK ? 0 : 2;
}

/* ---- what is expected of them ---- */

static void check_run(int n_ranks, const char *arguments)
{
    struct mpi_run run = mpi_run(n_ranks, self, arguments, 60);
    if (run.exit_code != 0) print_message("%s\n", run.output);
    assert_int_equal(run.exit_code, 0);
    free(run.output);
}

static void test_axes(void **state)
{
    (void)state;
    check_run(1, "work whole 1");
    check_run(4, "work whole 2");
    check_run(4, "work pieces 4");
    check_run(6, "work pieces 2");
}

static void test_counts(void **state)
{
    (void)state;
    struct mpi_run run = mpi_run(4, self, "work counts", 60);
    assert_string_equal(run.output, "rows tp all_reduce 3 120\n"
                                    "gradients dp exchange 1 48\n"
                                    "barrier world barrier 1 0\n");
    assert_int_equal(run.exit_code, 0);
    free(run.output);
}

static void check_failure(int n_ranks, const char *arguments, int exit_code, const char *line)
{
    struct mpi_run run = mpi_run(n_ranks, self, arguments, 30);
    if (mpi_run_lines_with(&run, line) != 1) print_message("%s\n", run.output);
    assert_int_equal(mpi_run_lines_with(&run, line), 1);
    assert_int_equal(mpi_run_lines_with(&run, "error: "), 1);
    assert_int_equal(run.exit_code, exit_code);
    free(run.output);
}

static void test_refused(void **state)
{
    (void)state;
    check_failure(4, "work mesh 3,0", 2, "parallel.tp is 3, which does not divide the 4 ranks");
    check_failure(4, "work mesh 2,4", 2, "together 8 ranks, but 4 were started; start 8");
    check_failure(4, "work hosts 2,0", 2,
                  "ranks 2 and 3 share one model (parallel.tp is 2) but run on node-a and node-b");
}

static void test_calls_that_differ(void **state)
{
    (void)state;
    check_failure(3, "work differ", 1,
                  "step 5, in rows, collective 1: collective 1 over world is rows (all_reduce of 8 "
                  "x 4 bytes) here and rows (all_reduce of 7 x 4 bytes) on rank 2 of that axis");
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc >= 3 && strcmp(argv[1], "work") == 0) return work(argv[2], argc > 3 ? argv[3] : "");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_axes),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_calls_that_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
