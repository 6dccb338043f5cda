/* JSON that is refused says where and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"

#define PATH "build/json_file_test.json"

static void assert_file_refused(const char *text, const char *message)
{
    json_t *root = NULL;
    assert_int_equal(file_write_atomic(PATH, text, strlen(text)), OK);
    assert_int_equal(json_file_read(&root, PATH, 1000), ERR_FORMAT);
    if (strstr(status_message(), message) == NULL) fail_msg("%s", status_message());
    assert_null(root);
    assert_int_equal(directory_remove(PATH), OK);
}

static void wrong_files_are_refused(void **state)
{
    (void)state;
    json_t *root = NULL;
    assert_file_refused("{\n \"a\": 1,\n \"a\": 2}", PATH ":3:4: not valid JSON: duplicate");
    assert_file_refused("[1, 2", PATH ":1:5: not valid JSON");
    assert_file_refused("", "not valid JSON");
    assert_file_refused("\xff\xd8\xff", "not valid JSON");
    assert_file_refused("[1] []", "not valid JSON");
    assert_int_equal(json_file_read(&root, "build/none.json", 1000), ERR_IO);
    assert_int_equal(file_write_atomic(PATH, "[1, 2]", 6), OK);
    assert_int_equal(json_file_read(&root, PATH, 5), ERR_LIMIT);
    assert_int_equal(json_file_read(&root, PATH, 6), OK);
    assert_int_equal(json_array_size(root), 2);
    json_decref(root);
    assert_int_equal(directory_remove(PATH), OK);
}

static void lines_are_counted(void **state)
{
    (void)state;
    json_t *root = NULL;
    assert_int_equal(json_line_parse(&root, "{\"a\": }", 7, "x.jsonl", 42), ERR_FORMAT);
    assert_memory_equal(status_message(), "x.jsonl:42:7: not valid JSON", 28);
    assert_int_equal(json_line_parse(&root, "{\"a\": 1}junk", 8, "x.jsonl", 1), OK);
    json_decref(root);
}

static void fields_are_checked(void **state)
{
    (void)state;
    json_t *object = json_loads(
        "{\"s\": \"text\", \"i\": 7, \"r\": 1.5, \"t\": true, \"n\": null, \"l\": []}", 0, NULL);
    assert_non_null(object);
    struct json_place place = {"file.json", "data[3]"};
    struct json_place root = {"file.json", ""};
    const char *text = NULL;
    int64_t integer = 0;
    double number = 0.0;
    json_t *value = NULL;
    assert_int_equal(json_field_string(&text, object, "s", place), OK);
    assert_string_equal(text, "text");
    assert_int_equal(json_field_integer(&integer, object, "i", 0, 7, place), OK);
    assert_int_equal(integer, 7);
    assert_int_equal(json_field_number(&number, object, "i", place), OK);
    assert_true(number == 7.0);
    assert_int_equal(json_field_number(&number, object, "r", place), OK);
    assert_true(number == 1.5);
    assert_int_equal(json_field(&value, object, "t", JSON_FALSE, place), OK); /* either truth */
    assert_true(json_is_true(value));

    assert_int_equal(json_field_string(&text, object, "none", place), ERR_FORMAT);
    assert_string_equal(status_message(), "file.json: data[3]: field 'none' is missing");
    assert_int_equal(json_field_string(&text, object, "i", root), ERR_FORMAT);
    assert_string_equal(status_message(),
                        "file.json: field 'i' must be a string, found an integer");
    assert_int_equal(json_field_integer(&integer, object, "i", 0, 6, place), ERR_FORMAT);
    assert_string_equal(status_message(), "file.json: data[3]: field 'i' is 7, must be 0 .. 6");
    assert_int_equal(json_field_integer(&integer, object, "r", 0, 6, place), ERR_FORMAT);
    assert_int_equal(json_field_number(&number, object, "n", place), ERR_FORMAT);
    assert_string_equal(status_message(),
                        "file.json: data[3]: field 'n' must be a number, found null");
    assert_int_equal(json_field(&value, json_object_get(object, "l"), "x", JSON_ARRAY, place),
                     ERR_FORMAT);
    assert_string_equal(status_message(),
                        "file.json: data[3]: expected an object with field 'x', found an array");
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files_are_refused),
        cmocka_unit_test(lines_are_counted),
        cmocka_unit_test(fields_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
