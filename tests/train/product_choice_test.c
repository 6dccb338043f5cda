/* The file of algorithms: what is written is read, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "train/product_choice.h"

static const char identity[] = "NVIDIA H0, driver 1, cuBLASLt 2";
static const char choices[] = "1 2 3 tn bf16 bf16: 00 1 ms\n4 5 6 nt bf16 f32 add: 11 2 ms\n";

static void assert_refused(const char *text, const char *for_whom, const char *why)
{
    const char *said = NULL;
    assert_null(product_file_choices(text, for_whom, &said));
    assert_string_equal(said, why);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    const char *why = NULL;
    char *text = product_file_text(identity, choices);
    char *read = product_file_choices(text, identity, &why);
    assert_string_equal(read, choices);
    free(read);
    free(text);
    text = product_file_text(identity, "");
    read = product_file_choices(text, identity, &why);
    assert_string_equal(read, "");
    free(read);
    free(text);
}

static void every_damaged_byte_is_found(void **state)
{
    (void)state;
    const char *why = NULL;
    char *text = product_file_text(identity, choices);
    const size_t size = strlen(text);
    for (size_t i = 0; i < size; i++) {
        text[i] ^= 1;
        assert_null(product_file_choices(text, identity, &why));
        text[i] ^= 1;
    }
    for (size_t i = 0; i < size; i++) {
        char *part = strndup(text, i);
        assert_null(product_file_choices(part, identity, &why));
        free(part);
    }
    free(text);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    char *text = product_file_text(identity, choices);
    assert_refused(text, "NVIDIA H0, driver 1, cuBLASLt 20",
                   "it is for another GPU, driver or library");
    assert_refused(text, "NVIDIA H0", "it is for another GPU, driver or library");
    text[strlen(text) - 3] ^= 1;
    assert_refused(text, identity, "its checksum is wrong");
    text[strlen(text) - 1] = '\0';
    assert_refused(text, identity, "it is cut off");
    free(text);
    assert_refused("of another kind, but long enough for a header and a footer\n", identity,
                   "it is no list of choices");
}

static void the_folder_is_where_the_environment_says(void **state)
{
    (void)state;
    setenv("ROBIN_CACHE", "/a/b", 1);
    setenv("XDG_CACHE_HOME", "/c", 1);
    setenv("HOME", "/d", 1);
    static const char *const variables[] = {"ROBIN_CACHE", "XDG_CACHE_HOME", "HOME"};
    static const char *const folders[] = {"/a/b", "/c/robin-dist", "/d/.cache/robin-dist"};
    for (int i = 0; i < 3; i++) {
        char *folder = product_cache_folder();
        assert_string_equal(folder, folders[i]);
        free(folder);
        unsetenv(variables[i]);
    }
    assert_null(product_cache_folder());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(every_damaged_byte_is_found),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(the_folder_is_where_the_environment_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
