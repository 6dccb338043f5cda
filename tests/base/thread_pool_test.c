/* Every block once, on a worker of the pool, for any number of threads; streams over pools. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>

#include "base/thread_pool.h"
#include "device/stream.h"

#define MAX_BLOCKS 1000

struct visits {
    atomic_int of_block[MAX_BLOCKS];
    atomic_int wrong_worker;
    int n_threads;
};

static void visit(void *argument, int64_t block, int worker)
{
    struct visits *visits = argument;
    atomic_fetch_add(&visits->of_block[block], 1);
    if (worker < 0 || worker >= visits->n_threads) atomic_fetch_add(&visits->wrong_worker, 1);
}

static void run_and_check(struct thread_pool *pool, int64_t n_blocks)
{
    struct visits visits = {.n_threads = thread_pool_size(pool)};
    thread_pool_run(pool, n_blocks, visit, &visits);
    for (int64_t block = 0; block < MAX_BLOCKS; block++)
        assert_int_equal(visits.of_block[block], block < n_blocks ? 1 : 0);
    assert_int_equal(visits.wrong_worker, 0);
}

static void every_block_once(void **state)
{
    (void)state;
    static const int64_t counts[] = {0, 1, 2, 3, 7, 64, MAX_BLOCKS};
    for (int n_threads = 1; n_threads <= 5; n_threads++) {
        struct thread_pool *pool = NULL;
        assert_int_equal(thread_pool_create(&pool, n_threads), OK);
        assert_int_equal(thread_pool_size(pool), n_threads);
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
            run_and_check(pool, counts[i]);
        thread_pool_destroy(pool);
    }
    run_and_check(NULL, 10);
    thread_pool_destroy(NULL);
}

static void many_short_loops(void **state)
{
    (void)state;
    struct thread_pool *pool = NULL;
    assert_int_equal(thread_pool_create(&pool, 3), OK);
    for (int loop = 0; loop < 2000; loop++) run_and_check(pool, loop % 5);
    thread_pool_destroy(pool);
}

static void no_threads_is_refused(void **state)
{
    (void)state;
    struct thread_pool *pool = NULL;
    assert_int_equal(thread_pool_create(&pool, 0), ERR_ARGUMENT);
    assert_null(pool);
    assert_string_equal(status_message(), "a pool of 0 threads; use 1 or more");
    struct stream *stream = NULL;
    assert_int_equal(stream_create(&stream, -1), ERR_ARGUMENT);
    assert_null(stream);
}

static void streams_know_their_threads(void **state)
{
    (void)state;
    for (int n_threads = 1; n_threads <= 2; n_threads++) {
        struct stream *stream = NULL;
        assert_int_equal(stream_create(&stream, n_threads), OK);
        assert_int_equal(stream_threads(stream), n_threads);
        run_and_check(stream->pool, 17);
        assert_int_equal(stream_wait(stream), OK);
        stream_destroy(stream);
    }
    stream_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_block_once),
        cmocka_unit_test(many_short_loops),
        cmocka_unit_test(no_threads_is_refused),
        cmocka_unit_test(streams_know_their_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
