/* Spans of time: what is kept, what is written, what is summed up. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text_buffer.h"
#include "base/trace.h"

static void *other_thread(void *argument)
{
    trace_push("collective", "elsewhere");
    trace_pop(0);
    return argument;
}

static int count(const char *text, const char *word)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++) n++;
    return n;
}

static void spans_are_kept_between_start_and_stop(void **state)
{
    (void)state;
    pthread_t thread;
    trace_push("phase", "before"); /* begun before, so not kept */
    trace_start();
    trace_push("phase", "outer");
    for (int i = 0; i < 3; i++) {
        trace_push("kernel", "inner");
        (void)usleep(1000);
        trace_pop(2e9);
    }
    trace_pop(0);
    assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
    pthread_join(thread, NULL);
    trace_pop(0);
    trace_stop();
    trace_push("phase", "after");
    trace_pop(0);
    char *table = trace_table();
    assert_null(strstr(table, "before"));
    assert_null(strstr(table, "after"));
    assert_int_equal(count(table, "\n"), 4); /* head, outer, inner, elsewhere */
    const char *inner = strstr(table, "inner");
    long long calls = 0;
    double ms = 0, share = 0, gflops = 0;
    assert_int_equal(sscanf(inner, "inner %lld %lf %lf%% %lf", &calls, &ms, &share, &gflops), 4);
    assert_int_equal(calls, 3);
    assert_true(ms >= 3 && share > 10 && share <= 100);
    assert_true(gflops > 0.99 * 6e3 / ms && gflops < 1.01 * 6e3 / ms);
    free(table);
}

static void what_is_written_is_the_same(void **state)
{
    (void)state;
    char path[] = "/tmp/trace_test.XXXXXX", *text = NULL;
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(trace_write(path, 3), OK);
    FILE *written = fopen(path, "r");
    assert_non_null(written);
    text = memory_new(1 << 16, 1);
    assert_true(fread(text, 1, (1 << 16) - 1, written) > 0);
    fclose(written);
    unlink(path);
    assert_int_equal(count(text, "\"name\": \"inner\", \"cat\": \"kernel\""), 3);
    assert_int_equal(count(text, "\"pid\": 3"), 5);
    assert_int_equal(count(text, "\"gflop\": 2}"), 3);
    free(text);
    trace_clear();
    char *table = trace_table();
    assert_int_equal(count(table, "\n"), 1);
    free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_are_kept_between_start_and_stop),
        cmocka_unit_test(what_is_written_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
