/* A run's checkpoints: what goes in comes out, damage is named, the newest whole one is found. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "checkpoint/checkpoint_names.h"
#include "checkpoint/run_checkpoint.h"
#include "support/saved_state.h"

static char *directory; /* of one test */

static int make_directory(void **state)
{
    (void)state;
    char pattern[] = "/tmp/robin-checkpoint-XXXXXX";
    directory = text_copy(mkdtemp(pattern));
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

static void write_step(int64_t step, int64_t keep)
{
    const struct saved_run run = {
        .directory = directory, .n_ranks = 3, .keep = {.last = keep}, .file_bytes = 1500};
    assert_int_equal(saved_state_save(&run, step), OK);
}

static char *in_step(int64_t step, const char *file)
{
    return text_format("%s/step-%09lld/%s", directory, (long long)step, file);
}

static void test_round_trip(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= 4; ranks++) {
        struct run_checkpoint *checkpoint = NULL;
        const struct saved_run run = {.directory = directory, .n_ranks = ranks};
        assert_int_equal(saved_state_save(&run, 40 + ranks), OK);
        assert_int_equal(run_checkpoint_open_newest(&checkpoint, directory), OK);
        assert_true(saved_state_is(checkpoint, 40 + ranks));
        assert_int_equal(run_checkpoint_find(checkpoint, CHECKPOINT_FIRST_MOMENT, "lm.large"), -1);
        run_checkpoint_close(checkpoint);
    }
}

/* Columns first .. first + n - 1 of rows 3 .. 32, and a range of another tensor. */
static void expect_slices(const struct run_checkpoint *checkpoint, int first, int n)
{
    float whole[37 * 12], part[37 * 12], moments[1021], range[500];
    const int64_t columns = run_checkpoint_find(checkpoint, CHECKPOINT_WEIGHT, "lm.columns");
    const int64_t large = run_checkpoint_find(checkpoint, CHECKPOINT_SECOND_MOMENT, "lm.large");
    assert_int_equal(run_checkpoint_read(checkpoint, columns, whole), OK);
    assert_int_equal(run_checkpoint_read(checkpoint, large, moments), OK);
    const struct checkpoint_request requests[] = {
        {large, {{400, 0, 500, 1}, range, 0}},
        {columns, {{3 * 12 + first, 12, n, 30}, part, n}},
    };
    assert_int_equal(run_checkpoint_load(checkpoint, requests, 2), OK);
    for (int row = 0; row < 30; row++)
        assert_memory_equal(part + row * n, whole + (3 + row) * 12 + first,
                            (size_t)n * sizeof *part);
    assert_memory_equal(range, moments + 400, sizeof range);
}

/* Any columns, whoever wrote them. */
static void test_slices(void **state)
{
    (void)state;
    write_step(1, 0);
    struct run_checkpoint *checkpoint = NULL;
    assert_int_equal(run_checkpoint_open_newest(&checkpoint, directory), OK);
    for (int first = 0; first < 12; first++)
        for (int n = 1; n <= 12 - first; n++) expect_slices(checkpoint, first, n);
    run_checkpoint_close(checkpoint);
}

/* What the program wrote before checkpoints were folders. */
static void test_first_format(void **state)
{
    (void)state;
    struct run_checkpoint *checkpoint = NULL;
    float small[6], large[300];
    const float expected[6] = {1, -2, 3.5f, 0, 1e-30f, -0.0f};
    const struct run_progress progress = saved_state_progress(42);
    assert_int_equal(run_checkpoint_open_path(&checkpoint, "tests/data/checkpoint-format1"), OK);
    assert_memory_equal(run_checkpoint_progress(checkpoint), &progress, sizeof progress);
    assert_int_equal(run_checkpoint_size(checkpoint), 3);
    assert_int_equal(run_checkpoint_read(checkpoint, 0, small), OK);
    assert_memory_equal(small, expected, sizeof expected);
    const struct checkpoint_request request = {2, {{100, 0, 50, 1}, large, 0}};
    assert_int_equal(run_checkpoint_find(checkpoint, CHECKPOINT_SECOND_MOMENT, "lm.large"), 2);
    assert_int_equal(run_checkpoint_load(checkpoint, &request, 1), OK);
    for (int i = 0; i < 50; i++) assert_true(large[i] == (float)(42 * 1000 + 100 + i));
    run_checkpoint_close(checkpoint);
}

/* Flips one byte of the file, or cuts it there. */
static void damage(const char *path, size_t at, int cut)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(file_read(&bytes, &size, path, 1 << 20), OK);
    bytes[at] ^= 0x10;
    assert_int_equal(file_write_atomic(path, bytes, cut ? at : size), OK);
    free(bytes);
}

static size_t size_of(const char *path)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(file_read(&bytes, &size, path, 1 << 20), OK);
    free(bytes);
    return size;
}

static void expect_damaged(const char *path, const char *named)
{
    struct run_checkpoint *checkpoint = NULL;
    enum status status = run_checkpoint_open(&checkpoint, path);
    if (status == OK) status = run_checkpoint_verify(checkpoint);
    run_checkpoint_close(checkpoint);
    assert_int_not_equal(status, OK);
    if (strstr(status_message(), named) == NULL)
        fail_msg("'%s' is not in '%s'", named, status_message());
}

/* Every byte of one file, or every so many; then cut at some. */
static void damage_everywhere(const char *path, const char *file, size_t stride)
{
    unsigned char *bytes = NULL;
    const size_t size = size_of(file);
    assert_int_equal(file_read(&bytes, &(size_t){0}, file, 1 << 20), OK);
    for (size_t at = 0; at < size; at += stride) {
        damage(file, at, 0);
        expect_damaged(path, file);
        assert_int_equal(file_write_atomic(file, bytes, size), OK);
    }
    for (size_t at = 0; at < size; at += 16 * stride + 1) {
        damage(file, at, 1);
        expect_damaged(path, file);
        assert_int_equal(file_write_atomic(file, bytes, size), OK);
    }
    free(bytes);
}

static void test_damage_is_named(void **state)
{
    (void)state;
    static const char *const names[] = {"manifest.json", "data-00000-000.bin", "data-00001-001.bin",
                                        "data-00002-000.bin"};
    write_step(1, 0);
    char *path = in_step(1, "");
    path[strlen(path) - 1] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *file = in_step(1, names[i]);
        damage_everywhere(path, file, i == 0 ? 1 : 7);
        free(file);
    }
    char *file = in_step(1, names[2]);
    assert_int_equal(unlink(file), 0);
    expect_damaged(path, file);
    free(file);
    free(path);
}

static void test_damage_in_the_first_format(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    size_t size = 0;
    char *path = path_join(directory, "step-000000042.ckpt");
    assert_int_equal(
        file_read(&bytes, &size, "tests/data/checkpoint-format1/step-000000042.ckpt", 1 << 20), OK);
    assert_int_equal(file_write_atomic(path, bytes, size), OK);
    damage_everywhere(path, path, 3);
    free(path);
    free(bytes);
}

static void test_newest_whole_one_is_used(void **state)
{
    (void)state;
    struct run_checkpoint *checkpoint = NULL;
    for (int64_t step = 1; step <= 3; step++) write_step(step, 0);
    char *newest = in_step(3, "data-00001-000.bin"), *middle = in_step(2, "manifest.json");
    char *oldest = in_step(1, "manifest.json");
    damage(newest, size_of(newest) - 5, 0);
    assert_int_equal(run_checkpoint_open_newest(&checkpoint, directory), OK);
    assert_true(saved_state_is(checkpoint, 2));
    run_checkpoint_close(checkpoint);
    write_step(3, 0); /* again: under a name of its own */
    assert_int_equal(run_checkpoint_open_newest(&checkpoint, directory), OK);
    assert_true(saved_state_is(checkpoint, 3));
    char *again = text_format("%s/step-000000003-2", directory);
    assert_string_equal(run_checkpoint_path(checkpoint), again);
    run_checkpoint_close(checkpoint);
    assert_int_equal(directory_remove(again), OK);
    damage(middle, 30, 0);
    damage(oldest, 3, 1);
    assert_int_equal(run_checkpoint_open_newest(&checkpoint, directory), ERR_FORMAT);
    assert_non_null(strstr(status_message(), "all 3 checkpoints are damaged"));
    free(again);
    free(newest);
    free(middle);
    free(oldest);
}

static void expect_names(const char *const *expected, size_t n_expected)
{
    char **names = NULL;
    size_t n = 0;
    assert_int_equal(directory_list(&names, &n, directory), OK);
    assert_int_equal(n, n_expected);
    for (size_t i = 0; i < n; i++) assert_string_equal(names[i], expected[i]);
    names_free(names, n);
}

static void test_old_ones_are_removed(void **state)
{
    (void)state;
    static const char *const left[] = {"latest", "step-000000003", "step-000000004"};
    static const char *const more[] = {"latest",         "step-000000003", "step-000000006",
                                       "step-000000009", "step-000000010", "step-000000011"};
    char *old = text_format("%s/step-000000009.ckpt.tmp.1234", directory);
    char *partial = text_format("%s/step-000000009.partial", directory);
    char *latest = path_join(directory, "latest");
    assert_int_equal(file_write_atomic(old, "x", 1), OK);
    assert_int_equal(directory_create(partial), OK);
    for (int64_t step = 1; step <= 4; step++) write_step(step, 2);
    expect_names(left, 3);
    unsigned char *text = NULL;
    size_t n = 0;
    assert_int_equal(file_read(&text, &n, latest, 100), OK);
    assert_string_equal((char *)text, "step-000000004");
    free(text);
    const struct saved_run run = {
        .directory = directory, .n_ranks = 1, .keep = {.last = 2, .every = 3}};
    for (int64_t step = 5; step <= 11; step++) assert_int_equal(saved_state_save(&run, step), OK);
    expect_names(more, 6);
    free(latest);
    free(partial);
    free(old);
}

/* Damaged ones are not among those that stay, and while they are all that is newer they stay. */
static void test_the_last_whole_one_stays(void **state)
{
    (void)state;
    static const char *const left[] = {"latest", "step-000000001", "step-000000002",
                                       "step-000000003"};
    char **paths = NULL;
    size_t n = 0;
    const struct checkpoint_keep keep = {.last = 1};
    for (int64_t step = 1; step <= 3; step++) write_step(step, 0);
    for (int64_t step = 2; step <= 3; step++) {
        char *manifest = in_step(step, "manifest.json");
        damage(manifest, 100, 0);
        free(manifest);
    }
    assert_int_equal(checkpoint_prunable(&paths, &n, directory, &keep), OK);
    assert_int_equal(n, 0);
    names_free(paths, n);
    expect_names(left, 4);
    write_step(4, 1);
    static const char *const then[] = {"latest", "step-000000004"};
    expect_names(then, 2);
}

/* A file size limit stands for the full disk: the old checkpoint stays, nothing looks whole. */
static void test_full_disk(void **state)
{
    (void)state;
    write_step(1, 1);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit small_files = {.rlim_cur = 4096, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small_files);
    const struct saved_run run = {.directory = directory, .n_ranks = 1, .keep = {.last = 1}};
    const enum status status = saved_state_save(&run, 2);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, ERR_IO);
    assert_non_null(strstr(status_message(), "checkpoint of step 2 is not written: "));
    static const char *const left[] = {"latest", "step-000000001"};
    expect_names(left, 2);
}

static void test_none(void **state)
{
    (void)state;
    struct run_checkpoint *checkpoint = NULL;
    assert_int_equal(run_checkpoint_open_newest(&checkpoint, "/tmp/robin-no-such-folder"), OK);
    assert_null(checkpoint);
    assert_int_equal(run_checkpoint_open_newest(&checkpoint, directory), OK);
    assert_null(checkpoint);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_round_trip),
        IN_DIRECTORY(test_slices),
        IN_DIRECTORY(test_first_format),
        IN_DIRECTORY(test_damage_is_named),
        IN_DIRECTORY(test_damage_in_the_first_format),
        IN_DIRECTORY(test_newest_whole_one_is_used),
        IN_DIRECTORY(test_old_ones_are_removed),
        IN_DIRECTORY(test_the_last_whole_one_stays),
        IN_DIRECTORY(test_full_disk),
        IN_DIRECTORY(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
