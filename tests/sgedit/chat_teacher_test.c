/* The teacher over HTTP against a server of ours on this machine: every way to fail by itself, the
 * limits, the budget, the key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "comm/comm.h"
#include "sgedit/api_key.h"
#include "sgedit/http_client.h"
#include "support/teacher_fixture.h"

#define KEY "sk-the-key-nobody-may-see"

static struct comm *comm;
static char directory[] = "/tmp/chat_teacher_test.XXXXXX";
static char *corpus_folder;

static enum status set_up(struct teacher_fixture *fixture,
                          const struct teacher_server_faults *faults, const char *key_env,
                          const char *const *overrides, int n)
{
    const struct teacher_server_options options = {
        .corpus = corpus_folder, .key = KEY, .slow_ms = 700, .faults = *faults};
    const struct teacher_overrides set = {.key_env = key_env, .values = overrides, .n = n};
    return teacher_fixture_begin(fixture, comm, &options, &set);
}

static const char *const quick[] = {"teacher.tries=3", "teacher.timeout_seconds=0.4",
                                    "teacher.backoff_seconds=0.01",
                                    "teacher.max_backoff_seconds=0.05"};

/* ---- answers ---- */

static void answers(void **state)
{
    (void)state;
    struct teacher_fixture fixture;
    struct teacher_reply reply = {0};
    bool seen[4] = {false};
    assert_int_equal(set_up(&fixture, &(struct teacher_server_faults){0}, "CHAT_TEST_KEY", NULL, 0),
                     OK);
    for (int64_t i = 0; i < 4; i++) teacher_fixture_ask(&fixture, i);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(teacher_fixture_reply(&fixture, &reply), OK);
        assert_int_equal(reply.outcome, TEACHER_ANSWERED);
        assert_non_null(strstr(reply.content, "\"edit\""));
        assert_int_equal(reply.tokens_in, 1500);
        assert_int_equal(reply.cost_nano, 1500 * 2500 + 300 * 10000);
        assert_false(seen[reply.ticket]);
        seen[reply.ticket] = true;
        teacher_reply_release(&reply);
    }
    int64_t different = 0, before = 0;
    assert_int_equal(teacher_server_paid(fixture.server, &different), 4);
    assert_int_equal(different, 4);
    assert_int_equal(shared_counters_add(fixture.counters, TEACHER_COUNT_FLYING, 0, &before), OK);
    assert_int_equal(before, 0);
    assert_int_equal(shared_counters_add(fixture.counters, TEACHER_COUNT_TOKENS, 0, &before), OK);
    assert_int_equal(before, 4 * 1800);
    teacher_fixture_end(&fixture);
}

/* Always failing in one way: tried so often, then the run ends and says how. */
static void each_failure(void **state)
{
    (void)state;
    static const struct {
        struct teacher_server_faults faults;
        const char *said;
        double least_seconds; /* two waits, of Retry-After where it is said */
    } rows[] = {
        {{.rate_limit = 1}, "429", 2},
        {{.error_500 = 1}, "500", 0},
        {{.overload_503 = 1}, "503", 0},
        {{.timeout = 1}, "no whole reply within 0.4 s", 0},
        {{.half_body = 1}, "after 3 tries", 0},
        {{.reset = 1}, "after 3 tries", 0},
        {{.drip = 1}, "no whole reply within 0.4 s", 0},
        {{.huge = 1}, "larger than", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct teacher_fixture fixture;
        struct teacher_reply reply = {0};
        int64_t different = 0;
        assert_int_equal(set_up(&fixture, &rows[i].faults, "CHAT_TEST_KEY", quick, 4), OK);
        teacher_fixture_ask(&fixture, 0);
        const double begun = monotonic_seconds();
        assert_int_equal(teacher_fixture_reply(&fixture, &reply), ERR_IO);
        assert_true(monotonic_seconds() - begun >= rows[i].least_seconds);
        if (strstr(status_message(), rows[i].said) == NULL) fail_msg("%s", status_message());
        assert_int_equal(teacher_server_requests(fixture.server), 3);
        assert_int_equal(teacher_server_paid(fixture.server, &different), 0);
        teacher_fixture_end(&fixture);
    }
}

/* A spent account ends the run at once: nothing is tried again, however often it may be. */
static void quota(void **state)
{
    (void)state;
    struct teacher_fixture fixture;
    struct teacher_reply reply = {0};
    const struct teacher_server_faults spent = {.quota = 1};
    int64_t different = 0;
    assert_int_equal(set_up(&fixture, &spent, "CHAT_TEST_KEY", quick, 4), OK);
    teacher_fixture_ask(&fixture, 0);
    assert_int_equal(teacher_fixture_reply(&fixture, &reply), ERR_LIMIT);
    assert_non_null(strstr(status_message(), "account is spent (insufficient_quota)"));
    assert_int_equal(teacher_server_requests(fixture.server), 1);
    assert_int_equal(teacher_server_paid(fixture.server, &different), 0);
    teacher_fixture_end(&fixture);
}

/* The account is spent while other calls are under way: they may be paid for, so their answers come
 * first, and then the run ends. */
static void quota_among_others(void **state)
{
    (void)state;
    struct teacher_fixture fixture;
    struct teacher_reply reply = {0};
    const struct teacher_server_options options = {
        .corpus = corpus_folder, .key = KEY, .delay_ms = 200, .faults = {.quota = 0.5}};
    const struct teacher_overrides set = {.key_env = "CHAT_TEST_KEY"};
    int64_t different = 0, answered = 0;
    assert_int_equal(teacher_fixture_begin(&fixture, comm, &options, &set), OK);
    for (int64_t k = 0; k < TEACHER_FIXTURE_RECORDS; k++) teacher_fixture_ask(&fixture, k);
    while (teacher_fixture_reply(&fixture, &reply) == OK) {
        answered++;
        teacher_reply_release(&reply);
    }
    assert_non_null(strstr(status_message(), "account is spent"));
    assert_true(answered > 0 && answered < TEACHER_FIXTURE_RECORDS);
    assert_int_equal(teacher_server_paid(fixture.server, &different), answered);
    assert_true(teacher_server_requests(fixture.server) <= TEACHER_FIXTURE_RECORDS);
    teacher_fixture_end(&fixture);
}

/* Contents that cannot be used are paid, come back as such, and are not asked for again here. */
static void each_content(void **state)
{
    (void)state;
    static const struct {
        struct teacher_server_faults faults;
        enum teacher_outcome outcome;
    } rows[] = {
        {{.broken_json = 1}, TEACHER_UNUSABLE},
        {{.refusal = 1}, TEACHER_REFUSED},
        {{.wrong_schema = 1}, TEACHER_ANSWERED}, /* JSON all right: who applies it says no */
        {{.wrong_ids = 1}, TEACHER_ANSWERED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct teacher_fixture fixture;
        struct teacher_reply reply = {0};
        int64_t different = 0;
        assert_int_equal(set_up(&fixture, &rows[i].faults, "CHAT_TEST_KEY", quick, 4), OK);
        teacher_fixture_ask(&fixture, 1);
        assert_int_equal(teacher_fixture_reply(&fixture, &reply), OK);
        assert_int_equal(reply.outcome, rows[i].outcome);
        assert_true(reply.raw_size > 0);
        teacher_reply_release(&reply);
        assert_int_equal(teacher_server_paid(fixture.server, &different), 1);
        teacher_fixture_end(&fixture);
    }
}

/* ---- limits ---- */

static void budget(void **state)
{
    (void)state;
    static const char *const sets[] = {"teacher.budget_calls=3", "teacher.budget_tokens=30000",
                                       "teacher.budget_money=0.1"};
    static const char *const said[] = {"teacher.budget_calls", "teacher.budget_tokens",
                                       "teacher.budget_money"};
    for (int i = 0; i < 3; i++) {
        struct teacher_fixture fixture;
        struct teacher_reply reply = {0};
        enum status status = OK;
        int64_t different = 0;
        assert_int_equal(
            set_up(&fixture, &(struct teacher_server_faults){0}, "CHAT_TEST_KEY", &sets[i], 1), OK);
        for (int64_t k = 0; k < TEACHER_FIXTURE_RECORDS; k++) teacher_fixture_ask(&fixture, k);
        while (status == OK) {
            status = teacher_fixture_reply(&fixture, &reply);
            if (status == OK) teacher_reply_release(&reply);
        }
        assert_int_equal(status, ERR_LIMIT);
        assert_non_null(strstr(status_message(), said[i]));
        const int64_t paid = teacher_server_paid(fixture.server, &different);
        assert_true(paid >= 1 && paid < TEACHER_FIXTURE_RECORDS);
        if (i == 0) assert_int_equal(paid, 3);
        assert_true(paid * 1800 <= 30000 || i != 1);
        assert_true((double)paid * 0.00675 <= 0.1 || i != 2);
        teacher_fixture_end(&fixture);
    }
}

/* 600 a minute: ten at once out of a quiet second, then one each tenth. */
static void rate(void **state)
{
    (void)state;
    struct teacher_fixture fixture;
    struct teacher_reply reply = {0};
    const char *const sets[] = {"teacher.requests_per_minute=600"};
    assert_int_equal(set_up(&fixture, &(struct teacher_server_faults){0}, "CHAT_TEST_KEY", sets, 1),
                     OK);
    for (int64_t k = 0; k < TEACHER_FIXTURE_RECORDS; k++) teacher_fixture_ask(&fixture, k);
    const double begun = monotonic_seconds();
    for (int64_t k = 0; k < TEACHER_FIXTURE_RECORDS; k++) {
        assert_int_equal(teacher_fixture_reply(&fixture, &reply), OK);
        teacher_reply_release(&reply);
    }
    assert_true(monotonic_seconds() - begun >= 0.8); /* 20 calls less the burst of 11 */
    teacher_fixture_end(&fixture);
}

static void in_flight(void **state)
{
    (void)state;
    struct teacher_fixture fixture;
    struct teacher_reply reply = {0};
    bool got = false;
    const char *const sets[] = {"teacher.in_flight=2"};
    const struct teacher_server_faults slow = {.timeout = 1};
    assert_int_equal(set_up(&fixture, &slow, "CHAT_TEST_KEY", sets, 1), OK);
    for (int64_t k = 0; k < 6; k++) teacher_fixture_ask(&fixture, k);
    for (int k = 0; k < 10; k++)
        assert_int_equal(fixture.teacher.collect(fixture.teacher.context, 10, &reply, &got), OK);
    assert_int_equal(fixture.counts.sent, 2);
    teacher_fixture_end(&fixture);
}

/* ---- the key ---- */

static void wrong_key(void **state)
{
    (void)state;
    struct teacher_fixture fixture;
    struct teacher_reply reply = {0};
    setenv("CHAT_TEST_WRONG", "sk-another-key", 1);
    assert_int_equal(
        set_up(&fixture, &(struct teacher_server_faults){0}, "CHAT_TEST_WRONG", NULL, 0), OK);
    teacher_fixture_ask(&fixture, 0);
    assert_int_equal(teacher_fixture_reply(&fixture, &reply), ERR_ARGUMENT);
    assert_non_null(strstr(status_message(), "401"));
    assert_null(strstr(status_message(), "another-key")); /* though the server said it */
    assert_non_null(strstr(status_message(), "*****"));
    teacher_fixture_end(&fixture);
}

static void key_sources(void **state)
{
    (void)state;
    struct api_key key = {0};
    char *path = path_join(directory, "key");
    unsetenv("CHAT_TEST_NONE");
    assert_int_equal(api_key_read(&key, "CHAT_TEST_NONE", ""), ERR_ARGUMENT);
    assert_non_null(strstr(status_message(), "CHAT_TEST_NONE"));
    assert_int_equal(api_key_read(&key, "", ""), OK);
    assert_null(key.text);
    assert_int_equal(file_write_atomic(path, "sk-in-a-file\n", 13), OK);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(api_key_read(&key, "", path), ERR_ARGUMENT);
    assert_non_null(strstr(status_message(), "chmod 600"));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(api_key_read(&key, "CHAT_TEST_NONE", path), OK);
    assert_string_equal(key.text, "sk-in-a-file");
    char text[] = "a sk-in-a-file b sk-in-a-filesk-in-a-file";
    api_key_blank(&key, text, strlen(text));
    assert_string_equal(text, "a ************ b ************************");
    api_key_release(&key);
    setenv("CHAT_TEST_BAD", "two\nlines", 1);
    assert_int_equal(api_key_read(&key, "CHAT_TEST_BAD", ""), ERR_ARGUMENT);
    assert_null(strstr(status_message(), "two"));
    free(path);
}

static void urls(void **state)
{
    (void)state;
    static const struct {
        const char *url, *said;
    } rows[] = {{"http://example.org/v1", "use https"},
                {"http://127.0.0.1.example.org/v1", "use https"},
                {"https://user:word@example.org/v1", "holds a user"},
                {"ftp://localhost/", "http or https"},
                {"", "http or https"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_client *client = NULL;
        const struct http_options options = {rows[i].url, "", "", "", 1};
        assert_int_equal(http_client_create(&client, &options), ERR_ARGUMENT);
        assert_non_null(strstr(status_message(), rows[i].said));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),      cmocka_unit_test(each_failure),
        cmocka_unit_test(each_content), cmocka_unit_test(quota),
        cmocka_unit_test(budget),       cmocka_unit_test(rate),
        cmocka_unit_test(in_flight),    cmocka_unit_test(wrong_key),
        cmocka_unit_test(key_sources),  cmocka_unit_test(quota_among_others),
        cmocka_unit_test(urls),
    };
    setenv("CHAT_TEST_KEY", KEY, 1);
    if (!teacher_fixture_open(&comm, directory, &corpus_folder)) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (!teacher_fixture_close(comm, directory, corpus_folder)) return 1;
    return failed;
}
