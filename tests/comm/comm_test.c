/* comm.h on 1 to 4 ranks: sums bit for bit on integers, chunks, strings, one line per failure, and
 * no hang when a rank dies or never comes. The program runs itself under mpirun with a case's
 * name. */
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

#include "base/assertion.h"
#include "base/file.h"
#include "base/heartbeat.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "comm/comm.h"
#include "support/mpi_run.h"

#define HANG_SECONDS 2

static const char *self;

/* ---- what each rank does ---- */

#define N_VALUES 1000

static void work_sums(struct comm *comm)
{
    const int rank = comm_rank(comm), size = comm_size(comm);
    float floats[N_VALUES];
    double doubles[N_VALUES];
    int64_t integers[N_VALUES], largest[N_VALUES];
    for (int i = 0; i < N_VALUES; i++) {
        floats[i] = (float)((rank + 1) * i);
        doubles[i] = (double)((rank + 1) * i) + 0.5;
        integers[i] = ((int64_t)1 << 40) * (rank + 1) + i;
        largest[i] = (rank + i) % size;
    }
    ASSERT(comm_sum_float(comm, floats, N_VALUES) == OK, "floats");
    ASSERT(comm_sum_double(comm, doubles, N_VALUES) == OK, "doubles");
    ASSERT(comm_sum_int64(comm, integers, N_VALUES) == OK, "integers");
    ASSERT(comm_max_int64(comm, largest, N_VALUES) == OK, "largest");
    ASSERT(comm_sum_float(comm, NULL, 0) == OK, "nothing");
    const int ranks = size * (size + 1) / 2;
    for (int i = 0; i < N_VALUES; i++) {
        ASSERT(floats[i] == (float)(ranks * i), "float %d is %g", i, (double)floats[i]);
        ASSERT(doubles[i] == ranks * i + 0.5 * size, "double %d is %g", i, doubles[i]);
        ASSERT(integers[i] == ((int64_t)1 << 40) * ranks + (int64_t)size * i, "integer %d", i);
        ASSERT(largest[i] == size - 1, "largest %d is %lld", i, (long long)largest[i]);
    }
}

static void work_broadcast(struct comm *comm)
{
    unsigned char bytes[N_VALUES];
    const int root = comm_size(comm) - 1;
    memset(bytes, comm_rank(comm) == root ? 77 : 0, sizeof bytes);
    ASSERT(comm_broadcast(comm, bytes, sizeof bytes, root) == OK, "broadcast");
    for (int i = 0; i < N_VALUES; i++) ASSERT(bytes[i] == 77, "byte %d is %d", i, bytes[i]);
    ASSERT(comm_barrier(comm) == OK, "barrier");
}

static void work_strings(struct comm *comm)
{
    char *text = text_format("%.*s%d", comm_rank(comm) * 3, "abcdefghijkl", comm_rank(comm));
    char **texts = NULL;
    ASSERT(comm_gather_strings(comm, &texts, comm_rank(comm) == 1 ? "" : text) == OK, "gather");
    ASSERT((texts != NULL) == (comm_rank(comm) == 0), "only rank 0 gets the strings");
    for (int rank = 0; texts != NULL && rank < comm_size(comm); rank++)
        printf("string %d <%s>\n", rank, texts[rank]);
    names_free(texts, texts == NULL ? 0 : (size_t)comm_size(comm));
    free(text);
}

/* As main does: the sentence, where there is one. */
static int leave(struct comm *comm, enum status status)
{
    comm_end(comm, status);
    if (status != OK && *status_message() != '\0') log_error("%s", status_message());
    return status == OK ? 0 : 2;
}

/* Ranks 0 and 1 sum along an axis of theirs, ranks 2 and 3 along another; then all meet. */
static int work_hang(struct comm *comm, const char *how)
{
    struct comm *pair = NULL;
    const int rank = comm_rank(comm);
    int64_t value = 1;
    ASSERT(comm_split(comm, &pair, rank / 2, "dp") == OK, "split");
    ASSERT(comm_sum_int64(pair, &value, 1) == OK && value == 2, "a sum of two");
    comm_set_step(comm, 18);
    usleep(400000); /* all that is known has been reported */
    if (strcmp(how, "stopped") == 0 && rank == 2) raise(SIGSTOP);
    if (strcmp(how, "stopped0") == 0 && rank == 0) raise(SIGSTOP);
    if (strcmp(how, "busy") == 0 && rank == 3) sleep(30);
    for (int i = 0; strcmp(how, "slow") == 0 && rank == 3 && i < 30; i++) {
        usleep(100000); /* longer than the timeout, but it shows signs of life */
        heartbeat_beat();
    }
    /* 2 waits for 3 along the pair, 0 and 1 wait for both in the barrier: 3 is to blame */
    ASSERT(comm_sum_int64(pair, &value, 1) == OK, "a second sum");
    if (strcmp(how, "end") == 0 && rank == 1) sleep(30);
    const enum status status = strcmp(how, "end") == 0 ? OK : comm_barrier(comm);
    comm_destroy(pair);
    return leave(comm, status);
}

static int work_agree(struct comm *comm, const char *who)
{
    enum status own = OK;
    ASSERT(comm_agree(comm, OK) == OK, "nobody failed");
    if (strcmp(who, "all") == 0) own = status_fail(ERR_IO, "cannot open corpora/x: no such file");
    if (strcmp(who, "one") == 0 && comm_rank(comm) == comm_size(comm) - 1)
        own = status_fail(ERR_LIMIT, "disk of this rank is full");
    if (strcmp(who, "some") == 0 && comm_rank(comm) >= 1)
        own = status_fail(ERR_FORMAT, "bad record %d", comm_rank(comm));
    const enum status all = comm_agree(comm, own);
    if (strcmp(who, "one") == 0) ASSERT(all == ERR_LIMIT, "code is %s", status_name(all));
    return leave(comm, all);
}

static int work(const char *name, const char *argument)
{
    struct comm *comm = NULL;
    const struct comm_options options = {
        .chunk_elements = 64,
        .timeout_seconds = strcmp(name, "hang") == 0 ? HANG_SECONDS : 60,
    };
    sigset_t terminate;
    sigemptyset(&terminate);
    sigaddset(&terminate, SIGTERM); /* as training does: a dead rank's launcher sends it */
    ASSERT(comm_create(&comm, &options) == OK, "%s", status_message());
    comm_set_step(comm, 17);
    const int rank = comm_rank(comm);
    if (strcmp(name, "values") == 0) {
        work_sums(comm);
        work_broadcast(comm);
        ASSERT(comm_agree(comm, OK) == OK, "nobody failed");
    }
    if (strcmp(name, "strings") == 0) work_strings(comm);
    if (strcmp(name, "agree") == 0) return work_agree(comm, argument);
    if (strcmp(name, "abort") == 0 && rank == 1) comm_abort(comm, "cannot go on: %s", argument);
    if (strcmp(name, "die") == 0) {
        pthread_sigmask(SIG_BLOCK, &terminate, NULL);
        work_sums(comm);
        usleep(400000); /* all that is known has been reported */
        if (rank == 2) raise(SIGKILL);
    }
    if (strcmp(name, "hang") == 0) return work_hang(comm, argument);
    if (strcmp(name, "alone") == 0 && rank == 1)
        return leave(comm, status_fail(ERR_IO, "cannot read corpora/y"));
    const enum status status = comm_barrier(comm);
    return leave(comm, status);
}

/* ---- what is expected of them ---- */

static void test_values(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++) {
        struct mpi_run run = mpi_run(n, self, "work values", 60);
        if (run.exit_code != 0) print_message("%s\n", run.output);
        assert_int_equal(run.exit_code, 0);
        free(run.output);
    }
}

static void test_strings(void **state)
{
    (void)state;
    struct mpi_run run = mpi_run(3, self, "work strings", 60);
    assert_int_equal(run.exit_code, 0);
    assert_string_equal(run.output, "string 0 <0>\nstring 1 <>\nstring 2 <abcdef2>\n");
    free(run.output);
}

static void check_failure(const char *arguments, int n_ranks, int exit_code, const char *line)
{
    struct mpi_run run = mpi_run(n_ranks, self, arguments, 60);
    if (mpi_run_lines_with(&run, line) != 1 || run.exit_code != exit_code)
        print_message("%s: code %d\n%s\n", arguments, run.exit_code, run.output);
    assert_int_equal(mpi_run_lines_with(&run, line), 1);
    assert_int_equal(mpi_run_lines_with(&run, "error: "), 1);
    assert_int_equal(run.exit_code, exit_code);
    free(run.output);
}

static void test_agree(void **state)
{
    (void)state;
    check_failure("work agree one", 3, 2, "error: rank 2 of 3 (");
    check_failure("work agree one", 4, 2, "): disk of this rank is full");
    check_failure("work agree some", 4, 2, "): bad record 1 (and 2 more)");
    check_failure("work agree all", 4, 2, "error: cannot open corpora/x: no such file");
    check_failure("work agree all", 1, 2, "error: cannot open corpora/x: no such file");
}

static void test_abort(void **state)
{
    (void)state;
    check_failure("work abort now", 3, 1, "error: rank 1 of 3 (");
    check_failure("work abort now", 3, 1, "step 17, before any collective: cannot go on: now");
}

static void test_alone(void **state)
{
    (void)state;
    check_failure("work alone", 3, 1, "step 17, before any collective: cannot read corpora/y");
}

/* Of a wait the line says itself how long it was, by the clock of the watchdog that speaks, which a
 * load does not hurry: 0.9 of the 2 seconds allowed and what one wake adds. Where rank 0 is silent
 * rank 1 is to speak, and those behind it later; who spoke says where it is. Where the waits of
 * others count, so do their clocks: there is no such bound then (rank_report_test has it). */
static void check_seconds(const char *said)
{
    const double seconds = strtod(said, NULL);
    const char *speaker = strstr(said, "; rank ");
    const bool silent = strstr(said, ", since ") != NULL;
    double most = silent ? HANG_SECONDS : 1e9;
    if (silent && strstr(said, " is at ") != NULL && speaker != NULL) {
        const long rank = strtol(speaker + strlen("; rank "), NULL, 10);
        if (rank > 1) most += 2.0 + 0.1 * (double)rank;
    }
    if (!(seconds >= 0.9 * HANG_SECONDS - 0.05 && seconds <= most + 0.05))
        print_message("waited, at most %.1f s: %s\n", most, said);
    assert_true(seconds >= 0.9 * HANG_SECONDS - 0.05 && seconds <= most + 0.05);
}

/* One line that begins and goes on so, and nothing else; `waited` comes before its seconds. */
static void check_named(const char *arguments, const char *first, const char *then,
                        const char *waited)
{
    struct mpi_run run = mpi_run(4, self, arguments, 60);
    const char *const wanted[] = {"error: ", first, then, waited == NULL ? then : waited};
    for (int i = 0; i < 4; i++) {
        if (mpi_run_lines_with(&run, wanted[i]) != 1)
            print_message("%s: not once '%s':\n%s\n", arguments, wanted[i], run.output);
        assert_int_equal(mpi_run_lines_with(&run, wanted[i]), 1);
    }
    if (waited != NULL) check_seconds(strstr(run.output, waited) + strlen(waited));
    assert_int_not_equal(run.exit_code, 0);
    assert_int_not_equal(run.exit_code, 124);
    free(run.output);
}

static void test_dead_rank(void **state)
{
    (void)state;
    /* rank 0 waits in the barrier, or under load has not come there yet */
    check_named("work die", "error: rank 2 of 4 (", " seconds before it was at step 17, ", NULL);
}

static void test_stopped_rank(void **state)
{
    (void)state;
    check_named("work hang stopped", "error: rank 2 of 4 (",
                "step 18, after sum_int64 over dp, collective 1: it was stopped by a signal",
                " not been heard of for ");
    check_named("work hang stopped0", "error: rank 0 of 4 (",
                "step 18, after sum_int64 over dp, collective 1: it was stopped by a signal",
                " not been heard of for ");
}

static void test_busy_rank(void **state)
{
    (void)state;
    check_named("work hang busy", "error: rank 3 of 4 (",
                ") is stuck at step 18, after sum_int64 over dp, collective 1; rank ",
                " has waited ");
    check_named("work hang end", "error: rank 1 of 4 (", " for it in the end of MPI, collective ",
                " has waited ");
}

static void test_slow_rank(void **state)
{
    (void)state;
    struct mpi_run run = mpi_run(4, self, "work hang slow", 30);
    if (run.exit_code != 0) print_message("%s\n", run.output);
    assert_int_equal(run.exit_code, 0);
    free(run.output);
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc >= 3 && strcmp(argv[1], "work") == 0) return work(argv[2], argc > 3 ? argv[3] : "");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),       cmocka_unit_test(test_strings),
        cmocka_unit_test(test_agree),        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_alone),        cmocka_unit_test(test_dead_rank),
        cmocka_unit_test(test_stopped_rank), cmocka_unit_test(test_busy_rank),
        cmocka_unit_test(test_slow_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
