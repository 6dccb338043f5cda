/* The tokenizer of the scenes must know their words whole: an answer is then one decision. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/text_buffer.h"
#include "corpus/scenes_vocabulary.h"
#include "text/tokenizer.h"

static struct tokenizer *tokenizer;

static int open_tokenizer(void **state)
{
    (void)state;
    if (tokenizer_open(&tokenizer, "datasets/tokenizer-scenes") == OK) return 0;
    print_error("%s\n", status_message());
    return -1;
}

static int close_tokenizer(void **state)
{
    (void)state;
    tokenizer_close(tokenizer);
    return 0;
}

static int64_t count(const char *text)
{
    struct token_list ids = {0};
    assert_int_equal(tokenizer_encode(tokenizer, text, strlen(text), &ids), OK);
    int64_t n = ids.n;
    token_list_release(&ids);
    return n;
}

/* One id as an answer and one behind a space. */
static void assert_whole(const char *word)
{
    struct text_buffer behind = {0};
    text_printf(&behind, " %s", word);
    if (count(word) != 1 || count(behind.text) != 1)
        fail_msg("\"%s\" is not one id; learn the tokenizer anew", word);
    text_release(&behind);
}

static void names_and_colours(void **state)
{
    (void)state;
    for (int name = 0; name < SCENES_NAMES; name++)
        assert_whole(scenes_name_text((enum scenes_name)name));
    for (int64_t colour = 0; colour < SCENES_COLOURS; colour++)
        assert_whole(scenes_colour(colour)->name);
}

/* As many ids as words, whether at the start of an answer or behind "region1". */
static void predicates(void **state)
{
    (void)state;
    for (int relation = 0; relation < SCENES_RELATIONS; relation++) {
        const char *text = scenes_predicate((enum scenes_relation)relation)->text;
        int64_t words = 1;
        for (const char *c = text; *c; c++) words += *c == ' ';
        if (count(text) != words) fail_msg("\"%s\" is more than %d ids", text, (int)words);
        struct text_buffer behind = {0};
        text_printf(&behind, " %s", text);
        assert_int_equal(count(behind.text), words);
        text_release(&behind);
    }
}

static void special_tokens_and_size(void **state)
{
    (void)state;
    assert_int_equal(tokenizer_size(tokenizer), 576);
    assert_int_equal(tokenizer_id(tokenizer, "<mask>"), 574);
    assert_int_equal(tokenizer_id(tokenizer, "<pos>"), 575);
    assert_int_equal(count("<|im_start|>assistant\n"), 3);
    assert_int_equal(count("<|im_start|>user\n<mask><pos><|im_end|>\n"), 7);
    assert_int_equal(count("region1: circle is red\n"), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_colours),
        cmocka_unit_test(predicates),
        cmocka_unit_test(special_tokens_and_size),
    };
    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}
