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
    all_well(); /* 2 waits for 3 along the pair, 3 for 2 in the world */
    waits(0, WORLD, 6, 5000);
    waits(1, WORLD, 6, 5000);
    waits(2, PAIR, 4, 5000);
    waits(3, WORLD, 6, 4000);
    assert_int_equal(rank_verdict(seen, N, NOW, LIMIT).kind, VERDICT_CIRCLE);
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
        cmocka_unit_test(test_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
