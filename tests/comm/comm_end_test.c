/* The end of a run whose ranks leave with a code that is not 0, as after a requested stop: a
 * launcher kills the others as soon as the first has left, so none may leave before all are
 * through. Ranks are delayed, or die, on either side of MPI_Finalize: this program has one of its
 * own around MPI's. It runs itself under mpirun with a case's name. */
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
#include "base/text_buffer.h"
#include "comm/comm.h"
#include "support/mpi_run.h"

#define N_RANKS         4
#define SLOW_US         1500000 /* more than mpirun leaves between TERM and KILL */
#define STOPPED_CODE    3
#define TIMEOUT_S       20
#define SHORT_TIMEOUT_S 2

static const char *self;
static const char *fault = ""; /* of this rank */

static void befall(const char *slow, const char *dead)
{
    if (strcmp(fault, slow) == 0) usleep(SLOW_US);
    if (strcmp(fault, dead) == 0) raise(SIGKILL);
}

/* MPI lets every program put its own function before the library's. */
int MPI_Finalize(void)
{
    befall("slow-before", "dead-before");
    const int code = PMPI_Finalize();
    befall("slow-after", "dead-after");
    if (strcmp(fault, "stuck-after") == 0) sleep(60);
    static const char line[] = "a rank is through\n";
    return write(STDOUT_FILENO, line, sizeof line - 1) > 0 ? code : 1;
}

static int work(const char *what, int victim)
{
    struct comm *comm = NULL;
    const bool stuck = strcmp(what, "stuck-after") == 0;
    const struct comm_options options = {.timeout_seconds = stuck ? SHORT_TIMEOUT_S : TIMEOUT_S};
    ASSERT(comm_create(&comm, &options) == OK, "comm_create");
    const int rank = comm_rank(comm);
    if (rank == victim) fault = what;
    comm_set_step(comm, 18);
    ASSERT(comm_barrier(comm) == OK, "barrier");
    comm_end(comm, ERR_STOPPED);
    return STOPPED_CODE;
}

/* ---- what is expected ---- */

static struct mpi_run run_with(const char *what, int victim)
{
    char *arguments = text_format("work %s %d", what, victim);
    struct mpi_run run = mpi_run(N_RANKS, self, arguments, 60);
    free(arguments);
    return run;
}

/* Of all ranks each is through, and nobody is called dead or said to have left without MPI. */
static void check_quiet_end(const char *what, int victim)
{
    struct mpi_run run = run_with(what, victim);
    const bool well =
        run.exit_code == STOPPED_CODE && mpi_run_lines_with(&run, "a rank is through") == N_RANKS &&
        mpi_run_lines_with(&run, "error: ") == 0 && mpi_run_lines_with(&run, "finalize") == 0;
    if (!well) print_message("%s %d: code %d\n%s\n", what, victim, run.exit_code, run.output);
    assert_true(well);
    free(run.output);
}

static void test_slow_ranks(void **state)
{
    (void)state;
    check_quiet_end("slow-before", 0);
    check_quiet_end("slow-before", 2);
    check_quiet_end("slow-after", 0);
    check_quiet_end("slow-after", 2);
}

static void check_named(const char *what, int victim, const char *words)
{
    struct mpi_run run = run_with(what, victim);
    char *who = text_format("error: rank %d of 4 (", victim);
    const bool well = mpi_run_lines_with(&run, "error: ") == 1 &&
                      mpi_run_lines_with(&run, who) == 1 && mpi_run_lines_with(&run, words) == 1 &&
                      run.exit_code != 0 && run.exit_code != STOPPED_CODE && run.exit_code != 124;
    if (!well) print_message("%s %d: code %d\n%s\n", what, victim, run.exit_code, run.output);
    assert_true(well);
    free(who);
    free(run.output);
}

static void test_dead_ranks(void **state)
{
    (void)state;
    check_named("dead-before", 2, ") died; ");
    check_named("dead-after", 2, ") died; ");
    check_named("dead-before", 0, ") died; ");
    check_named("stuck-after", 1, " is at step 18, in the end of MPI, collective ");
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc >= 4 && strcmp(argv[1], "work") == 0)
        return work(argv[2], (int)strtol(argv[3], NULL, 10));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_ranks),
        cmocka_unit_test(test_dead_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
