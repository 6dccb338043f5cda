/* mpi: 1 3
 * Saving by all ranks together: the run goes on while a slow disk is written; the next checkpoint
 * waits for the one before; where one rank's disk fails, none commits, the one before stays, and
 * the run goes on or ends as it was told. The faster way to a disk is found by writing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "checkpoint/checkpoint_saver.h"
#include "checkpoint/write_probe.h"

#define ELEMENTS 3000 /* of the one tensor, shared by the ranks */
#define SLOW_MS  100

static struct comm *comm;
static char *directory;
static float values[ELEMENTS];

/* Each write takes its time, or fails. */
struct disk {
    bool slow;
    int error;
};

static int64_t disk_write(void *context, int fd, const void *bytes, size_t size, uint64_t offset)
{
    const struct disk *disk = context;
    const struct timespec nap = {.tv_nsec = SLOW_MS * 1000000L};
    if (disk->slow) (void)nanosleep(&nap, NULL);
    errno = disk->error;
    return disk->error != 0 ? -1 : file_layer_system.write(NULL, fd, bytes, size, offset);
}

static const struct checkpoint_tensor tensor = {CHECKPOINT_WEIGHT, "w", 1, {ELEMENTS}, false};

static struct checkpoint_saver *make_saver(struct file_layer *layer, struct disk *disk,
                                           bool failures_go_on)
{
    struct checkpoint_saver *saver = NULL;
    const int rank = comm_rank(comm), size = comm_size(comm);
    const int64_t first = ELEMENTS * rank / size, end = ELEMENTS * (rank + 1) / size;
    const struct checkpoint_source source = {0, {first, 0, end - first, 1}, values + first, 0};
    json_t *about = json_object();
    *layer = file_layer_system;
    layer->context = disk;
    layer->write = disk_write;
    const struct saver_options options = {.comm = comm,
                                          .layer = layer,
                                          .directory = directory,
                                          .keep = {.last = 1},
                                          .in_background = true,
                                          .failures_go_on = failures_go_on,
                                          .about = about,
                                          .tensors = &tensor,
                                          .n_tensors = 1,
                                          .sources = &source,
                                          .n_sources = 1};
    assert_int_equal(checkpoint_saver_create(&saver, &options), OK);
    json_decref(about);
    return saver;
}

static enum status begin(struct checkpoint_saver *saver, int64_t step, bool must)
{
    for (int64_t i = 0; i < ELEMENTS; i++) values[i] = (float)(step * 10 + i);
    const struct run_progress progress = {.step = step};
    const enum status status = checkpoint_saver_begin(saver, &progress, must);
    for (int64_t i = 0; i < ELEMENTS; i++) values[i] = -1; /* the run goes on */
    return status;
}

static void expect_newest(int64_t step)
{
    float found[ELEMENTS];
    struct run_checkpoint *checkpoint = NULL;
    assert_int_equal(comm_barrier(comm), OK);
    assert_int_equal(run_checkpoint_open_newest(&checkpoint, directory), OK);
    assert_non_null(checkpoint);
    assert_int_equal(run_checkpoint_progress(checkpoint)->step, step);
    assert_int_equal(run_checkpoint_read(checkpoint, 0, found), OK);
    for (int64_t i = 0; i < ELEMENTS; i++) assert_true(found[i] == (float)(step * 10 + i));
    run_checkpoint_close(checkpoint);
    assert_int_equal(comm_barrier(comm), OK);
}

static int make_directory(void **state)
{
    (void)state;
    char name[64] = "/tmp/robin-saver-XXXXXX";
    if (comm_rank(comm) == 0) assert_non_null(mkdtemp(name));
    assert_int_equal(comm_broadcast(comm, name, sizeof name, 0), OK);
    directory = text_copy(name);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    assert_int_equal(comm_barrier(comm), OK);
    if (comm_rank(comm) == 0) assert_int_equal(directory_remove(directory), OK);
    free(directory);
    return 0;
}

static void test_in_the_background(void **state)
{
    (void)state;
    struct file_layer layer;
    struct disk disk = {.slow = true};
    struct checkpoint_saver *saver = make_saver(&layer, &disk, false);
    assert_true(checkpoint_saver_is_idle(saver));
    assert_int_equal(begin(saver, 1, false), OK);
    assert_true(checkpoint_saver_works(saver)); /* a write takes longer than to begin */
    assert_false(checkpoint_saver_is_idle(saver));
    const double start = monotonic_seconds();
    assert_int_equal(begin(saver, 2, false), OK); /* waits for the writes of step 1 */
    assert_true(monotonic_seconds() - start > 0.5e-3 * SLOW_MS);
    assert_true(checkpoint_saver_stall(saver) > 0.5e-3 * SLOW_MS);
    expect_newest(1);
    assert_int_equal(checkpoint_saver_finish(saver), OK);
    assert_true(checkpoint_saver_is_idle(saver));
    expect_newest(2);
    checkpoint_saver_destroy(saver);
}

static void test_one_rank_fails(void **state)
{
    (void)state;
    struct file_layer layer;
    struct disk disk = {0};
    const bool last = comm_rank(comm) == comm_size(comm) - 1;
    struct checkpoint_saver *saver = make_saver(&layer, &disk, true);
    assert_int_equal(begin(saver, 1, true), OK);
    assert_int_equal(checkpoint_saver_finish(saver), OK);
    disk.error = last ? EIO : 0;
    assert_int_equal(begin(saver, 2, false), OK);
    assert_int_equal(checkpoint_saver_finish(saver), OK); /* a warning */
    expect_newest(1);
    assert_int_equal(begin(saver, 3, true), OK);
    assert_int_equal(checkpoint_saver_finish(saver), ERR_IO);
    assert_true(checkpoint_saver_is_idle(saver));
    expect_newest(1);
    disk.error = 0;
    assert_int_equal(begin(saver, 4, false), OK);
    assert_int_equal(checkpoint_saver_finish(saver), OK);
    expect_newest(4);
    checkpoint_saver_destroy(saver);
}

/* The other ranks learn that the folder cannot be made. */
static void test_no_folder(void **state)
{
    (void)state;
    struct file_layer layer;
    struct disk disk = {0};
    char *file = path_join(directory, "file"), *before = directory;
    if (comm_rank(comm) == 0) assert_int_equal(file_write_atomic(file, "x", 1), OK);
    assert_int_equal(comm_barrier(comm), OK);
    directory = path_join(file, "checkpoints");
    struct checkpoint_saver *saver = make_saver(&layer, &disk, false);
    assert_int_equal(begin(saver, 1, false), ERR_IO);
    assert_true(checkpoint_saver_is_idle(saver));
    checkpoint_saver_destroy(saver);
    free(directory);
    free(file);
    directory = before;
}

/* A disk that is slow, or that fails, or has no way at all, where files are opened in one way. */
struct two_ways {
    bool slow, missing;
    int error;
    bool direct; /* that way */
    bool open;   /* the file's */
};

static int open_a_way(void *context, const char *path, bool direct)
{
    struct two_ways *ways = context;
    errno = EINVAL;
    if (ways->missing && direct == ways->direct) return -1;
    ways->open = direct;
    return file_layer_system.create(NULL, path, false);
}

static int64_t write_a_way(void *context, int fd, const void *bytes, size_t size, uint64_t offset)
{
    const struct two_ways *ways = context;
    const struct timespec nap = {.tv_nsec = 200000000};
    const bool here = ways->open == ways->direct;
    if (here && ways->slow) (void)nanosleep(&nap, NULL);
    errno = ways->error;
    if (here && ways->error != 0) return -1;
    return file_layer_system.write(NULL, fd, bytes, size, offset);
}

/* The last rank's disk has those ways; what all ranks choose. */
static bool chosen(struct two_ways ways, size_t bytes)
{
    struct file_layer layer = file_layer_system;
    struct two_ways fine = {.direct = ways.direct, .missing = ways.missing};
    bool direct = false;
    char **left = NULL;
    size_t n_left = 0;
    const bool last = comm_rank(comm) == comm_size(comm) - 1;
    layer.context = last ? &ways : &fine;
    layer.create = open_a_way;
    layer.write = write_a_way;
    assert_int_equal(write_probe(&direct, comm, &layer, directory, last ? bytes : 0), OK);
    assert_int_equal(comm_barrier(comm), OK);
    assert_int_equal(directory_list(&left, &n_left, directory), OK);
    assert_int_equal(n_left, 0);
    return direct;
}

static void test_the_faster_way(void **state)
{
    (void)state;
    const size_t much = WRITE_PROBE_LEAST;
    assert_true(write_probe_choice(199, 100));
    assert_false(write_probe_choice(200, 100));
    assert_false(write_probe_choice(INT64_MAX, INT64_MAX / 2)); /* no way past it */
    assert_false(chosen((struct two_ways){.slow = true, .direct = true}, much));
    assert_true(chosen((struct two_ways){.slow = true, .direct = false}, much));
    assert_true(chosen((struct two_ways){.slow = true, .direct = true}, much - 1)); /* not asked */
    assert_false(chosen((struct two_ways){.missing = true, .direct = true}, much));
    assert_true(
        chosen((struct two_ways){.error = EIO, .direct = false}, much)); /* with a warning */
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_in_the_background),
        IN_DIRECTORY(test_one_rank_fails),
        IN_DIRECTORY(test_no_folder),
        IN_DIRECTORY(test_the_faster_way),
    };
    if (comm_create(&comm, NULL) != OK) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    comm_destroy(comm);
    return failed;
}
