/* A rank that stays away, is or is stopped while MPI starts: the others do not wait for ever, and
 * each says for whom. This program has an MPI_Init_thread of its own around MPI's; it runs itself
 * under mpirun with a case's name. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <mpi.h>

#include "base/assertion.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text_buffer.h"
#include "comm/comm.h"
#include "support/mpi_run.h"

#define N_RANKS   4
#define VICTIM    1
#define LAST      3 /* comes so late that the victim is in the middle */
#define LATE_US   1000000
#define MIDDLE_US 500000
#define SLOW_S    60

static const char *self, *what = "", *meeting = "";

static int launched_rank(void)
{
    const char *text = getenv("OMPI_COMM_WORLD_RANK");
    ASSERT(text != NULL, "run by Open MPI's mpirun");
    return (int)strtol(text, NULL, 10);
}

/* All ranks are there before the first goes on: what they say is said at one time. */
static void meet(int rank)
{
    char *own = text_format("%s/%d", meeting, rank);
    close(open(own, O_CREAT | O_WRONLY, 0666));
    free(own);
    for (int other = 0; other < N_RANKS; other++) {
        char *name = text_format("%s/%d", meeting, other);
        while (access(name, F_OK) != 0) usleep(1000);
        free(name);
    }
}

static void *strike(void *signal)
{
    usleep(MIDDLE_US);
    raise(*(const int *)signal);
    return NULL;
}

/* MPI lets every program put its own function before the library's. */
int MPI_Init_thread(int *n_arguments, char ***arguments, int required, int *provided)
{
    static int signal;
    pthread_t thread;
    const int rank = launched_rank();
    signal = strcmp(what, "stopped") == 0 ? SIGSTOP : strcmp(what, "dead") == 0 ? SIGKILL : 0;
    if (signal != 0) {
        if (rank == VICTIM && pthread_create(&thread, NULL, strike, &signal) != 0) return 1;
        if (rank == LAST) usleep(LATE_US);
    }
    const int code = PMPI_Init_thread(n_arguments, arguments, required, provided);
    if (strcmp(what, "behind") == 0 && rank == VICTIM) raise(SIGSTOP);
    return code;
}

static int work(void)
{
    struct comm *comm = NULL;
    const int rank = launched_rank();
    meet(rank);
    if (strcmp(what, "absent") == 0 && rank == VICTIM) sleep(SLOW_S);
    if (comm_create(&comm, NULL) != OK) {
        dprintf(STDERR_FILENO, "error: %s\n", status_message());
        return 2;
    }
    comm_destroy(comm);
    return 0;
}

/* ---- what is expected ---- */

static struct mpi_run run_case(const char *name, const char *seconds, double *took_out)
{
    char folder[] = "/tmp/comm_start_XXXXXX";
    assert_non_null(mkdtemp(folder));
    assert_int_equal(setenv("ROBIN_START_TIMEOUT_S", seconds, 1), 0);
    char *arguments = text_format("work %s %s", name, folder);
    const double start = monotonic_seconds();
    struct mpi_run run = mpi_run(N_RANKS, self, arguments, SLOW_S);
    *took_out = monotonic_seconds() - start;
    free(arguments);
    assert_int_equal(directory_remove(folder), OK);
    return run;
}

/* Each rank but the victim says one line (MPI may say more), and the run is over long before the
 * victim would be. */
static void check_named(const char *name, const char *words)
{
    double took = 0;
    struct mpi_run run = run_case(name, "3", &took);
    bool well = run.exit_code == 1 && mpi_run_lines_with(&run, "error: rank ") == N_RANKS - 1 &&
                mpi_run_lines_with(&run, words) == N_RANKS - 1 && took < SLOW_S / 2;
    for (int rank = 0; rank < N_RANKS; rank++) {
        char *who = text_format("error: rank %d of %d (", rank, N_RANKS);
        well = well && mpi_run_lines_with(&run, who) == (rank == VICTIM ? 0 : 1);
        free(who);
    }
    if (!well) fprintf(stderr, "%s: %.1f s, code %d\n%s\n", name, took, run.exit_code, run.output);
    assert_true(well);
    free(run.output);
}

static void test_absent_rank(void **state)
{
    (void)state;
    check_named("absent", "has waited 3 seconds for the other ranks in MPI_Init: ");
}

static void test_stopped_rank(void **state)
{
    (void)state;
    check_named("stopped", "has waited 3 seconds for the other ranks in MPI_Init: ");
}

/* That the launcher sees, and ends the others. */
static void test_dead_rank(void **state)
{
    (void)state;
    double took = 0;
    struct mpi_run run = run_case("dead", "3", &took);
    const bool well = run.exit_code == 128 + SIGKILL && took < SLOW_S / 2;
    if (!well) print_message("%.1f s, code %d\n%s\n", took, run.exit_code, run.output);
    assert_true(well);
    free(run.output);
}

/* Through MPI_Init, but not beyond. */
static void test_rank_behind(void **state)
{
    (void)state;
    check_named("behind", "seconds for the other ranks in the first collectives of MPI: ");
}

static void test_bad_limit(void **state)
{
    (void)state;
    double took = 0;
    struct mpi_run run = run_case("well", "soon", &took);
    assert_int_equal(run.exit_code, 2);
    assert_true(mpi_run_lines_with(&run, "ROBIN_START_TIMEOUT_S is \"soon\", but must be seconds "
                                         "from 1 to 86400") > 0);
    free(run.output);
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc >= 4 && strcmp(argv[1], "work") == 0) {
        what = argv[2];
        meeting = argv[3];
        return work();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent_rank), cmocka_unit_test(test_stopped_rank),
        cmocka_unit_test(test_dead_rank),   cmocka_unit_test(test_rank_behind),
        cmocka_unit_test(test_bad_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
