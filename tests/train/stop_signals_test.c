/* stop_signals.h in one process: which signal asks for what, and when the allocation's end does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text_buffer.h"
#include "train/stop_signals.h"

/* Sends the signal and waits until it was seen; what it asked for. */
static struct stop_requests after(struct stop_signals *signals, int signal_number)
{
    struct stop_requests requests = {0};
    kill(getpid(), signal_number);
    for (int i = 0; i < 2000 && !requests.checkpoint; i++) {
        usleep(1000);
        requests = stop_signals_poll(signals);
    }
    return requests;
}

static void test_requests(void **state)
{
    (void)state;
    struct stop_signals signals = {0};
    assert_false(stop_signals_poll(NULL).checkpoint);
    assert_int_equal(stop_signals_open(&signals), OK);
    assert_false(stop_signals_poll(&signals).checkpoint);
    assert_false(after(&signals, SIGUSR1).stop);
    assert_false(stop_signals_poll(&signals).checkpoint); /* asked for once */
    assert_true(after(&signals, SIGUSR2).stop);
    assert_true(stop_signals_poll(&signals).stop); /* and from then on */
    stop_signals_close(&signals);
    assert_int_equal(stop_signals_open(&signals), OK);
    assert_false(stop_signals_poll(&signals).stop);
    assert_true(after(&signals, SIGTERM).stop);
    stop_signals_close(&signals);
    const int late[] = {SIGUSR1, SIGUSR2, SIGTERM}; /* between the last step and the end */
    for (int i = 0; i < 3; i++) assert_int_equal(kill(getpid(), late[i]), 0);
}

/* Once: a request; twice: as if nobody listened. */
static void test_interrupted_twice(void **state)
{
    (void)state;
    int ended = 0;
    const pid_t child = fork();
    if (child == 0) {
        struct stop_signals signals = {0};
        if (stop_signals_open(&signals) != OK || !after(&signals, SIGINT).stop) _exit(1);
        kill(getpid(), SIGINT);
        sleep(10);
        _exit(2);
    }
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFSIGNALED(ended));
    assert_int_equal(WTERMSIG(ended), SIGINT);
}

static void test_end_of_allocation(void **state)
{
    (void)state;
    struct comm *comm = NULL;
    struct stop_signals signals = {0};
    char *end = text_format("%lld", (long long)time(NULL) + 100);
    setenv("SLURM_JOB_END_TIME", end, 1);
    assert_int_equal(comm_create(&comm, NULL), OK);
    assert_int_equal(stop_signals_open(&signals), OK);
    assert_int_equal(stop_signals_watch_end(&signals, comm, 0), OK);
    assert_false(stop_signals_poll(&signals).stop);
    assert_int_equal(stop_signals_watch_end(&signals, comm, 50), OK);
    assert_false(stop_signals_poll(&signals).stop);
    assert_int_equal(stop_signals_watch_end(&signals, comm, 101), OK);
    assert_true(stop_signals_poll(&signals).stop);
    stop_signals_close(&signals);
    /* without it squeue is asked for the time left: a line of its kind stands in for it */
    const char *const left[] = {"0:30", "1:00:00", "1-00:00:00", "UNLIMITED", "", "12x"};
    const bool stops[] = {true, true, true, false, false, false};
    unsetenv("SLURM_JOB_END_TIME");
    setenv("SLURM_JOB_ID", "17", 1);
    char directory[] = "/tmp/robin-squeue-XXXXXX";
    assert_non_null(mkdtemp(directory));
    char *path = text_format("%s/squeue", directory), *before = text_copy(getenv("PATH"));
    char *with = text_format("%s:%s", directory, before);
    setenv("PATH", with, 1);
    for (int i = 0; i < 6; i++) {
        FILE *file = fopen(path, "w");
        fprintf(file, "#!/bin/sh\n[ \"$3\" = 17 ] && echo '%s'\n", left[i]);
        fclose(file);
        assert_int_equal(chmod(path, 0755), 0);
        const double margins[] = {31, 3601, 86401, 1e5, 1e5, 1e5};
        assert_int_equal(stop_signals_open(&signals), OK);
        assert_int_equal(stop_signals_watch_end(&signals, comm, margins[i] - 15), OK);
        assert_false(i < 3 && stop_signals_poll(&signals).stop);
        assert_int_equal(stop_signals_watch_end(&signals, comm, margins[i]), OK);
        assert_int_equal(stop_signals_poll(&signals).stop, stops[i]);
        stop_signals_close(&signals);
    }
    setenv("PATH", before, 1);
    remove(path);
    rmdir(directory);
    free(with);
    free(before);
    free(path);
    free(end);
    comm_destroy(comm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_interrupted_twice),
        cmocka_unit_test(test_end_of_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
