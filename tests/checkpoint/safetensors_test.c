/* The safetensors reader: what it reads, and that it refuses every file that is not quite one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "checkpoint/safetensors.h"

static char *path; /* a file of this process */

static int set_up(void **state)
{
    (void)state;
    path = text_format("/tmp/safetensors_test.%d", (int)getpid());
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    directory_remove(path);
    free(path);
    return 0;
}

/* A file of this header and `n_data` bytes 0, 1, 2, ...; the length field is `length`, or right
 * if -1. */
static void write_raw(const char *header, size_t header_size, int64_t length, size_t n_data)
{
    uint64_t n = length < 0 ? header_size : (uint64_t)length;
    struct text_buffer file = {0};
    for (int i = 0; i < 8; i++) text_append_char(&file, (char)(n >> (8 * i) & 255));
    text_append_bytes(&file, header, header_size);
    for (size_t i = 0; i < n_data; i++) text_append_char(&file, (char)(i & 255));
    assert_int_equal(file_write_atomic(path, text_of(&file), file.length), OK);
    text_release(&file);
}

static void write_file(const char *header, size_t n_data)
{
    write_raw(header, strlen(header), -1, n_data);
}

static void expect_refusal(enum status code, const char *word)
{
    struct safetensors *file = NULL;
    assert_int_equal(safetensors_open(&file, path), code);
    assert_null(file);
    assert_non_null(strstr(status_message(), path)); /* the sentence names the file */
    if (strstr(status_message(), word) == NULL) fail_msg("'%s' lacks '%s'", status_message(), word);
}

/* ---- good files ---- */

static void test_reads_what_is_there(void **state)
{
    (void)state;
    struct safetensors *file = NULL;
    unsigned char bytes[6] = {0};
    write_file("{\"b\":{\"dtype\":\"U8\",\"shape\":[2,3],\"data_offsets\":[8,14]},"
               "\"__metadata__\":{\"format\":\"pt\"},"
               "\"a\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
               "\"none\":{\"dtype\":\"F32\",\"shape\":[4,0],\"data_offsets\":[8,8]}}   ",
               14);
    assert_int_equal(safetensors_open(&file, path), OK);
    assert_int_equal(safetensors_count(file), 3);
    assert_string_equal(safetensors_at(file, 0)->name, "a");
    assert_string_equal(safetensors_path(file), path);
    assert_null(safetensors_find(file, "__metadata__"));
    const struct safetensor *b = safetensors_find(file, "b");
    assert_non_null(b);
    assert_int_equal(b->n_dims, 2);
    assert_int_equal(b->dims[1], 3);
    assert_int_equal(safetensors_read(file, b, bytes, 1, 4), OK);
    assert_int_equal(bytes[0], 9);
    assert_int_equal(bytes[3], 12);
    assert_int_equal(safetensors_find(file, "none")->n_elements, 0);
    assert_int_equal(safetensors_read(file, safetensors_find(file, "none"), bytes, 0, 0), OK);
    float values[6];
    assert_int_equal(safetensors_read_float(file, b, values, 0, 6), ERR_UNSUPPORTED);
    safetensors_close(file);
}

static void test_floats_of_every_width(void **state)
{
    (void)state;
    static const uint16_t halves[] = {0x3c00, 0xc000, 0x0001, 0x8000, 0x7c00, 0x3555};
    static const uint16_t bfloats[] = {0x3f80, 0xc000};
    static const double doubles[] = {0.1};
    const char *header = "{\"h\":{\"dtype\":\"F16\",\"shape\":[6],\"data_offsets\":[0,12]},"
                         "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[12,16]},"
                         "\"d\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[16,24]}}";
    struct text_buffer bytes = {0};
    struct safetensors *file = NULL;
    float values[6];
    text_append_char(&bytes, (char)strlen(header));
    for (int i = 1; i < 8; i++) text_append_char(&bytes, 0);
    text_append(&bytes, header);
    text_append_bytes(&bytes, halves, sizeof halves);
    text_append_bytes(&bytes, bfloats, sizeof bfloats);
    text_append_bytes(&bytes, doubles, sizeof doubles);
    assert_int_equal(file_write_atomic(path, text_of(&bytes), bytes.length), OK);
    text_release(&bytes);
    assert_int_equal(safetensors_open(&file, path), OK);
    assert_int_equal(safetensors_read_float(file, safetensors_find(file, "h"), values, 0, 6), OK);
    assert_true(values[0] == 1.0f && values[1] == -2.0f && values[2] == 0x1p-24f);
    assert_true(values[3] == 0.0f && values[4] > 1e30f && values[5] == 0x1.554p-2f);
    assert_int_equal(safetensors_read_float(file, safetensors_find(file, "b"), values, 0, 2), OK);
    assert_true(values[0] == 1.0f && values[1] == -2.0f);
    assert_int_equal(safetensors_read_float(file, safetensors_find(file, "d"), values, 0, 1), OK);
    assert_true(values[0] == 0.1f);
    safetensors_close(file);
}

/* ---- hostile files ---- */

static void test_broken_frames_are_refused(void **state)
{
    (void)state;
    struct safetensors *file = NULL;
    assert_int_equal(safetensors_open(&file, "/nowhere/at/all"), ERR_IO);
    assert_int_equal(safetensors_open(&file, "/tmp"), ERR_FORMAT);
    assert_int_equal(file_write_atomic(path, "1234567", 7), OK);
    expect_refusal(ERR_FORMAT, "too few");
    write_raw("{}", 2, 1000, 0);
    expect_refusal(ERR_FORMAT, "cut short");
    write_raw("{}", 2, INT64_MAX, 0);
    expect_refusal(ERR_LIMIT, "limit");
    write_raw("", 0, 0, 0);
    expect_refusal(ERR_FORMAT, "begin with");
    write_file(" {}", 0);
    expect_refusal(ERR_FORMAT, "begin with");
    write_file("{\"a\":", 0);
    expect_refusal(ERR_FORMAT, "damaged");
    write_raw("{\"a\0\":1}", 8, -1, 0);
    expect_refusal(ERR_FORMAT, "damaged");
    write_file("{}", 1);
    expect_refusal(ERR_FORMAT, "belong to none");
}

struct bad_header {
    const char *header;
    enum status code;
    const char *word;
};

#define ENTRY(dtype, shape, offsets)                                                               \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void test_broken_entries_are_refused(void **state)
{
    (void)state;
    static const struct bad_header cases[] = {
        {ENTRY("\"F32\"", "[2]", "[0,4]"), ERR_FORMAT, "its shape needs 8"},
        {ENTRY("\"F32\"", "[2]", "[4,12]"), ERR_FORMAT, "do not lie in"},
        {ENTRY("\"F32\"", "[1]", "[4,8]"), ERR_FORMAT, "belong to none"},
        {ENTRY("\"F32\"", "[1]", "[0,4]"), ERR_FORMAT, "belong to none"},
        {ENTRY("\"F32\"", "[2]", "[8,0]"), ERR_FORMAT, "do not lie in"},
        {ENTRY("\"F32\"", "[2]", "[-8,0]"), ERR_FORMAT, "do not lie in"},
        {ENTRY("\"F32\"", "[2]", "[0,8,8]"), ERR_FORMAT, "two integers"},
        {ENTRY("\"F32\"", "[2]", "[0,8.0]"), ERR_FORMAT, "two integers"},
        {ENTRY("\"F32\"", "[2]", "8"), ERR_FORMAT, "two integers"},
        {ENTRY("\"F32\"", "[-2]", "[0,8]"), ERR_FORMAT, "shape[0]"},
        {ENTRY("\"F32\"", "[1,\"2\"]", "[0,8]"), ERR_FORMAT, "shape[1]"},
        {ENTRY("\"F32\"", "2", "[0,8]"), ERR_FORMAT, "'shape'"},
        {ENTRY("\"F32\"", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), ERR_LIMIT, "9 dims"},
        {ENTRY("\"F32\"", "[4294967296,4294967296,2]", "[0,8]"), ERR_LIMIT, "2^50"},
        {ENTRY("\"F32\"", "[9223372036854775807,3]", "[0,8]"), ERR_LIMIT, "2^50"},
        {ENTRY("\"F8_E4M3\"", "[8]", "[0,8]"), ERR_UNSUPPORTED, "F8_E4M3"},
        {ENTRY("7", "[2]", "[0,8]"), ERR_FORMAT, "'dtype'"},
        {"{\"a\":7}", ERR_FORMAT, "exactly dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", ERR_FORMAT, "exactly dtype"},
        {"{\"\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", ERR_FORMAT, "name"},
        {"{\"__metadata__\":{\"a\":1}}", ERR_FORMAT, "no string"},
        {"{\"__metadata__\":[]}", ERR_FORMAT, "__metadata__"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         ERR_FORMAT, "duplicate"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         ERR_FORMAT, "overlaps"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}",
         ERR_FORMAT, "belong to none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file(cases[i].header, 8);
        expect_refusal(cases[i].code, cases[i].word);
    }
}

/* Every file that ends early is refused when it is opened, wherever it ends. */
static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    size_t size = 0;
    write_file("{\"a\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[0,20]}}", 20);
    assert_int_equal(file_read(&bytes, &size, path, 1000), OK);
    for (size_t n = 0; n < size; n++) {
        struct safetensors *file = NULL;
        assert_int_equal(file_write_atomic(path, bytes, n), OK);
        assert_int_not_equal(safetensors_open(&file, path), OK);
        assert_null(file);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_is_there),
        cmocka_unit_test(test_floats_of_every_width),
        cmocka_unit_test(test_broken_frames_are_refused),
        cmocka_unit_test(test_broken_entries_are_refused),
        cmocka_unit_test(test_every_truncation_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
