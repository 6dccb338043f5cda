/* HTTPS to a teacher: who is trusted, who is not, and that a certificate which is not accepted ends
 * the run at its first call, with the host in the sentence; the same behind the batch interface. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "sgedit/batch_service.h"
#include "support/teacher_fixture.h"

#define GOOD    "tests/data/tls/localhost.pem"
#define EXPIRED "tests/data/tls/expired.pem"
#define PRIVATE "tests/data/tls/localhost.key"

static struct comm *comm;
static char directory[] = "/tmp/teacher_tls_test.XXXXXX";
static char *corpus_folder;

static enum status begin(struct teacher_fixture *fixture, const char *certificate, const char *host,
                         const char *trusted)
{
    const struct teacher_server_options options = {
        .corpus = corpus_folder, .certificate = certificate, .certificate_key = PRIVATE};
    char *ca_file = text_format("teacher.ca_file=%s", trusted);
    /* waits that a test which tried again would not live through */
    const char *const values[] = {ca_file, "teacher.backoff_seconds=3000",
                                  "teacher.max_backoff_seconds=3000"};
    const struct teacher_overrides set = {.key_env = "", .host = host, .values = values, .n = 3};
    const enum status status = teacher_fixture_begin(fixture, comm, &options, &set);
    free(ca_file);
    return status;
}

static const struct {
    const char *certificate, *host, *trusted;
    const char *said; /* NULL: it is accepted */
} rows[] = {
    {GOOD, "localhost", GOOD, NULL},
    {GOOD, "localhost", "", "self-signed"},
    {EXPIRED, "localhost", "", "certificate"},
    {EXPIRED, "localhost", EXPIRED, "expired"},
    {GOOD, "127.0.0.1", GOOD, "matches target host name"},
    {GOOD, "localhost", EXPIRED, "certificate"},
    {GOOD, "localhost", PRIVATE, "holds no certificates"},
};
#define N_ROWS (sizeof rows / sizeof rows[0])

static void check_sentence(size_t row)
{
    char *host = text_format("the certificate of %s is not accepted", rows[row].host);
    if (strstr(status_message(), rows[row].said) == NULL) fail_msg("%s", status_message());
    if (strcmp(rows[row].trusted, PRIVATE) != 0 && strstr(status_message(), host) == NULL)
        fail_msg("%s", status_message());
    assert_non_null(strstr(status_message(), "teacher.ca_file"));
    free(host);
}

static void calls(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS; i++) {
        struct teacher_fixture fixture;
        struct teacher_reply reply = {0};
        int64_t different = 0;
        assert_int_equal(begin(&fixture, rows[i].certificate, rows[i].host, rows[i].trusted), OK);
        teacher_fixture_ask(&fixture, 0);
        const enum status status = teacher_fixture_reply(&fixture, &reply);
        if (rows[i].said == NULL) {
            assert_int_equal(status, OK);
            assert_int_equal(reply.outcome, TEACHER_ANSWERED);
            assert_int_equal(teacher_server_paid(fixture.server, &different), 1);
        } else {
            assert_int_equal(status, ERR_ARGUMENT);
            check_sentence(i);
            assert_int_equal(fixture.counts.sent, 1);
            assert_int_equal(teacher_server_requests(fixture.server), 0);
        }
        teacher_reply_release(&reply);
        teacher_fixture_end(&fixture);
    }
}

static void batches(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS; i++) {
        struct teacher_fixture fixture;
        struct batch_service service = {0};
        char *file = NULL;
        assert_int_equal(begin(&fixture, rows[i].certificate, rows[i].host, rows[i].trusted), OK);
        const struct config_teacher *config = &fixture.config.teacher;
        const struct http_options options = {.url = config->url,
                                             .key_env = "",
                                             .key_file = "",
                                             .ca_file = config->ca_file,
                                             .timeout_seconds = 10};
        assert_int_equal(http_client_create(&service.client, &options), OK);
        service.config = config;
        const enum status status = batch_service_upload(&service, "{}\n", 3, &file);
        assert_int_equal(status, rows[i].said == NULL ? OK : ERR_ARGUMENT);
        if (rows[i].said != NULL) check_sentence(i);
        free(file);
        http_client_destroy(service.client);
        teacher_fixture_end(&fixture);
    }
}

static void no_such_file(void **state)
{
    (void)state;
    struct teacher_fixture fixture;
    assert_int_equal(begin(&fixture, GOOD, "localhost", "/nowhere/ca.pem"), ERR_IO);
    assert_non_null(strstr(status_message(), "cannot read teacher.ca_file /nowhere/ca.pem"));
    teacher_fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls),
        cmocka_unit_test(batches),
        cmocka_unit_test(no_such_file),
    };
    if (!teacher_fixture_open(&comm, directory, &corpus_folder)) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (!teacher_fixture_close(comm, directory, corpus_folder)) return 1;
    return failed;
}
