/* Conversations about one picture or none: names, several folders, pictures in the row, captions,
 * and rows that are none of it. */
#include "corpus/import.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/text_buffer.h"
#include "support/row_cases.h"

#define HUMAN(text) "{'from': 'human', 'value': '" text "'}"
#define GPT(text)   "{'from': 'gpt', 'value': '" text "'}"
#define TALK(text)  "'conversations': [" HUMAN(text) ", " GPT("<ok>") "]"

static void conversations(void **state)
{
    static const struct row_case cases[] = {
        {"[{'id': '00033', 'image': '7.jpg', " TALK("<image>\\nWhat?") "}]",
         "id          llava/0\nsource      llava:a.json\npicture     8 x 6 (width x height)"},
        /* to the last byte; the id is the origin */
        {"[{'id': '00033', 'image': '7.jpg', " TALK("<image>\\nWhat <b> region9?") "}]",
         "texts\n  llava  (00033)\n    Q: <image>"},
        {"[{'image': '7.jpg', " TALK("region9 <p>") "}]", "    Q: region9 <p>\n    A: <ok>\n"},
        /* another type of the same name */
        {"[{'image': '7.png', " TALK("a") "}]", " bytes of PNG\n"},
        {"{'image': 'sub/6.jpg', " TALK("a") "}", " bytes of PNG\n"},
        /* no picture */
        {"{" TALK("a") "}", "picture     none\ntexts\n  llava\n    Q: a\n    A: <ok>\n"},
        {"{'image': null, " TALK("a") "}", "picture     none\n"},
        {"{'image': '', " TALK("a") "}", "picture     none\n"},
        {"{'image': [], " TALK("a") "}", "picture     none\n"},
        /* user and assistant; one picture named twice */
        {"{'messages': [{'role': 'user', 'content': 'a'}, {'role': 'assistant', 'content': 'b'}], "
         "'images': ['7.jpg', '7.jpg']}",
         "picture     8 x 6 (width x height)"},
        {"{'conversations': [" HUMAN("a") ", " GPT("") ", " HUMAN("b") ", " GPT("c") "]}",
         "    Q: a\n    A: \n    Q: b\n    A: c\n"},
    };
    row_cases_write(*state, "sub/none", "");
    char *from = path_join(*state, "7.png");
    char *to = path_join(*state, "sub/6.png");
    assert_int_equal(link(from, to), 0);
    row_cases_check(import_llava, *state, cases, N_CASES(cases));
    free(from);
    free(to);
}

static void hostile(void **state)
{
    static const struct row_case cases[] = {
        {"[]", "holds no row"},
        {"PAR1", "refused: "},
        {"[{}]", "field 'conversations' is missing"},
        {"[{'conversations': 3}]", "field 'conversations' must be an array"},
        {"[{'conversations': []}]", "no question of the 0 messages has an answer"},
        {"[{'image': '9.jpg', " TALK("a") "}]", "image: there is no file '9.jpg'"},
        {"[{'image': '8.jpg', " TALK("a") "}]", "image: "},
        {"[{'image': '../7.jpg', " TALK("a") "}]", "image: file name '../7.jpg' leads out"},
        {"[{'image': 3, " TALK("a") "}]", "image must be a file name or {bytes, path}"},
        {"[{'image': {}, " TALK("a") "}]", "image must be a file name or {bytes, path}"},
        {"[{'image': ['7.jpg', '8.jpg'], " TALK("a") "}]", "pictures: "},
        {"[{'image': ['7.jpg', '8.jpg'], " TALK("a") "}]", "it shows 2 pictures; a record has one"},
        {"[{'image': {'bytes': 'AA'}, " TALK("a") "}]", "image: "},
        {"[{'image': {'bytes': 'AAAA'}, " TALK("a") "}]", "image: "},
        {"[{'image': 'data:image/png;base64,A', " TALK("a") "}]",
         "the number must be a multiple of 4"},
        {"[{'messages': [{'role': 'tool', 'content': 'a'}]}]", "message 0 is by 'tool'"},
        {"[{'conversations': [" HUMAN("a") ", " GPT("\\ud800") "]}]", "refused: "},
    };
    row_cases_check(import_llava, *state, cases, N_CASES(cases));
}

static enum status open_caption(struct record_source *source, const struct import_options *options)
{
    struct import_options with = *options;
    with.variant = "caption";
    return import_llava(source, &with);
}

static void captions(void **state)
{
    static const struct row_case cases[] = {
        {"[{'image': '7.jpg', " TALK("Say it.\\n<image>") "}]",
         "texts\n  caption\n    Q: Say it.\n    A: <ok>\n"},
        {"[{'image': '7.jpg', " TALK("<image> \\n Say <image> it.") "}]",
         "    Q: Say <image> it.\n"},
        {"[{'image': '7.jpg', " TALK("<image>") "}]", "    Q: \n    A: <ok>\n"},
        {"[{" TALK("a") "}]", "a caption without a picture"},
        {"[{'image': '7.jpg', 'conversations': [" HUMAN("a") ", " GPT("b") ", " HUMAN("c") ", " GPT(
             "d") "]}]",
         "2 questions; with --variant caption there is one"},
    };
    row_cases_check(open_caption, *state, cases, N_CASES(cases));
}

/* The picture 7.jpg in the row: as {bytes, path}, and as an address that holds it. */
static void pictures_in_rows(void **state)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    struct text_buffer encoded = {0};
    char *path = path_join(*state, "7.jpg");
    assert_int_equal(file_read(&bytes, &size, path, 1 << 20), OK);
    base64_append(&encoded, bytes, size);
    static const char *const before[] = {"{\"image\": {\"path\": \"gone.jpg\", \"bytes\": \"",
                                         "{\"image\": \"data:image/jpeg;base64,"};
    static const char *const after[] = {"\"}, ", "\", "};
    for (size_t i = 0; i < N_CASES(before); i++) {
        char *row = text_format("%s%s%s\"conversations\": [{\"from\": \"human\", \"value\": "
                                "\"a\"}, {\"from\": \"gpt\", \"value\": \"b\"}]}\n",
                                before[i], encoded.text, after[i]);
        import_check(import_onevision, *state, row,
                     "id          onevision/0\nsource      onevision:a.json\n"
                     "picture     8 x 6 (width x height)");
        free(row);
    }
    text_release(&encoded);
    free(bytes);
    free(path);
}

static void folders(void **state)
{
    struct record_source source = {0};
    char *here = text_format("%s/sub:%s", (const char *)*state, (const char *)*state);
    char *gone = text_format("%s:%s/gone", (const char *)*state, (const char *)*state);
    char *file = path_join(*state, "a.json");
    struct import_options options = {.annotations = file, .images = here};
    row_cases_write(*state, "sub/none", "");
    row_cases_write(*state, "a.json",
                    "{'image': '7.jpg', " TALK("a") "}\n{'image': '9.jpg', " TALK("a") "}\n");
    assert_int_equal(import_llava(&source, &options), OK);
    assert_int_equal(source.n_items, 2);
    char *found = import_check_item(&source, 0);
    assert_non_null(strstr(found, "picture     8 x 6"));
    free(found);
    found = import_check_item(&source, 1);
    assert_non_null(strstr(found, "image: there is no file '9.jpg' in "));
    assert_non_null(strstr(found, "/sub or in the other folders (1)"));
    free(found);
    record_source_release(&source);
    options.images = gone;
    assert_int_equal(import_llava(&source, &options), ERR_IO);
    assert_non_null(strstr(status_message(), "/gone' is not there"));
    options.images = NULL;
    assert_int_equal(import_llava(&source, &options), OK);
    found = import_check_item(&source, 0);
    assert_non_null(strstr(found, "names the picture '7.jpg'; say --images FOLDER"));
    free(found);
    record_source_release(&source);
    free(here);
    free(gone);
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(conversations, import_check_set_up, import_check_tear_down),
        cmocka_unit_test_setup_teardown(hostile, import_check_set_up, import_check_tear_down),
        cmocka_unit_test_setup_teardown(captions, import_check_set_up, import_check_tear_down),
        cmocka_unit_test_setup_teardown(pictures_in_rows, import_check_set_up,
                                        import_check_tear_down),
        cmocka_unit_test_setup_teardown(folders, import_check_set_up, import_check_tear_down),
    };
    return cmocka_run_group_tests_name("import llava", tests, NULL, NULL);
}
