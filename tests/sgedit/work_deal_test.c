/* Items dealt to ranks of very different speed: each once, and nobody idle while any is left; run
 * on one rank for many, whose shares of one counter are here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/random.h"
#include "comm/comm.h"
#include "sgedit/work_deal.h"

#define MAX_RANKS 8
#define MAX_ROOM  64
#define N_ITEMS   500

static struct comm *comm;

struct worker {
    struct work_deal deal;
    double ends[MAX_ROOM]; /* of what it works on, [n_busy] */
    int64_t n_busy;
};

struct simulation {
    struct worker workers[MAX_RANKS];
    int64_t n_ranks, room;
    int times[N_ITEMS]; /* that an item was dealt */
    int64_t n_begun, n_done;
    struct random_stream draws;
};

/* Takes while there is room; false: it has nothing to do at all. */
static bool take(struct simulation *run, struct worker *worker, double now)
{
    int64_t items[MAX_ROOM], n = 1;
    while (worker->n_busy < run->room && n > 0) {
        const int64_t left = N_ITEMS - run->n_begun;
        assert_int_equal(work_deal_take(&worker->deal, run->room - worker->n_busy, items, &n), OK);
        assert_true(n <= run->room - worker->n_busy);
        /* never so much that others go without; what it knows of the others may be old */
        assert_true(n <= 1 || n <= N_ITEMS / (2 * run->n_ranks));
        assert_true(n > 0 || left == 0);
        for (int64_t i = 0; i < n; i++) {
            const double draw = random_uniform(run->draws, (uint64_t)items[i]);
            worker->ends[worker->n_busy++] = now + 0.1 + 10 * draw * draw * draw;
            run->times[items[i]]++;
        }
        run->n_begun += n;
    }
    return worker->n_busy > 0;
}

/* The next item that any rank ends. */
static double end_one(struct simulation *run)
{
    struct worker *first = NULL;
    int64_t which = 0;
    for (int64_t r = 0; r < run->n_ranks; r++)
        for (int64_t i = 0; i < run->workers[r].n_busy; i++)
            if (first == NULL || run->workers[r].ends[i] < first->ends[which])
                first = &run->workers[r], which = i;
    assert_non_null(first);
    const double now = first->ends[which];
    first->ends[which] = first->ends[--first->n_busy];
    run->n_done++;
    return now;
}

static void simulate(int64_t n_ranks, int64_t room)
{
    struct simulation run = {.n_ranks = n_ranks, .room = room, .draws = random_stream(7, "deal")};
    struct shared_counters *counters = NULL;
    int64_t left_when_idle = 0;
    double now = 0;
    assert_int_equal(shared_counters_create(&counters, comm, 1), OK);
    for (int64_t r = 0; r < n_ranks; r++) {
        run.workers[r].deal = (struct work_deal){.counters = counters, .n_ranks = n_ranks};
        work_deal_init(&run.workers[r].deal, N_ITEMS, NULL, NULL);
    }
    while (run.n_done < N_ITEMS) {
        for (int64_t r = 0; r < n_ranks; r++)
            if (!take(&run, &run.workers[r], now) && left_when_idle == 0)
                left_when_idle = N_ITEMS - run.n_done;
        now = end_one(&run);
    }
    for (int i = 0; i < N_ITEMS; i++) assert_int_equal(run.times[i], 1);
    /* all that was left was in work, at one place each: with one place a rank, as many as others */
    assert_true(left_when_idle <= (n_ranks - 1) * room);
    for (int64_t r = 0; r < n_ranks; r++) work_deal_release(&run.workers[r].deal);
    shared_counters_destroy(counters);
}

static void nobody_idle(void **state)
{
    (void)state;
    for (int64_t n_ranks = 1; n_ranks <= MAX_RANKS; n_ranks++)
        for (int64_t room = 1; room <= MAX_ROOM; room *= 4) simulate(n_ranks, room);
}

static int every_third(const void *context, int64_t item)
{
    (void)context;
    return item % 3 == 0;
}

static void what_is_done_is_not_dealt(void **state)
{
    (void)state;
    struct shared_counters *counters = NULL;
    struct work_deal deal = {.n_ranks = 2};
    int64_t items[MAX_ROOM], n = 1, expected[] = {1, 2, 4, 5, 7, 8}, seen = 0;
    assert_int_equal(shared_counters_create(&counters, comm, 1), OK);
    deal.counters = counters;
    work_deal_init(&deal, 9, every_third, NULL);
    while (n > 0) {
        assert_int_equal(work_deal_take(&deal, MAX_ROOM, items, &n), OK);
        for (int64_t i = 0; i < n; i++) assert_int_equal(items[i], expected[seen++]);
    }
    assert_int_equal(seen, 6);
    work_deal_release(&deal);
    shared_counters_destroy(counters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_idle),
        cmocka_unit_test(what_is_done_is_not_dealt),
    };
    if (comm_create(&comm, NULL) != OK) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    comm_destroy(comm);
    return failed;
}
