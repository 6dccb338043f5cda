/* Files: limits, short reads, writes that are whole or not there, directories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text_buffer.h"

#define FOLDER "build/file_test"

static int make_folder(void **state)
{
    (void)state;
    return directory_remove(FOLDER) == OK && directory_create(FOLDER) == OK ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return directory_remove(FOLDER) == OK && !file_exists(FOLDER) ? 0 : -1;
}

static void written_files_are_read(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(file_write_atomic(FOLDER "/a", "x\0yz", 4), OK);
    assert_int_equal(file_read(&bytes, &size, FOLDER "/a", 4), OK);
    assert_int_equal(size, 4);
    assert_memory_equal(bytes, "x\0yz", 5); /* and the NUL behind */
    free(bytes);
    assert_int_equal(file_write_atomic(FOLDER "/a", "", 0), OK); /* replaces */
    assert_int_equal(file_read(&bytes, &size, FOLDER "/a", 4), OK);
    assert_int_equal(size, 0);
    free(bytes);
    assert_int_equal(file_read(&bytes, &size, "/proc/self/status", 1 << 20), OK);
    assert_true(size > 100); /* a file whose size the system does not know */
    free(bytes);
}

static void wrong_reads_are_refused(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(file_write_atomic(FOLDER "/five", "12345", 5), OK);
    assert_int_equal(file_read(&bytes, &size, FOLDER "/five", 4), ERR_LIMIT);
    assert_string_equal(status_message(), FOLDER "/five has 5 bytes, the limit for this file is 4");
    assert_int_equal(file_read(&bytes, &size, "/proc/self/status", 10), ERR_LIMIT);
    assert_int_equal(file_read(&bytes, &size, FOLDER "/none", 4), ERR_IO);
    assert_string_equal(status_message(), "cannot open " FOLDER "/none: No such file or directory");
    assert_int_equal(file_read(&bytes, &size, FOLDER, 4), ERR_IO);
    assert_string_equal(status_message(), "cannot read " FOLDER ": it is a directory");
    assert_null(bytes);
}

static void reads_at_an_offset(void **state)
{
    (void)state;
    char bytes[8] = {0};
    assert_int_equal(file_write_atomic(FOLDER "/ten", "0123456789", 10), OK);
    int fd = open(FOLDER "/ten", O_RDWR);
    assert_int_equal(file_pread(fd, bytes, 4, 6, "ten"), OK);
    assert_string_equal(bytes, "6789");
    assert_int_equal(file_pread(fd, bytes, 4, 8, "ten"), ERR_FORMAT);
    assert_string_equal(status_message(), "ten ends early: wanted 4 bytes at offset 8, found 2; "
                                          "the file is cut short");
    assert_int_equal(file_pwrite(fd, "ab", 2, 3, "ten"), OK);
    assert_int_equal(file_pread(fd, bytes, 4, 2, "ten"), OK);
    assert_memory_equal(bytes, "2ab5", 4);
    close(fd);
    assert_int_equal(file_pread(fd, bytes, 4, 0, "ten"), ERR_IO);
    assert_int_equal(file_pwrite(fd, bytes, 4, 0, "ten"), ERR_IO);
}

static size_t count_files(void)
{
    char **names = NULL;
    size_t n = 0;
    assert_int_equal(directory_list(&names, &n, FOLDER), OK);
    names_free(names, n);
    return n;
}

static void an_abandoned_file_leaves_the_old_one(void **state)
{
    (void)state;
    struct atomic_file file = {0};
    atomic_file_abandon(&file); /* zeroed is fine, and closes nothing */
    assert_true(fcntl(0, F_GETFD) >= 0);
    assert_int_equal(file_write_atomic(FOLDER "/kept", "old", 3), OK);
    size_t before = count_files();
    assert_int_equal(atomic_file_open(&file, FOLDER "/kept"), OK);
    assert_int_equal(atomic_file_write(&file, "new", 3), OK);
    assert_int_equal(count_files(), before + 1);
    atomic_file_abandon(&file);
    assert_int_equal(count_files(), before);
    unsigned char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(file_read(&bytes, &size, FOLDER "/kept", 10), OK);
    assert_memory_equal(bytes, "old", 4);
    free(bytes);
}

static void a_full_disk_leaves_nothing_behind(void **state)
{
    (void)state;
    /* A limit on the file size stands for the full disk: write() fails the same way. */
    struct rlimit before, small = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    size_t n_before = count_files();
    char *large = memory_new(8192, 1);
    signal(SIGXFSZ, SIG_IGN); /* else the limit ends the program */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum status status = file_write_atomic(FOLDER "/large", large, 8192);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    free(large);
    assert_int_equal(status, ERR_IO);
    assert_non_null(strstr(status_message(), "File too large"));
    assert_int_equal(count_files(), n_before);
    assert_int_equal(file_write_atomic("/proc/none", "x", 1), ERR_IO);
    assert_int_equal(file_write_atomic(FOLDER "/no/folder", "x", 1), ERR_IO);
}

static void directories(void **state)
{
    (void)state;
    assert_int_equal(directory_create(FOLDER "/d/e//f/"), OK);
    assert_int_equal(directory_create(FOLDER "/d/e"), OK);
    assert_int_equal(directory_create(""), ERR_ARGUMENT);
    assert_int_equal(file_write_atomic(FOLDER "/d/b", "", 0), OK);
    assert_int_equal(file_write_atomic(FOLDER "/d/B", "", 0), OK);
    assert_int_equal(directory_create(FOLDER "/d/b/c"), ERR_IO);
    assert_string_equal(status_message(),
                        "cannot create directory " FOLDER "/d/b: a file of that name is there");
    char **names = NULL;
    size_t n = 0;
    assert_int_equal(directory_list(&names, &n, FOLDER "/d"), OK);
    assert_int_equal(n, 3);
    assert_string_equal(names[0], "B");
    assert_string_equal(names[1], "b");
    assert_string_equal(names[2], "e");
    names_free(names, n);
    assert_int_equal(directory_list(&names, &n, FOLDER "/none"), ERR_IO);
    assert_int_equal(directory_sync(FOLDER "/none"), ERR_IO);
    assert_int_equal(symlink("../..", FOLDER "/d/e/up"), 0);
    assert_int_equal(directory_remove(FOLDER "/d"), OK); /* the link, not what it leads to */
    assert_true(file_exists(FOLDER));
    assert_false(file_exists(FOLDER "/d"));
    assert_int_equal(directory_remove(FOLDER "/d"), OK);
}

static void paths_are_joined(void **state)
{
    (void)state;
    char *path = path_join("a", "b");
    assert_string_equal(path, "a/b");
    free(path);
    path = path_join("a/", "b");
    assert_string_equal(path, "a/b");
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_files_are_read),
        cmocka_unit_test(wrong_reads_are_refused),
        cmocka_unit_test(reads_at_an_offset),
        cmocka_unit_test(an_abandoned_file_leaves_the_old_one),
        cmocka_unit_test(a_full_disk_leaves_nothing_behind),
        cmocka_unit_test(directories),
        cmocka_unit_test(paths_are_joined),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
