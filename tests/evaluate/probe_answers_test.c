/* The words that a probe scores are found where they stand, and nothing else is taken for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text_buffer.h"
#include "corpus/scenes_vocabulary.h"
#include "evaluate/probe_answers.h"

static struct tokenizer *tokenizer;

static int open_tokenizer(void **state)
{
    (void)state;
    return tokenizer_open(&tokenizer, "datasets/tokenizer-scenes") == OK ? 0 : -1;
}

static int close_tokenizer(void **state)
{
    (void)state;
    tokenizer_close(tokenizer);
    return 0;
}

static enum status find(struct probe_answers *answers, struct token_list *ids, const char *text)
{
    assert_int_equal(tokenizer_encode(tokenizer, text, strlen(text), ids), OK);
    const struct sample_rows rows = {.n_rows = ids->n, .token_id = ids->ids, .image_row = -1};
    return probe_answers_find(answers, &rows, tokenizer);
}

static void assert_answer(const struct probe_answer *answer, const struct token_list *ids,
                          enum probe_class class, const char *text)
{
    struct text_buffer found = {0};
    tokenizer_decode(tokenizer, ids->ids + answer->first_row, answer->n_rows, false, &found);
    const char *word = found.text[0] == ' ' ? found.text + 1 : found.text;
    assert_string_equal(word, text);
    assert_int_equal(answer->class, class);
    text_release(&found);
}

static void short_answers_are_found(void **state)
{
    (void)state;
    struct probe_answers answers = {0};
    struct token_list ids = {0};
    assert_int_equal(find(&answers, &ids,
                          "<|im_start|>user\nWhat colour is red?<|im_end|>\n"
                          "<|im_start|>assistant\nblue<|im_end|>\n"
                          "<|im_start|>assistant\nfacing away from<|im_end|>\n"
                          "<|im_start|>assistant\nleft of<|im_end|>\n"),
                     OK);
    assert_int_equal(answers.n, 3);
    assert_answer(&answers.answers[0], &ids, PROBE_COLOUR, "blue");
    assert_answer(&answers.answers[1], &ids, PROBE_PIXELS, "facing away from");
    assert_answer(&answers.answers[2], &ids, PROBE_GEOMETRY, "left of");
    assert_int_equal(answers.answers[2].word, SCENES_LEFT_OF);
    probe_answers_release(&answers);
    token_list_release(&ids);
}

static void graphs_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        enum probe_class class;
        const char *text;
    } expected[] = {{PROBE_NAME, "circle"},    {PROBE_COLOUR, "red"},
                    {PROBE_NAME, "person"},    {PROBE_COLOUR, "purple"},
                    {PROBE_NAME, "table"},     {PROBE_GEOMETRY, "above"},
                    {PROBE_PIXELS, "holding"}, {PROBE_PIXELS, "looking at"}};
    struct probe_answers answers = {0};
    struct token_list ids = {0};
    assert_int_equal(find(&answers, &ids,
                          "<|im_start|>assistant\nObjects:\nregion1: circle is red\n"
                          "region2: person is purple, large\nregion3: table\n\nRelations:\n"
                          "region1: region2 above\nregion2: region1 holding, region3 looking at\n"
                          "<|im_end|>\n"),
                     OK);
    assert_int_equal(answers.n, 8);
    for (int i = 0; i < 8; i++)
        assert_answer(&answers.answers[i], &ids, expected[i].class, expected[i].text);
    for (int i = 1; i < 8; i++)
        assert_true(answers.answers[i].first_row >=
                    answers.answers[i - 1].first_row + answers.answers[i - 1].n_rows);
    probe_answers_release(&answers);
    token_list_release(&ids);
}

static void foreign_answers_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"<|im_start|>assistant\nmauve<|im_end|>\n",
                                        "<|im_start|>assistant\n<|im_end|>\n",
                                        "<|im_start|>assistant\nObjects:\nregion1: cat\n<|im_end|>",
                                        "<|im_start|>assistant\nObjects:\nregion1: circle is \n",
                                        "<|im_start|>assistant\nObjects:\nRelations:\n"
                                        "region1: region2above\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct probe_answers answers = {0};
        struct token_list ids = {0};
        assert_int_equal(find(&answers, &ids, texts[i]), ERR_FORMAT);
        assert_int_equal(answers.n, 0);
        token_list_release(&ids);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_answers_are_found),
        cmocka_unit_test(graphs_are_taken_apart),
        cmocka_unit_test(foreign_answers_are_refused),
    };
    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}
