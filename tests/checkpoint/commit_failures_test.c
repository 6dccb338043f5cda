/* A disk that refuses, at any operation of saving: full, broken, read-only, or writing less than
 * asked. The sentence names the checkpoint and the operation, the one before stays, and when the
 * disk works again so does saving. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "support/saved_state.h"

/* Operation `at` fails with the error, and with `lasting` all behind it. */
struct failing {
    int64_t at, n;
    int error;
    bool lasting, short_writes;
};

static bool fails(void *context)
{
    struct failing *failing = context;
    const int64_t now = failing->n++;
    if (failing->error == 0 || now < failing->at || (now > failing->at && !failing->lasting))
        return false;
    errno = failing->error;
    return true;
}

static int failing_create(void *context, const char *path, bool direct)
{
    return fails(context) ? -1 : file_layer_system.create(NULL, path, direct);
}

static int64_t failing_write(void *context, int fd, const void *bytes, size_t size, uint64_t offset)
{
    const struct failing *failing = context;
    if (fails(context)) return -1;
    if (failing->short_writes) size = (size + 2) / 3;
    return file_layer_system.write(NULL, fd, bytes, size, offset);
}

static int failing_truncate(void *context, int fd, uint64_t size)
{
    return fails(context) ? -1 : file_layer_system.truncate(NULL, fd, size);
}

static int failing_sync(void *context, int fd)
{
    return fails(context) ? -1 : file_layer_system.sync(NULL, fd);
}

static int failing_close(void *context, int fd)
{
    const int closed = file_layer_system.close(NULL, fd); /* the descriptor is gone in any case */
    return fails(context) ? -1 : closed;
}

static int failing_make_directory(void *context, const char *path)
{
    return fails(context) ? -1 : file_layer_system.make_directory(NULL, path);
}

static int failing_rename(void *context, const char *from, const char *to)
{
    return fails(context) ? -1 : file_layer_system.rename(NULL, from, to);
}

static int failing_sync_directory(void *context, const char *path)
{
    return fails(context) ? -1 : file_layer_system.sync_directory(NULL, path);
}

static int failing_remove(void *context, const char *path)
{
    return fails(context) ? -1 : file_layer_system.remove(NULL, path);
}

static struct file_layer layer_of(struct failing *failing)
{
    return (struct file_layer){.context = failing,
                               .create = failing_create,
                               .write = failing_write,
                               .truncate = failing_truncate,
                               .sync = failing_sync,
                               .close = failing_close,
                               .make_directory = failing_make_directory,
                               .rename = failing_rename,
                               .sync_directory = failing_sync_directory,
                               .remove = failing_remove};
}

static char *directory; /* of one test */

static int make_directory(void **state)
{
    (void)state;
    char pattern[] = "/tmp/robin-failures-XXXXXX", memory[] = "/dev/shm/robin-failures-XXXXXX";
    const char *made = mkdtemp(memory);
    if (made == NULL) made = mkdtemp(pattern);
    assert_non_null(made);
    directory = text_copy(made);
    log_set_level(LOG_ERROR);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    directory_remove(directory);
    free(directory);
    return 0;
}

static enum status save(struct failing *failing, int64_t step)
{
    const struct file_layer layer = layer_of(failing);
    const struct saved_run run = {.layer = &layer,
                                  .directory = directory,
                                  .n_ranks = 2,
                                  .keep = {.last = 1},
                                  .file_bytes = 1500};
    return saved_state_save(&run, step);
}

static void expect_newest(int64_t step, int64_t or_step)
{
    struct run_checkpoint *checkpoint = NULL;
    assert_int_equal(run_checkpoint_open_newest(&checkpoint, directory), OK);
    assert_non_null(checkpoint);
    const int64_t found = run_checkpoint_progress(checkpoint)->step;
    assert_true(found == step || found == or_step);
    assert_true(saved_state_is(checkpoint, found));
    run_checkpoint_close(checkpoint);
}

static void try_failure(int64_t at, int error, bool lasting)
{
    struct failing none = {0}, failing = {.at = at, .error = error, .lasting = lasting};
    assert_int_equal(directory_remove(directory), OK);
    assert_int_equal(save(&none, 1), OK);
    const enum status status = save(&failing, 2);
    assert_int_equal(status, ERR_IO);
    const char *sentence = status_message();
    if (strstr(sentence, "checkpoint of step 2 is not written: cannot ") != sentence ||
        strstr(sentence, strerror(error)) == NULL || strstr(sentence, directory) == NULL)
        fail_msg("operation %lld: '%s'", (long long)at, sentence);
    expect_newest(1, 2); /* what fails behind the commit does not undo it */
    assert_int_equal(save(&none, 3), OK);
    expect_newest(3, 3);
}

static void test_every_operation_may_fail(void **state)
{
    (void)state;
    static const int errors[] = {ENOSPC, EIO, EROFS};
    struct failing count = {0};
    assert_int_equal(save(&count, 1), OK);
    count.n = 0;
    assert_int_equal(save(&count, 2), OK);
    assert_true(count.n > 30);
    for (size_t e = 0; e < sizeof errors / sizeof errors[0]; e++)
        for (int64_t at = 0; at < count.n; at++) {
            try_failure(at, errors[e], false);
            try_failure(at, errors[e], true);
        }
    print_message("%lld operations, %lld failures\n", (long long)count.n,
                  (long long)count.n * 2 * (int64_t)(sizeof errors / sizeof errors[0]));
}

static void test_short_writes(void **state)
{
    (void)state;
    struct failing failing = {.short_writes = true};
    assert_int_equal(save(&failing, 5), OK);
    expect_newest(5, 5);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_every_operation_may_fail),
        IN_DIRECTORY(test_short_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
