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
#include "checkpoint/run_checkpoint.h"

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

static const float small[6] = {1, -2, 3.5f, 0, 1e-30f, -0.0f};
static float large[1000];

static struct run_progress progress_at(int64_t step)
{
    return (struct run_progress){.step = step,
                                 .skipped_steps = step / 2,
                                 .means = {.loss = 0.1 * (double)step, .norm = 1e-300, .n = step},
                                 .samples = step * 8,
                                 .order_hash = 0xfedcba9876543210u + (uint64_t)step,
                                 .order_key = 7,
                                 .config_hash = UINT64_MAX};
}

static void write_step(int64_t step, int64_t keep)
{
    for (int i = 0; i < 1000; i++) large[i] = (float)(step * 1000 + i);
    const struct run_progress progress = progress_at(step);
    const struct checkpoint_tensor tensors[] = {
        {CHECKPOINT_WEIGHT, "lm.small", 2, {2, 3}, small},
        {CHECKPOINT_WEIGHT, "lm.large", 1, {1000}, large},
        {CHECKPOINT_SECOND_MOMENT, "lm.large", 1, {1000}, large},
    };
    assert_int_equal(run_checkpoint_write(directory, keep, &progress, tensors, 3), OK);
}

static char *file_of(int64_t step)
{
    return text_format("%s/step-%09lld.ckpt", directory, (long long)step);
}

static void test_round_trip(void **state)
{
    (void)state;
    write_step(42, 0);
    struct run_checkpoint *checkpoint = NULL;
    assert_int_equal(run_checkpoint_open_newest(&checkpoint, directory), OK);
    const struct run_progress expected = progress_at(42);
    assert_memory_equal(run_checkpoint_progress(checkpoint), &expected, sizeof expected);
    assert_int_equal(run_checkpoint_size(checkpoint), 3);
    const int64_t i = run_checkpoint_find(checkpoint, CHECKPOINT_WEIGHT, "lm.small");
    const struct checkpoint_tensor *tensor = run_checkpoint_tensor(checkpoint, i);
    assert_int_equal(tensor->n_dims, 2);
    assert_int_equal(tensor->dims[0], 2);
    assert_int_equal(tensor->dims[1], 3);
    float read[1000];
    assert_int_equal(run_checkpoint_read(checkpoint, i, read), OK);
    assert_memory_equal(read, small, sizeof small);
    const int64_t j = run_checkpoint_find(checkpoint, CHECKPOINT_SECOND_MOMENT, "lm.large");
    assert_int_equal(run_checkpoint_read(checkpoint, j, read), OK);
    assert_memory_equal(read, large, sizeof large);
    assert_int_equal(run_checkpoint_find(checkpoint, CHECKPOINT_FIRST_MOMENT, "lm.large"), -1);
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

static void expect_damaged(const char *path)
{
    struct run_checkpoint *checkpoint = NULL;
    enum status status = run_checkpoint_open(&checkpoint, path);
    if (status == OK) status = run_checkpoint_verify(checkpoint);
    run_checkpoint_close(checkpoint);
    assert_int_not_equal(status, OK);
    assert_non_null(strstr(status_message(), path));
}

static void test_damage_is_named(void **state)
{
    (void)state;
    char *path = file_of(1);
    write_step(1, 0);
    const size_t size = size_of(path);
    for (size_t at = 0; at < size; at += 61) {
        write_step(1, 0);
        damage(path, at, 0);
        expect_damaged(path);
    }
    for (size_t at = 0; at < size; at += 997) {
        write_step(1, 0);
        damage(path, at, 1);
        expect_damaged(path);
    }
    free(path);
}

static void test_newest_whole_one_is_used(void **state)
{
    (void)state;
    char *newest = file_of(3), *middle = file_of(2), *oldest = file_of(1);
    struct run_checkpoint *checkpoint = NULL;
    for (int64_t step = 1; step <= 3; step++) write_step(step, 0);
    damage(newest, size_of(newest) - 5, 0);
    assert_int_equal(run_checkpoint_open_newest(&checkpoint, directory), OK);
    assert_int_equal(run_checkpoint_progress(checkpoint)->step, 2);
    run_checkpoint_close(checkpoint);
    damage(middle, 30, 0);
    damage(oldest, 3, 1);
    assert_int_equal(run_checkpoint_open_newest(&checkpoint, directory), ERR_FORMAT);
    assert_non_null(strstr(status_message(), "all 3 checkpoints are damaged"));
    free(newest);
    free(middle);
    free(oldest);
}

static void test_old_ones_are_removed(void **state)
{
    (void)state;
    char *aside = text_format("%s/step-000000009.ckpt.tmp.1234", directory);
    char *latest = path_join(directory, "latest");
    assert_int_equal(file_write_atomic(aside, "x", 1), OK);
    for (int64_t step = 1; step <= 4; step++) write_step(step, 2);
    char **names = NULL;
    size_t n = 0;
    assert_int_equal(directory_list(&names, &n, directory), OK);
    assert_int_equal(n, 3);
    assert_string_equal(names[0], "latest");
    assert_string_equal(names[1], "step-000000003.ckpt");
    assert_string_equal(names[2], "step-000000004.ckpt");
    names_free(names, n);
    unsigned char *text = NULL;
    assert_int_equal(file_read(&text, &n, latest, 100), OK);
    assert_string_equal((char *)text, "step-000000004.ckpt");
    free(text);
    free(latest);
    free(aside);
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
    const struct run_progress progress = progress_at(2);
    const struct checkpoint_tensor tensor = {CHECKPOINT_WEIGHT, "w", 1, {1000}, large};
    const struct checkpoint_tensor tensors[] = {tensor, tensor};
    const enum status status = run_checkpoint_write(directory, 1, &progress, tensors, 2);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, ERR_IO);
    assert_non_null(strstr(status_message(), "checkpoint of step 2 is not written: "));
    char **names = NULL;
    size_t n = 0;
    assert_int_equal(directory_list(&names, &n, directory), OK);
    assert_int_equal(n, 2);
    assert_string_equal(names[1], "step-000000001.ckpt");
    names_free(names, n);
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
        IN_DIRECTORY(test_damage_is_named),
        IN_DIRECTORY(test_newest_whole_one_is_used),
        IN_DIRECTORY(test_old_ones_are_removed),
        IN_DIRECTORY(test_full_disk),
        IN_DIRECTORY(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
