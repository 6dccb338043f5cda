/* Who is to blame, from what ranks report: dead, silent and stuck ranks, chains of waits over two
 * axes, ranks that are slow but alive. Limit 1000 ms, now 10000. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "comm/rank_link.h"
#include "comm/rank_report.h"

#define N     4
#define NOW   10000
#define LIMIT 1000
#define WORLD 1
#define PAIR  2 /* of ranks 2 and 3 */

static struct rank_seen seen[N];

/* All alive, outside any collective, after the fifth of the world and the third of the pair. */
static void all_well(void)
{
    memset(seen, 0, sizeof seen);
    for (int rank = 0; rank < N; rank++) {
        seen[rank] = (struct rank_seen){.state = SEEN_ALIVE, .heard_ms = NOW - 100};
        struct rank_report *report = &seen[rank].report;
        *report = (struct rank_report){.rank = rank, .quiet_ms = 100, .inside_ms = -1};
        report->groups[report->n_groups++] = (struct report_group){WORLD, 5};
        if (rank >= 2) report->groups[report->n_groups++] = (struct report_group){PAIR, 3};
    }
}

/* In collective `sequence` of a group for `ms`. */
static void waits(int rank, uint64_t group, int64_t sequence, int64_t ms)
{
    struct rank_report *report = &seen[rank].report;
    report->inside = (struct report_group){group, sequence};
    report->inside_ms = report->quiet_ms = ms;
    for (int i = 0; i < report->n_groups; i++)
        if (report->groups[i].group == group) report->groups[i].sequence = sequence;
}

static void check(enum verdict_kind kind, int rank)
{
    const struct verdict verdict = rank_verdict(seen, N, NOW, LIMIT);
    assert_int_equal(verdict.kind, kind);
    if (kind != VERDICT_FINE) assert_int_equal(verdict.rank, rank);
}

static void test_alive(void **state)
{
    (void)state;
    all_well();
    check(VERDICT_FINE, 0);
    waits(0, WORLD, 6, 800); /* and the 100 ms since the report: not yet */
    check(VERDICT_FINE, 0);
    waits(0, WORLD, 6, 5000); /* the others have just moved */
    check(VERDICT_FINE, 0);
}

static void test_dead_and_silent(void **state)
{
    (void)state;
    all_well();
    seen[2].heard_ms = NOW - LIMIT;
    check(VERDICT_SILENT, 2);
    seen[3].state = SEEN_GONE;
    check(VERDICT_DEAD, 3);
    all_well();
    seen[1].state = SEEN_LEAVING; /* its silence means nothing, nor that it comes nowhere */
    seen[1].heard_ms = 0;
    check(VERDICT_FINE, 0);
    all_well();
    seen[2].heard_ms = NOW - 900; /* nobody else is blamed while reports of one are missing */
    for (int rank = 0; rank < N; rank++)
        if (rank != 2) waits(rank, WORLD, 6, 5000);
    check(VERDICT_FINE, 0);
}

static void test_stuck(void **state)
{
    (void)state;
    all_well();
    for (int rank = 0; rank < 3; rank++) waits(rank, WORLD, 6, 5000);
    check(VERDICT_FINE, 0); /* 3 is late, but at work */
    seen[3].report.quiet_ms = 5000;
    check(VERDICT_STUCK, 3);
    all_well(); /* 0 and 1 wait for both, 2 for 3 along the pair */
    waits(0, WORLD, 6, 6000);
    waits(1, WORLD, 6, 5000);
    waits(2, PAIR, 4, 4000);
    check(VERDICT_FINE, 0);
    seen[3].report.quiet_ms = 3000;
    check(VERDICT_STUCK, 3);
}

static void test_nobody_late(void **state)
{
    (void)state;
    all_well();
    for (int rank = 0; rank < N; rank++) waits(rank, WORLD, 6, 5000);
    check(VERDICT_NO_END, 0);
    seen[3].report.quiet_ms = 200; /* it has only now come there */
    check(VERDICT_FINE, 0);
    all_well(); /* 3 came, and all have left, but for 1, of which nothing newer is known */
    for (int rank = 0; rank < N; rank++) {
        waits(rank, WORLD, 6, rank == 1 ? 5000 : 100);
        if (rank != 1) seen[rank].state = SEEN_LEAVING;
    }
    check(VERDICT_FINE, 0);
    for (int rank = 0; rank < N; rank++) seen[rank].report.quiet_ms = 5000;
    check(VERDICT_NO_END, 1);
    all_well(); /* 3 has given the pair up; what 2 said is older */
    for (int rank = 0; rank < 2; rank++) waits(rank, WORLD, 6, 4000);
    waits(2, PAIR, 4, 5000);
    seen[3].report.n_groups = 1;
    check(VERDICT_FINE, 0);
    all_well(); /* 2 waits for 3 along the pair, 3 for 2 in the world */
    waits(0, WORLD, 6, 5000);
    waits(1, WORLD, 6, 5000);
    waits(2, PAIR, 4, 5000);
    waits(3, WORLD, 6, 4000);
    assert_int_equal(rank_verdict(seen, N, NOW, LIMIT).kind, VERDICT_CIRCLE);
}

/* Time passes: ranks report every REPORT_MS, the judge looks every 100 ms or, under load, later by
 * `wake`; from `begin` on rank 3 does nothing, and sends nothing where it is silent. When it is
 * named, in ms since then; limit and wake of a watchdog that was given 2 seconds. */
static int64_t named_after(int64_t begin, int64_t wake, bool silent)
{
    const int64_t allowed = 2000, limit = allowed * 9 / 10;
    all_well();
    for (int64_t now = 0; now < begin + 2 * allowed; now += wake) {
        for (int rank = 0; rank < N; rank++) {
            const int64_t at = now - (now + 60 * rank) % REPORT_MS; /* of its newest report */
            if (at < 0 || (silent && rank == 3 && at > begin)) continue;
            const int64_t since = at > begin ? at - begin : 0;
            if (since > 0 && rank < 3) waits(rank, WORLD, 6, since);
            seen[rank].report.quiet_ms = since;
            seen[rank].heard_ms = at;
        }
        const struct verdict verdict = rank_verdict(seen, N, now, limit);
        if (verdict.kind == VERDICT_FINE) continue;
        assert_int_equal(verdict.kind, silent ? VERDICT_SILENT : VERDICT_STUCK);
        assert_int_equal(verdict.rank, 3);
        return now - begin;
    }
    return INT64_MAX;
}

/* Within the two seconds, and not before nine tenths of them but for what a report is old. */
static void test_named_in_time(void **state)
{
    (void)state;
    for (int64_t begin = 3000; begin < 3600; begin += 7) {
        for (int64_t wake = 20; wake <= 200; wake += 30) {
            for (int silent = 0; silent < 2; silent++) {
                const int64_t after = named_after(begin, wake, silent);
                assert_in_range(after, 1800 - (silent ? REPORT_MS : 0), 2000);
            }
        }
    }
}

static void test_messages(void **state)
{
    (void)state;
    struct rank_report good = {.magic = RANK_LINK_MAGIC, .token = 77, .rank = 3, .inside_ms = -1};
    memset(good.place, 'x', sizeof good.place);
    assert_true(rank_report_is_valid(&good, 77, N));
    assert_int_equal(good.place[sizeof good.place - 1], 0);
    assert_false(rank_report_is_valid(&good, 78, N));
    assert_false(rank_report_is_valid(&good, 77, 3));
    struct rank_report bad = good;
    bad.n_groups = REPORT_GROUPS + 1;
    assert_false(rank_report_is_valid(&bad, 77, N));
    bad = good;
    bad.rank = -1;
    assert_false(rank_report_is_valid(&bad, 77, N));
    bad = good;
    bad.kind = N_REPORT_KINDS;
    assert_false(rank_report_is_valid(&bad, 77, N));
    bad = good;
    bad.magic++;
    assert_false(rank_report_is_valid(&bad, 77, N));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alive),    cmocka_unit_test(test_dead_and_silent),
        cmocka_unit_test(test_stuck),    cmocka_unit_test(test_nobody_late),
        cmocka_unit_test(test_messages), cmocka_unit_test(test_named_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
