/* Shards and corpora: what goes in comes out, equal input gives equal bytes, and nothing damaged is
 * ever read as something else. */
#include "corpus/shard.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "base/thread_pool.h"
#include "corpus/corpus_index.h"
#include "corpus/shard_file.h"
#include "support/corpus_records.h"

#define N_RECORDS   24
#define SHARD_BYTES 4000 /* several shards */

static int set_up(void **state)
{
    *state = test_folder();
    return *state == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    const enum status removed = directory_remove(*state);
    free(*state);
    return removed == OK ? 0 : -1;
}

/* Records first .. first + n - 1. */
static char *write_records(const char *folder, const char *name, int first, int n)
{
    char *directory = path_join(folder, name);
    struct corpus_writer *writer = NULL;
    assert_int_equal(corpus_writer_create(&writer, directory, "test", SHARD_BYTES), OK);
    for (int i = first; i < first + n; i++) {
        struct record record = test_record(i);
        assert_int_equal(corpus_writer_add(writer, &record), OK);
        record_release(&record);
    }
    assert_false(file_exists(directory));
    assert_int_equal(corpus_writer_commit(writer), OK);
    corpus_writer_destroy(writer);
    return directory;
}

static char *write_corpus(const char *folder, const char *name, int n)
{
    return write_records(folder, name, 0, n);
}

static void expect_open_fails(const char *directory, enum status wanted, const char *words)
{
    struct corpus *corpus = NULL;
    const enum status found = corpus_open(&corpus, directory);
    if (found != wanted || strstr(status_message(), words) == NULL)
        fail_msg("wanted %s with '%s', found %s: %s", status_name(wanted), words,
                 status_name(found), found == OK ? "" : status_message());
    assert_null(corpus);
}

static void round_trip(void **state)
{
    char *directory = write_corpus(*state, "c", N_RECORDS);
    char *partial = text_format("%s.partial", directory);
    assert_false(file_exists(partial));
    struct corpus *corpus = NULL;
    assert_int_equal(corpus_open(&corpus, directory), OK);
    assert_int_equal(corpus_size(corpus), N_RECORDS);
    assert_string_equal(corpus_name(corpus), "test");
    for (int i = N_RECORDS - 1; i >= 0; i--) {
        struct record wanted = test_record(i);
        struct record found = {0};
        assert_int_equal(corpus_read(corpus, i, &found), OK);
        assert_true(test_records_equal(&wanted, &found));
        record_release(&wanted);
        record_release(&found);
    }
    struct record none = {0};
    assert_int_equal(corpus_read(corpus, N_RECORDS, &none), ERR_ARGUMENT);
    assert_int_equal(corpus_read(corpus, -1, &none), ERR_ARGUMENT);
    corpus_close(corpus);
    free(partial);
    free(directory);
}

struct readers {
    const struct corpus *corpus;
    int failures[4]; /* by worker */
};

static void read_block(void *argument, int64_t block, int worker)
{
    struct readers *readers = argument;
    const int64_t index = (block * 7) % N_RECORDS;
    struct record wanted = test_record((int)index);
    struct record found = {0};
    if (corpus_read(readers->corpus, index, &found) != OK || !test_records_equal(&wanted, &found))
        readers->failures[worker]++;
    record_release(&wanted);
    record_release(&found);
}

static void several_threads_may_read(void **state)
{
    char *directory = write_corpus(*state, "c", N_RECORDS);
    struct readers readers = {0};
    struct corpus *corpus = NULL;
    struct thread_pool *pool = NULL;
    assert_int_equal(corpus_open(&corpus, directory), OK);
    assert_int_equal(thread_pool_create(&pool, 4), OK);
    readers.corpus = corpus;
    thread_pool_run(pool, 500, read_block, &readers);
    for (int worker = 0; worker < 4; worker++) assert_int_equal(readers.failures[worker], 0);
    thread_pool_destroy(pool);
    corpus_close(corpus);
    free(directory);
}

static void same_input_same_bytes(void **state)
{
    char *first = write_corpus(*state, "one", N_RECORDS);
    sleep(1); /* a stored time would differ */
    char *second = write_corpus(*state, "two", N_RECORDS);
    char **names = NULL;
    size_t n = 0;
    assert_int_equal(directory_list(&names, &n, first), OK);
    assert_true(n >= 4); /* the index and several shards */
    for (size_t i = 0; i < n; i++) {
        unsigned char *bytes[2] = {NULL, NULL};
        size_t sizes[2] = {0, 0};
        char *paths[2] = {path_join(first, names[i]), path_join(second, names[i])};
        for (int j = 0; j < 2; j++)
            assert_int_equal(file_read(&bytes[j], &sizes[j], paths[j], 1 << 24), OK);
        assert_int_equal(sizes[0], sizes[1]);
        assert_memory_equal(bytes[0], bytes[1], sizes[0]);
        for (int j = 0; j < 2; j++) {
            free(bytes[j]);
            free(paths[j]);
        }
    }
    names_free(names, n);
    free(first);
    free(second);
}

static void equal_pictures_are_stored_once(void **state)
{
    char *path = path_join(*state, "s.h5");
    struct shard_writer *writer = NULL;
    assert_int_equal(shard_writer_create(&writer, path, "test", 0, NULL), OK);
    uint64_t bytes = 0;
    for (int i = 0; i < 200; i++) { /* enough to grow the hash table */
        struct record record = test_record(i);
        if (i % 3 != 1 || (i - 1) % 5 == 4) bytes += record.image_size;
        assert_int_equal(shard_writer_add(writer, &record), OK);
        record_release(&record);
    }
    assert_int_equal(shard_writer_commit(writer), OK);
    shard_writer_destroy(writer);
    struct shard shard = {0};
    assert_int_equal(shard_open(&shard, path), OK);
    assert_int_equal(shard.count[TABLE_IMAGES], bytes);
    shard_close(&shard);
    free(path);
}

/* Reads everything there is. Either an error came with a sentence that names the folder, or all
 * records are the ones written: returns whether an error came. */
static bool error_or_same(const char *directory, int n)
{
    struct corpus *corpus = NULL;
    bool failed = corpus_open(&corpus, directory) != OK;
    if (failed) assert_non_null(strstr(status_message(), directory));
    for (int i = 0; !failed && i < n; i++) {
        struct record wanted = test_record(i);
        struct record found = {0};
        if (corpus_read(corpus, i, &found) != OK) {
            failed = true;
            assert_non_null(strstr(status_message(), ".h5: record "));
        } else {
            assert_true(test_records_equal(&wanted, &found));
        }
        record_release(&wanted);
        record_release(&found);
    }
    corpus_close(corpus);
    return failed;
}

static void flip_every_byte_of(const char *directory, const char *name, int n, size_t least_found)
{
    char *path = path_join(directory, name);
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    const int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    size_t found = 0;
    for (off_t at = 0; at < about.st_size; at++) {
        unsigned char byte;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        const unsigned char flipped = (unsigned char)(byte ^ (1u << (at % 8)));
        assert_int_equal(pwrite(fd, &flipped, 1, at), 1);
        if (error_or_same(directory, n)) found++;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    close(fd);
    if (found < least_found)
        fail_msg("%s: %zu of %lld flips were noticed, expected %zu", name, found,
                 (long long)about.st_size, least_found);
    free(path);
}

static void flipped_bytes_are_noticed(void **state)
{
    const int n = 4;
    char *directory = write_corpus(*state, "c", n);
    struct corpus *corpus = NULL;
    assert_int_equal(corpus_open(&corpus, directory), OK);
    corpus_close(corpus);
    struct stat about;
    char *path = path_join(directory, CORPUS_INDEX_FILE);
    assert_int_equal(stat(path, &about), 0);
    flip_every_byte_of(directory, CORPUS_INDEX_FILE, n, (size_t)about.st_size);
    /* what goes unnoticed lies between the tables, where nothing is stored */
    flip_every_byte_of(directory, "test-00000.h5", n, 2000);
    assert_false(error_or_same(directory, n));
    free(path);
    free(directory);
}

static void truncated_files_are_refused(void **state)
{
    const char *const names[] = {CORPUS_INDEX_FILE, "test-00000.h5"};
    char *directory = write_corpus(*state, "c", 4);
    for (int i = 0; i < 2; i++) {
        char *path = path_join(directory, names[i]);
        unsigned char *bytes = NULL;
        size_t size = 0;
        assert_int_equal(file_read(&bytes, &size, path, 1 << 24), OK);
        for (size_t cut = 0; cut < size; cut += 1 + size / 97) {
            assert_int_equal(file_write_atomic(path, bytes, cut), OK);
            assert_true(error_or_same(directory, 4));
        }
        assert_int_equal(file_write_atomic(path, bytes, size), OK);
        assert_false(error_or_same(directory, 4));
        free(bytes);
        free(path);
    }
    free(directory);
}

/* Short pieces of ones, zeros or noise over a shard that no index describes: counts, offsets and
 * lengths become anything. */
static void garbage_is_never_read_as_something_else(void **state)
{
    const uint64_t n_tries = 600;
    char *directory = write_corpus(*state, "c", 6);
    char *path = path_join(directory, "test-00000.h5");
    unsigned char *bytes = NULL;
    size_t size = 0;
    int refused = 0;
    assert_int_equal(file_read(&bytes, &size, path, 1 << 24), OK);
    const int fd = open(path, O_WRONLY);
    for (uint64_t try = 0; try < n_tries; try++) {
        const struct random_stream draws = random_substream(random_stream(1, "garbage"), try);
        const size_t at = random_below(draws, 0, size - 8);
        const size_t length = 1 + random_below(draws, 1, 8);
        const uint64_t word = try % 3 == 0 ? UINT64_MAX : try % 3 == 1 ? 0 : random_u64(draws, 2);
        struct shard shard = {0};
        assert_int_equal(pwrite(fd, &word, length, (off_t)at), (ssize_t)length);
        const bool opened = shard_open(&shard, path) == OK;
        for (int i = 0; opened && i < 6; i++) {
            struct record wanted = test_record(i);
            struct record found = {0};
            if (shard_read(&shard, i, &found) != OK)
                refused++;
            else
                assert_true(test_records_equal(&wanted, &found));
            record_release(&wanted);
            record_release(&found);
        }
        shard_close(&shard);
        assert_int_equal(pwrite(fd, bytes + at, length, (off_t)at), (ssize_t)length);
    }
    assert_true(refused > 50);
    close(fd);
    free(bytes);
    free(path);
    free(directory);
}

/* A shard alone, without an index that knows its size: HDF5 and the ranges must notice. */
static void truncated_shards_are_refused_without_an_index(void **state)
{
    char *directory = write_corpus(*state, "c", 4);
    char *path = path_join(directory, "test-00000.h5");
    unsigned char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(file_read(&bytes, &size, path, 1 << 24), OK);
    for (size_t cut = 0; cut < size; cut += 1 + size / 97) {
        struct shard shard = {0};
        assert_int_equal(file_write_atomic(path, bytes, cut), OK);
        assert_int_equal(shard_open(&shard, path), ERR_FORMAT);
        assert_non_null(strstr(status_message(), path));
    }
    free(bytes);
    free(path);
    free(directory);
}

static void a_corpus_may_be_empty(void **state)
{
    char *directory = write_corpus(*state, "c", 0);
    struct corpus *corpus = NULL;
    struct record none = {0};
    assert_int_equal(corpus_open(&corpus, directory), OK);
    assert_int_equal(corpus_size(corpus), 0);
    assert_int_equal(corpus_read(corpus, 0, &none), ERR_ARGUMENT);
    corpus_close(corpus);
    free(directory);
}

static void missing_and_foreign_files_are_refused(void **state)
{
    expect_open_fails("no/such/folder", ERR_IO, "no/such/folder is no corpus");
    expect_open_fails(*state, ERR_IO, "is no corpus");
    char *directory = write_corpus(*state, "c", N_RECORDS);
    char *first = path_join(directory, "test-00000.h5");
    char *second = path_join(directory, "test-00001.h5");
    char *aside = path_join(directory, "aside");
    assert_int_equal(rename(second, aside), 0);
    expect_open_fails(directory, ERR_IO, "test-00001.h5, which the index names: No such file");
    assert_int_equal(mkdir(second, 0777), 0);
    expect_open_fails(directory, ERR_FORMAT, "test-00001.h5 has");
    assert_int_equal(rmdir(second), 0);
    assert_int_equal(link(first, second), 0); /* one shard in another's place */
    expect_open_fails(directory, ERR_FORMAT, "test-00001.h5");
    assert_int_equal(rename(aside, second), 0);
    struct corpus *corpus = NULL;
    assert_int_equal(corpus_open(&corpus, directory), OK);
    corpus_close(corpus);
    free(aside);
    free(first);
    free(second);
    free(directory);
}

static void a_shard_of_another_build_is_refused(void **state)
{
    char *one = write_corpus(*state, "one", N_RECORDS);
    char *two = write_records(*state, "two", 1, N_RECORDS);
    char *from = path_join(two, "test-00000.h5");
    char *to = path_join(one, "test-00000.h5");
    assert_int_equal(rename(from, to), 0);
    expect_open_fails(one, ERR_FORMAT, "test-00000.h5");
    free(from);
    free(to);
    free(one);
    free(two);
}

static void other_formats_are_refused(void **state)
{
    char *path = path_join(*state, "x.h5");
    struct shard shard = {0};
    assert_int_equal(file_write_atomic(path, "not HDF5 at all", 15), OK);
    assert_int_equal(shard_open(&shard, path), ERR_FORMAT);
    assert_non_null(strstr(status_message(), "x.h5"));
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    assert_true(H5Fclose(file) >= 0);
    assert_int_equal(shard_open(&shard, path), ERR_FORMAT);
    assert_non_null(strstr(status_message(), "no shard of a corpus"));
    assert_int_equal(shard_open(&shard, *state), ERR_FORMAT);
    free(path);
}

static void nothing_is_overwritten(void **state)
{
    char *directory = write_corpus(*state, "c", 2);
    struct corpus_writer *writer = NULL;
    assert_int_equal(corpus_writer_create(&writer, directory, "test", SHARD_BYTES), ERR_ARGUMENT);
    assert_non_null(strstr(status_message(), "is not empty"));
    char *other = path_join(*state, "d");
    assert_int_equal(corpus_writer_create(&writer, other, "test", SHARD_BYTES), OK);
    struct corpus_writer *second = NULL;
    assert_int_equal(corpus_writer_create(&second, other, "test", SHARD_BYTES), ERR_ARGUMENT);
    assert_non_null(strstr(status_message(), "d.partial is there"));
    corpus_writer_destroy(writer);
    char *partial = text_format("%s.partial", other);
    assert_false(file_exists(partial));
    assert_false(file_exists(other));
    free(partial);
    free(other);
    free(directory);
}

static void wrong_arguments_are_refused(void **state)
{
    struct corpus_writer *writer = NULL;
    char *directory = path_join(*state, "c");
    const char *const names[] = {"", "a/b", "..", "a b", "-x"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(corpus_writer_create(&writer, directory, names[i], 1), ERR_ARGUMENT);
    assert_int_equal(corpus_writer_create(&writer, "", "test", 1), ERR_ARGUMENT);
    assert_int_equal(corpus_writer_create(&writer, "/proc/none/c", "test", 1), ERR_IO);
    assert_int_equal(corpus_writer_create(&writer, directory, "test", 1), OK);
    struct record record = test_record(0);
    assert_int_equal(corpus_writer_add(writer, &record), OK);
    assert_int_equal(corpus_writer_add(writer, &record), OK);
    assert_int_equal(corpus_writer_commit(writer), ERR_FORMAT); /* the same id twice */
    assert_non_null(strstr(status_message(), "two records have the id 'test/0'"));
    record_release(&record);
    corpus_writer_destroy(writer);
    assert_false(file_exists(directory));
    free(directory);
}

/* A limit on file sizes stands for a full disk: the write fails after some bytes. */
static void a_full_disk_leaves_nothing(void **state)
{
    char *directory = path_join(*state, "c");
    struct corpus_writer *writer = NULL;
    struct record record = test_record(0);
    struct rlimit old;
    assert_int_equal(corpus_writer_create(&writer, directory, "test", 1 << 30), OK);
    assert_int_equal(corpus_writer_add(writer, &record), OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    const struct rlimit small = {.rlim_cur = 1000, .rlim_max = old.rlim_max};
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const enum status status = corpus_writer_commit(writer);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(status, ERR_IO);
    assert_non_null(strstr(status_message(), "test-00000.h5"));
    corpus_writer_destroy(writer);
    char **names = NULL;
    size_t n = 0;
    assert_int_equal(directory_list(&names, &n, *state), OK);
    assert_int_equal(n, 0);
    names_free(names, n);
    record_release(&record);
    free(directory);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(round_trip),
        TEST(several_threads_may_read),
        TEST(same_input_same_bytes),
        TEST(equal_pictures_are_stored_once),
        TEST(flipped_bytes_are_noticed),
        TEST(garbage_is_never_read_as_something_else),
        TEST(truncated_files_are_refused),
        TEST(truncated_shards_are_refused_without_an_index),
        TEST(a_corpus_may_be_empty),
        TEST(missing_and_foreign_files_are_refused),
        TEST(a_shard_of_another_build_is_refused),
        TEST(other_formats_are_refused),
        TEST(nothing_is_overwritten),
        TEST(wrong_arguments_are_refused),
        TEST(a_full_disk_leaves_nothing),
    };
    return cmocka_run_group_tests_name("corpus: shard", tests, NULL, NULL);
}
