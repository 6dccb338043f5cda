/* RFC 4648's own examples, every byte value, and what is no base64. */
#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void examples(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct text_buffer text = {0};
        uint8_t *bytes = NULL;
        size_t size = 0;
        base64_append(&text, (const uint8_t *)pairs[i][0], strlen(pairs[i][0]));
        assert_string_equal(text_of(&text), pairs[i][1]);
        assert_int_equal(base64_decode(&bytes, &size, pairs[i][1], 100), OK);
        assert_int_equal(size, strlen(pairs[i][0]));
        assert_memory_equal(bytes, pairs[i][0], size);
        free(bytes);
        text_release(&text);
    }
}

static void all_bytes_come_back(void **state)
{
    uint8_t bytes[259];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(255 - i * 7);
    for (size_t size = 256; size <= sizeof bytes; size++) {
        struct text_buffer text = {0};
        uint8_t *back = NULL;
        size_t back_size = 0;
        base64_append(&text, bytes, size);
        assert_int_equal(base64_decode(&back, &back_size, text.text, size), OK);
        assert_int_equal(back_size, size);
        assert_memory_equal(back, bytes, size);
        free(back);
        back = NULL;
        assert_int_equal(base64_decode(&back, &back_size, text.text, size - 1), ERR_LIMIT);
        assert_null(back);
        text_release(&text);
    }
}

static void others_are_refused(void **state)
{
    static const char *const texts[] = {
        "Z",    "Zg",       "Zg=",    "=",    "====",     "Z===", "Zh==",
        "Zm9=", "Zg==Zg==", "Zm9v\n", "Zm-v", "Zm9v====", "Zm 9", "\xff\xff\xff\xff"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        uint8_t *bytes = NULL;
        size_t size = 0;
        if (base64_decode(&bytes, &size, texts[i], 100) != ERR_FORMAT)
            fail_msg("'%s' was taken", texts[i]);
        assert_null(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples),
        cmocka_unit_test(all_bytes_come_back),
        cmocka_unit_test(others_are_refused),
    };
    return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
