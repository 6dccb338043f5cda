/* Options of commands: values of each type, and one sentence for everything that is wrong. */
#include "jobs/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_WORDS 8

struct values {
    const char *directory, *name;
    int64_t count;
    double share;
    struct option_texts keys;
};

static const struct values defaults = {.name = "scenes", .count = 3, .share = 0.5};

/* Parses words separated by spaces into `values`, which are set to the defaults first. */
static enum status parse(struct values *values, bool *help, const char *line)
{
    *values = defaults;
    const struct option_row rows[] = {
        {"DIR", NULL, OPTION_TEXT, true, 0, 0, &values->directory, "where"},
        {"--name", "NAME", OPTION_TEXT, false, 0, 0, &values->name, "of it"},
        {"--count", "N", OPTION_INTEGER, false, 1, 100, &values->count, "how many"},
        {"--share", "X", OPTION_NUMBER, false, 0, 1, &values->share, "of all"},
        {"--key", "K", OPTION_TEXTS, false, 0, 0, &values->keys, "as often as you like"},
    };
    static char text[200];
    char *words[MAX_WORDS];
    struct command_call call = {.arguments = words};
    assert_true(strlen(line) < sizeof text);
    memcpy(text, line, strlen(line) + 1);
    char *rest = text;
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        if (word[0] != '\0') words[call.n_arguments++] = word;
    return options_parse(rows, sizeof rows / sizeof rows[0], "test", &call, help);
}

static void values_are_read(void **state)
{
    (void)state;
    struct values values;
    bool help;
    assert_int_equal(parse(&values, &help, "here"), OK);
    assert_string_equal(values.directory, "here");
    assert_string_equal(values.name, "scenes");
    assert_int_equal(values.count, 3);
    assert_false(help);
    assert_int_equal(parse(&values, &help, "--share=0.25 --count 100 there --name=a=b"), OK);
    assert_string_equal(values.directory, "there");
    assert_string_equal(values.name, "a=b");
    assert_int_equal(values.count, 100);
    assert_true(values.share == 0.25);
    assert_int_equal(parse(&values, &help, "x --key a --key=b"), OK);
    assert_int_equal(values.keys.n, 2);
    assert_string_equal(values.keys.values[1], "b");
    free(values.keys.values);
    assert_int_equal(parse(&values, &help, "--count nonsense --help"), OK);
    assert_true(help);
}

static void wrong_words_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line, *words;
    } cases[] = {
        {"", "DIR is missing"},
        {"--count 4", "DIR is missing"},
        {"a b", "what is 'b'?"},
        {"a --colour red", "what is '--colour'?"},
        {"a --coun 4", "what is '--coun'?"},
        {"a --count", "--count needs a value"},
        {"a --count 4 --count 5", "--count is given twice"},
        {"a --count 0", "--count is '0', must be an integer from 1 to 100"},
        {"a --count 101", "--count is '101'"},
        {"a --count 4.5", "--count is '4.5'"},
        {"a --count 4x", "--count is '4x'"},
        {"a --count 99999999999999999999", "must be an integer"},
        {"a --count=", "--count is ''"},
        {"a --share 1.5", "--share is '1.5', must be a number from 0 to 1"},
        {"a --share nan", "--share is 'nan'"},
        {"a --share 1e999", "--share is '1e999'"},
        {"a --name=", "--name is empty"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct values values;
        bool help;
        assert_int_equal(parse(&values, &help, cases[i].line), ERR_ARGUMENT);
        if (strstr(status_message(), cases[i].words) == NULL)
            fail_msg("'%s' said '%s'", cases[i].line, status_message());
    }
}

static void the_usage_shows_defaults(void **state)
{
    (void)state;
    int64_t count = 7;
    const char *name = NULL;
    const struct option_row rows[] = {
        {"--out", "DIR", OPTION_TEXT, true, 0, 0, &name, "where"},
        {"--count", "N", OPTION_INTEGER, false, 1, 9, &count, "how many"},
        {"--name", "NAME", OPTION_TEXT, false, 0, 0, &name, "default: none"},
    };
    char *usage = options_usage(rows, 3, "test");
    assert_string_equal(usage, "usage: robin-dist test --out DIR [option...]\n\n"
                               "  --out DIR                where\n"
                               "  --count N                how many; default: 7\n"
                               "  --name NAME              default: none\n");
    free(usage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(wrong_words_are_refused),
        cmocka_unit_test(the_usage_shows_defaults),
    };
    return cmocka_run_group_tests_name("jobs: options", tests, NULL, NULL);
}
