/* UTF-8 and form C: cases of the Unicode standard, and long runs of marks. Every code point:
 * golden family tokenizer. */
#include "text/unicode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

static void every_code_point_round_trips(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        if (c >= 0xD800 && c < 0xE000) continue;
        struct text_buffer text = {0};
        uint32_t back;
        utf8_append(&text, c);
        assert_int_equal(utf8_decode(&back, text.text, text.length), text.length);
        assert_int_equal(back, c);
        text_release(&text);
    }
}

/* The length given up is the longest start of a sequence, at least one byte. */
static void broken_sequences(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int length;
    } cases[] = {{"\x80", -1},         {"\xc0\x80", -1},         {"\xc3", -1},
                 {"\xe0\x80\x80", -1}, {"\xe6\x97", -2},         {"\xed\xa0\x80", -1},
                 {"\xf0\x9f\x98", -3}, {"\xf4\x90\x80\x80", -1}, {"\xff", -1},
                 {"\xf0\x9f(", -2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t c;
        assert_int_equal(utf8_decode(&c, cases[i].bytes, strlen(cases[i].bytes)), cases[i].length);
    }
    assert_int_equal(utf8_valid_length("ab\xc3\xa9\xff", 5), 4);
}

static void form_c(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"cafe\xcc\x81", "caf\xc3\xa9"},
        {"\xe2\x84\xaa", "K"},                            /* Kelvin sign */
        {"a\xcc\x85\xcc\x81", "a\xcc\x85\xcc\x81"},       /* blocked by a mark of the same class */
        {"q\xcc\x87\xcc\xa3", "q\xcc\xa3\xcc\x87"},       /* marks by class */
        {"\xe1\xb8\x8b\xcc\xa3", "\xe1\xb8\x8d\xcc\x87"}, /* recomposed */
        {"\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81"}, /* Hangul L V T */
        {"\xea\xb0\x80\xe1\x86\xa8", "\xea\xb0\x81"},             /* LV T */
        {"\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc"},             /* excluded */
        {"\xcc\x81"
         "a",
         "\xcc\x81"
         "a"}, /* no starter before */
        {"a\xcc\x81\xcc\xa3"
         "b\xcc\x81",
         "\xe1\xba\xa1\xcc\x81"
         "b\xcc\x81"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct text_buffer out = {0};
        unicode_to_nfc(&out, cases[i][0], strlen(cases[i][0]));
        assert_string_equal(text_of(&out), cases[i][1]);
        assert_true(strcmp(cases[i][0], cases[i][1]) == 0 ||
                    !unicode_is_nfc(cases[i][0], strlen(cases[i][0])));
        text_release(&out);
    }
    assert_true(unicode_is_nfc("\xe6\x97\xa5\xe6\x9c\xac", 6));
}

/* A second pass changes nothing, also where a million marks must be sorted. */
static void idempotent_and_linear(void **state)
{
    (void)state;
    static const uint32_t marks[] = {0x301, 0x323, 0x5B0, 0x345, 0x327, 0x31B};
    struct random_stream stream = random_stream(5, "marks");
    struct text_buffer text = {0}, once = {0}, twice = {0};
    text_append(&text, "e");
    for (uint64_t i = 0; i < 1000000; i++) utf8_append(&text, marks[random_below(stream, i, 6)]);
    unicode_to_nfc(&once, text.text, text.length);
    unicode_to_nfc(&twice, once.text, once.length);
    assert_int_equal(once.length, twice.length);
    assert_memory_equal(once.text, twice.text, once.length);
    text_release(&text);
    text_release(&once);
    text_release(&twice);
}

static void classes_and_digits(void **state)
{
    (void)state;
    assert_int_equal(unicode_class_of('a'), UNICODE_LETTER);
    assert_int_equal(unicode_class_of(0x65E5), UNICODE_LETTER);
    assert_int_equal(unicode_class_of(0xBD), UNICODE_NUMBER);
    assert_int_equal(unicode_class_of(0x3000), UNICODE_SPACE);
    assert_int_equal(unicode_class_of(0x1C), UNICODE_OTHER);
    assert_int_equal(unicode_class_of(0x301), UNICODE_OTHER);
    assert_int_equal(unicode_digit(0x664), 4);
    assert_int_equal(unicode_digit(0xB2), -1);
    assert_int_equal(unicode_digit('9'), 9);
    assert_true(unicode_is_python_space(0x1C));
    assert_false(unicode_is_python_space(0x200B));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_round_trips),
        cmocka_unit_test(broken_sequences),
        cmocka_unit_test(form_c),
        cmocka_unit_test(idempotent_and_linear),
        cmocka_unit_test(classes_and_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
