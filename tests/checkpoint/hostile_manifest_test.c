/* Manifests that an enemy wrote, under a checksum that holds: each is refused with a sentence that
 * names file and field. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/text_buffer.h"
#include "support/saved_state.h"

#define CRC_BYTES 21 /* {"crc32c":"xxxxxxxx", */

static char *directory, *path, *manifest; /* manifest: the text of a whole one behind its CRC */

static int make_checkpoint(void **state)
{
    (void)state;
    char pattern[] = "/tmp/robin-hostile-XXXXXX";
    unsigned char *text = NULL;
    size_t size = 0;
    directory = text_copy(mkdtemp(pattern));
    const struct saved_run run = {.directory = directory, .n_ranks = 2};
    assert_int_equal(saved_state_save(&run, 1), OK);
    path = text_format("%s/step-000000001/manifest.json", directory);
    assert_int_equal(file_read(&text, &size, path, 1 << 20), OK);
    manifest = text_copy((char *)text + CRC_BYTES);
    free(text);
    return 0;
}

static int remove_checkpoint(void **state)
{
    (void)state;
    directory_remove(directory);
    free(directory);
    free(manifest);
    free(path);
    return 0;
}

static enum status open_text(const char *text)
{
    struct run_checkpoint *checkpoint = NULL;
    char *whole =
        text_format("{\"crc32c\":\"%08" PRIx32 "\",%s", crc32c(0, text, strlen(text)), text);
    char *folder = path_parent(path);
    assert_int_equal(file_write_atomic(path, whole, strlen(whole)), OK);
    const enum status status = run_checkpoint_open(&checkpoint, folder);
    run_checkpoint_close(checkpoint);
    free(folder);
    free(whole);
    return status;
}

/* The first `from` of the whole manifest becomes `to`. */
static void expect_refused(const char *from, const char *to, const char *sentence)
{
    const char *at = strstr(manifest, from);
    if (at == NULL) fail_msg("'%s' is not in %s", from, manifest);
    char *text = text_format("%.*s%s%s", (int)(at - manifest), manifest, to, at + strlen(from));
    assert_int_not_equal(open_text(text), OK);
    if (strstr(status_message(), sentence) == NULL ||
        strncmp(status_message(), directory, strlen(directory)) != 0)
        fail_msg("'%s' is not in '%s'", sentence, status_message());
    free(text);
}

static void test_the_whole_one_opens(void **state)
{
    (void)state;
    assert_int_equal(open_text(manifest), OK);
}

static void test_fields(void **state)
{
    (void)state;
    expect_refused("\"format\":\"robin-dist checkpoint\"", "\"format\":\"else\"",
                   "manifest.json: format is \"else\"");
    expect_refused("\"version\":2", "\"version\":3", "version is 3, newer than 2");
    expect_refused("\"version\":2", "\"version\":1", "version is 1");
    expect_refused("\"step\":1", "\"step\":-1", "progress: field 'step' is -1");
    expect_refused("\"step\":1", "\"step\":9223372036854775808", "not valid JSON");
    expect_refused("\"order_hash\":\"", "\"order_hash\":\"x", "order_hash");
    expect_refused("\"samples\":8,", "", "field 'samples' is missing");
    expect_refused("\"block_bytes\":1048576", "\"block_bytes\":0", "field 'block_bytes' is 0");
    expect_refused("\"block_bytes\":1048576", "\"block_bytes\":4100", "block_bytes is 4100");
    expect_refused("\"tensors\":[", "\"tensors\":[{},", "tensors[0]: field 'name' is missing");
    expect_refused("\"f32\"", "\"f8\"", "tensors[0]: dtype is \"f8\"");
    expect_refused("\"lm.columns\"", "\"lm.small\"", "tensors: weight lm.small is there twice");
    expect_refused("\"weight\"", "\"heavy\"", "tensors[0]: part is \"heavy\"");
    expect_refused("[2,3]", "[2,4]", "the pieces of weight lm.small hold 6 elements");
    expect_refused("[2,3]", "[4611686018427387904,8]", "dims[0] is 4611686018427387904");
    expect_refused("[2,3]", "[1048576,1048576,1048576]", "tensors[0]: dims[2] is 1048576");
    expect_refused("[2,3]", "[]", "dims has 0 entries");
}

static void test_files(void **state)
{
    (void)state;
    expect_refused("data-00001-000.bin", "../data-00001-000.bin",
                   "files[1]: name is \"../data-00001-000.bin\"");
    expect_refused("data-00001-000.bin", "/etc/passwd", "files[1]: name is \"/etc/passwd\"");
    expect_refused("data-00001-000.bin", "data-00000-000.bin", "data-00000-000.bin");
    expect_refused("data-00001-000.bin", "data-00007-000.bin", "cannot open");
    expect_refused("\"bytes\":", "\"bytes\":1", "bytes but");
    expect_refused("\"bytes\":", "\"bytes\":-", "field 'bytes' is -");
    expect_refused("\"bytes\":", "\"bytes\":9223372036854775807,\"was\":", "field 'bytes' is 92");
    expect_refused("\"crc32c\":[", "\"crc32c\":[1,", "files[0]: crc32c has 2 entries");
    expect_refused("\"crc32c\":[", "\"crc32c\":[4294967296],\"was\":[", "crc32c[0] is no number");
    expect_refused("\"crc32c\":[", "\"crc32c\":\"x\",\"was\":[", "field 'crc32c' must be an array");
}

/* lm.columns [37,12] is [0,0,0,12,6,37] and [1,0,6,12,6,37]: file, offset, start, step, length, n.
 */
static void test_pieces(void **state)
{
    (void)state;
    const char *second = "[1,0,6,12,6,37]";
    expect_refused(second, "[1,0,5,12,6,37]", "pieces of weight lm.columns overlap at element 5");
    expect_refused(second, "[1,0,7,12,6,37]", "pieces[1]: [1, 0, 7, 12, 6, 37]");
    expect_refused(second, "[1,0,6,12,6,36]", "lm.columns");
    expect_refused(second, "[0,0,6,12,6,37]", "a piece of ");
    expect_refused(second, "[2,0,6,12,6,37]", "file is 2, but there are 2");
    expect_refused(second, "[-1,0,6,12,6,37]", "[0] must be an integer from 0");
    expect_refused(second, "[1,64,6,12,6,37]", "a piece of ");
    expect_refused(second, "[1,3,6,12,6,37]", "offset is no multiple of 64");
    expect_refused(second, "[1,9223372036854775744,6,12,6,37]", "it leaves the file");
    expect_refused(second, "[1,0,9223372036854775807,12,6,37]", "it leaves the tensor");
    expect_refused(second, "[1,0,6,9223372036854775807,6,37]", "step does not fit");
    expect_refused(second, "[1,0,6,12,9223372036854775807,37]", "length and n do not fit");
    expect_refused(second, "[1,0,6,12,6,9223372036854775807]", "length and n do not fit");
    expect_refused(second, "[1,0,6,5,6,37]", "step does not fit");
    expect_refused(second, "[1,0,6,12,6]", "pieces[1]: must be an array of 6 numbers");
    expect_refused(second, "\"x\"", "pieces[1]: must be an array of 6 numbers");
    expect_refused(",[1,0,6,12,6,37]", "", "files[1]: a piece of lm.large begins at 896");
}

static void test_text(void **state)
{
    (void)state;
    const size_t size = strlen(manifest);
    for (size_t n = 0; n < size; n += 11) {
        char *text = text_format("%.*s", (int)n, manifest);
        assert_int_not_equal(open_text(text), OK);
        assert_non_null(strstr(status_message(), "manifest.json"));
        free(text);
    }
    struct run_checkpoint *checkpoint = NULL;
    char *folder = path_parent(path);
    assert_int_equal(file_write_atomic(path, "{}", 2), OK);
    assert_int_not_equal(run_checkpoint_open(&checkpoint, folder), OK);
    assert_non_null(strstr(status_message(), "does not begin with the field crc32c"));
    free(folder);
}

#define ON_ONE(test) cmocka_unit_test_setup_teardown(test, make_checkpoint, remove_checkpoint)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ONE(test_the_whole_one_opens),
        ON_ONE(test_fields),
        ON_ONE(test_files),
        ON_ONE(test_pieces),
        ON_ONE(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
