/* mpi: 1 2 4 */
/* The limits are those of all ranks together: every rank asks for as much as it is let, and what
 * they got in a time is counted over all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/clock.h"
#include "comm/comm.h"
#include "sgedit/teacher_limits.h"

#define SECONDS    0.7
#define MAX_FLYING 64

static struct comm *comm;

struct taken {
    int64_t calls, most_flying;
    double seconds;
};

/* Every rank asks again and again; a call is under way for `hold` of its rank's turns. */
static struct taken ask_for_more(const struct config_teacher *config, int64_t tokens, int hold)
{
    struct shared_counters *counters = NULL;
    struct taken taken = {0};
    int flying[MAX_FLYING + 1] = {0}; /* turns left of each */
    assert_int_equal(shared_counters_create(&counters, comm, TEACHER_LIMIT_COUNTERS), OK);
    struct teacher_limits limits = {.counters = counters, .config = config, .price_factor = 1};
    const struct teacher_cost most = {.tokens = tokens};
    const double before = monotonic_seconds();
    assert_int_equal(comm_agree(comm, OK), OK);
    const double begun = monotonic_seconds();
    while (monotonic_seconds() - begun < SECONDS) {
        double wait = 0;
        int64_t now = 0;
        assert_int_equal(teacher_limits_admit(&limits, most, &wait), OK);
        if (wait == 0) {
            int place = 0;
            while (flying[place] > 0) place++;
            assert_true(place < MAX_FLYING);
            flying[place] = hold + 1;
            taken.calls++;
        }
        for (int i = 0; i < MAX_FLYING; i++)
            if (flying[i] > 0 && --flying[i] == 0)
                assert_int_equal(teacher_limits_settle(&limits, most, most, true), OK);
        assert_int_equal(shared_counters_add(counters, TEACHER_COUNT_FLYING, 0, &now), OK);
        if (now > taken.most_flying) taken.most_flying = now;
        usleep(1000);
    }
    assert_int_equal(comm_sum_int64(comm, &taken.calls, 1), OK);
    taken.seconds = monotonic_seconds() - before; /* all ranks' turns lie in between */
    shared_counters_destroy(counters);
    return taken;
}

static void requests_a_minute(void **state)
{
    (void)state;
    const struct config_teacher config = {.in_flight = 1000, .requests_per_minute = 1200};
    const struct taken taken = ask_for_more(&config, 10, 2);
    /* 20 a second, and what a quiet second saved */
    assert_in_range(taken.calls, 10, (int64_t)(20 * (taken.seconds + 1)) + 2);
}

static void tokens_a_minute(void **state)
{
    (void)state;
    const struct config_teacher config = {.in_flight = 1000, .tokens_per_minute = 60000};
    const struct taken taken = ask_for_more(&config, 50, 2); /* 20 calls a second */
    assert_in_range(taken.calls, 10, (int64_t)(20 * (taken.seconds + 1)) + 2);
}

/* A rank that looks sees its own question among the calls under way, and those of others that are
 * about to be told to wait. */
static void calls_in_flight(void **state)
{
    (void)state;
    const struct config_teacher config = {.in_flight = 3};
    const struct taken taken = ask_for_more(&config, 10, 50);
    assert_in_range(taken.most_flying, 3, 3 + comm_size(comm));
    assert_true(taken.calls >= 3);
}

/* The budget is the last call's, whoever makes it. */
static void budget(void **state)
{
    (void)state;
    const struct config_teacher config = {.in_flight = 1000, .budget_calls = 21};
    struct shared_counters *counters = NULL;
    int64_t calls = 0;
    double wait = 0;
    assert_int_equal(shared_counters_create(&counters, comm, TEACHER_LIMIT_COUNTERS), OK);
    struct teacher_limits limits = {.counters = counters, .config = &config, .price_factor = 1};
    const struct teacher_cost most = {.tokens = 1};
    enum status status = OK;
    while (status == OK) {
        status = teacher_limits_admit(&limits, most, &wait);
        if (status != OK || wait > 0) continue;
        calls++;
        assert_int_equal(teacher_limits_settle(&limits, most, most, true), OK);
    }
    assert_int_equal(status, ERR_LIMIT);
    assert_int_equal(comm_sum_int64(comm, &calls, 1), OK);
    assert_int_equal(calls, 21);
    shared_counters_destroy(counters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_a_minute),
        cmocka_unit_test(tokens_a_minute),
        cmocka_unit_test(calls_in_flight),
        cmocka_unit_test(budget),
    };
    if (comm_create(&comm, NULL) != OK) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    comm_destroy(comm);
    return failed;
}
