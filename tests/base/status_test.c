/* Codes and sentences of errors, assertions, and lines for people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assertion.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text_buffer.h"

static enum status fail_below(int depth)
{
    enum status status = OK;
    if (depth == 0) FAIL(ERR_FORMAT, "field %s is %d", "width", 7);
    TRY_WHERE(fail_below(depth - 1), "level %d", depth);
out:
    return status;
}

static void sentences_travel_up(void **state)
{
    (void)state;
    status_clear();
    assert_string_equal(status_message(), "");
    assert_int_equal(fail_below(2), ERR_FORMAT);
    assert_string_equal(status_message(), "level 2: level 1: field width is 7");
    /* A sentence made of the last one. */
    assert_int_equal(status_fail(ERR_IO, "again: %s", status_message()), ERR_IO);
    assert_string_equal(status_message(), "again: level 2: level 1: field width is 7");
    status_clear();
    assert_string_equal(status_message(), "");
}

static void long_sentences_are_marked_as_cut(void **state)
{
    (void)state;
    char *longest = memory_new(10001, 1);
    memset(longest, 'x', 10000);
    status_fail(ERR_IO, "%s", longest);
    size_t length = strlen(status_message());
    assert_in_range(length, 1000, 9999);
    assert_string_equal(status_message() + length - 3, "...");
    status_add_context("context");
    assert_memory_equal(status_message(), "context: xxx", 12);
    assert_string_equal(status_message() + strlen(status_message()) - 3, "...");
    status_add_context("%s", longest);
    assert_int_equal(status_message()[0], 'x');
    free(longest);
}

static void *fail_on_another_thread(void *unused)
{
    (void)unused;
    status_fail(ERR_MEMORY, "of the other thread");
    return NULL;
}

static void threads_have_sentences_of_their_own(void **state)
{
    (void)state;
    pthread_t thread;
    status_fail(ERR_IO, "of this thread");
    assert_int_equal(pthread_create(&thread, NULL, fail_on_another_thread, NULL), 0);
    pthread_join(thread, NULL);
    assert_string_equal(status_message(), "of this thread");
}

static void every_code_has_a_name(void **state)
{
    (void)state;
    for (enum status code = OK; code <= ERR_DIVERGED; code++)
        assert_string_not_equal(status_name(code), "unknown status");
    assert_string_equal(status_name(ERR_COMM), "ERR_COMM");
}

/* What `body` writes to stderr in a process of its own; its wait status in *ended_out. */
static char *stderr_of(void (*body)(void), int *ended_out)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        body();
        _exit(0);
    }
    close(ends[1]);
    struct text_buffer text = {0};
    char bytes[512];
    for (ssize_t n = read(ends[0], bytes, sizeof bytes); n > 0;
         n = read(ends[0], bytes, sizeof bytes))
        text_append_bytes(&text, bytes, (size_t)n);
    close(ends[0]);
    assert_int_equal(waitpid(child, ended_out, 0), child);
    return text_take(&text);
}

static void speak_as_rank_2(void)
{
    log_set_rank(2, 4);
    log_info("not heard");
    log_debug("not heard");
    log_set_level(LOG_DEBUG);
    log_info("not heard");
    log_debug("try %d", 2);
    log_warn("slow %d", 3);
    log_error("gone");
}

static void speak_as_rank_0(void)
{
    log_set_rank(0, 4);
    log_info("hello");
    log_debug("not heard");
    log_set_level(LOG_DEBUG);
    log_debug("heard");
    log_set_level(LOG_ERROR);
    log_warn("not heard");
}

static void rank_0_informs_and_any_rank_warns(void **state)
{
    (void)state;
    int ended = 0;
    char *text = stderr_of(speak_as_rank_2, &ended);
    assert_string_equal(text,
                        "debug: rank 2: try 2\nwarning: rank 2: slow 3\nerror: rank 2: gone\n");
    free(text);
    text = stderr_of(speak_as_rank_0, &ended);
    assert_string_equal(text, "hello\ndebug: heard\n");
    free(text);
}

static void assert_wrongly(void)
{
    ASSERT(1 + 1 == 2, "never said");
    ASSERT(1 + 1 == 3, "sum is %d", 2);
}

static void an_assertion_names_place_and_sentence(void **state)
{
    (void)state;
    int ended = 0;
    char *text = stderr_of(assert_wrongly, &ended);
    assert_true(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGABRT);
    assert_non_null(strstr(text, "status_test.c:"));
    assert_non_null(strstr(text, "1 + 1 == 3: sum is 2"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_travel_up),
        cmocka_unit_test(long_sentences_are_marked_as_cut),
        cmocka_unit_test(threads_have_sentences_of_their_own),
        cmocka_unit_test(every_code_has_a_name),
        cmocka_unit_test(rank_0_informs_and_any_rank_warns),
        cmocka_unit_test(an_assertion_names_place_and_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
