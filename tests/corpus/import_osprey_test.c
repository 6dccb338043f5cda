/* Osprey-724K: messages about regions, descriptions of regions, and entries that are neither. */
#include "corpus/import.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "support/row_cases.h"

#define SQUARE         "{'bbox': [1, 1, 4, 4], 'segmentation': [[1, 1, 5, 1, 5, 5, 1, 5]]}"
#define RLE            "{'size': [6, 8], 'counts': [0, 24, 24]}"
#define RUNS           "{'bbox': [-1, 0, 5, 6], 'segmentation': " RLE "}"
#define HEAD           "'file_name': 'COCO_train2014_7.jpg', 'height': 6, 'width': 8, "
#define REGIONS        "'annotation': [" SQUARE ", " RUNS "], "
#define ROW(fields)    "[{" HEAD fields "}]"
#define TALK(messages) ROW(REGIONS "'conversations': [" messages "]")
#define HUMAN(text)    "{'from': 'human', 'value': '" text "'}"
#define GPT(text)      "{'from': 'gpt', 'value': '" text "'}"

static void conversations(void **state)
{
    static const struct row_case cases[] = {
        {TALK(HUMAN("What is <region2>?") ", " GPT("A < b.")),
         "id          osprey/0\nsource      osprey:a.json\npicture     8 x 6 (width x height)"},
        {TALK(HUMAN("What is <region2>?") ", " GPT("A < b.") ", " HUMAN("x") ", " GPT("<region1>")),
         "regions\n       region1 (1, 1, 5, 5), mask of 16 pixels\n"
         "       region2 (0, 0, 4, 6), mask of 24 pixels\ntexts\n  conversation\n"
         "    Q: What is <region2>?\n    A: A < b.\n    Q: x\n    A: <region1>\n"},
        {TALK(HUMAN("a") ", " GPT("b") ", " HUMAN("left over")), "    A: b\ndropped turn: "},
        {TALK(GPT("hello") ", " HUMAN("a") ", " GPT("b")), "dropped turn: "},
        {TALK(GPT("hello") ", " HUMAN("a") ", " GPT("b")),
         "row 0: what gpt says before any question"},
    };
    row_cases_check(import_osprey, *state, cases, N_CASES(cases));
}

static void descriptions(void **state)
{
    static const struct row_case cases[] = {
        {ROW(REGIONS "'description': ['<region2>: The top of a <head>: seen.\\nMore.', "
                     "'<region1>:A man.']"),
         "texts\n  description about region2\n    Q: \n    A: The top of a <head>: seen."},
        {ROW(REGIONS "'description': ['<region2>: b', '<region1>:A man.']"),
         "  description about region1\n    Q: \n    A: A man.\n"},
        {ROW(REGIONS "'description': ['<region2>: b', '<region3>: c', 'd', 3, '<region1>: ']"),
         "    A: b\ndropped text: "},
        {ROW(REGIONS "'description': ['<region2>: b', '<region3>: c']"),
         "row 0: description[1] is of region3, but there are 2\n"},
        {ROW(REGIONS "'description': ['<region2>: b', 'd']"),
         "row 0: description[1] must be a string '<regionN>: text'\n"},
        {ROW(REGIONS "'description': ['<region2>: b', '<region1>:  ']"),
         "row 0: description[1] holds no word\n"},
        {ROW(REGIONS "'description': ['d']"), "annotation: "},
        {ROW(REGIONS "'description': ['<region1: d', '<region>: d', '<region99999999999>: d']"),
         "description holds no text of a region"},
        {ROW(REGIONS "'description': 'd'"), "field 'description' must be an array"},
    };
    row_cases_check(import_osprey, *state, cases, N_CASES(cases));
}

static void hostile(void **state)
{
    static const struct row_case cases[] = {
        {"[{}]", "field 'file_name' is missing"},
        {"[{'file_name': '7.jpg', 'height': 6.5, 'width': 8}]",
         "field 'height' must be an integer"},
        {ROW("'annotation': []"), "annotation holds no region"},
        {ROW("'annotation': {}"), "field 'annotation' must be an array"},
        {ROW("'annotation': [3]"), "row 0: annotation[0]: bbox must be four numbers"},
        {ROW("'annotation': [{'bbox': [9, 0, 1, 1]}]"), "holds nothing of the picture"},
        {ROW("'annotation': [{'bbox': [1, 0, 1, 1]}]"), "field 'segmentation' is missing"},
        {ROW("'annotation': [{'bbox': [1, 0, 1, 1], 'segmentation': [[1, 2, 3]]}]"),
         "annotation: "},
        {ROW("'annotation': [{'bbox': [1, 0, 1, 1], 'segmentation': []}]"), "annotation: "},
        {ROW(REGIONS "'x': 1"), "field 'conversations' is missing"},
        {TALK(""), "no question of the 0 messages has an answer"},
        {TALK(HUMAN("a")), "no question of the 1 messages has an answer"},
        {TALK(HUMAN("a") ", " HUMAN("b")), "message 1 is by the same speaker as the one before it"},
        {TALK(HUMAN("a") ", " GPT("b") ", " GPT("c")), "message 2 is by the same speaker"},
        {TALK("{'from': 'system', 'value': 'x'}"), "message 0 is by 'system'"},
        {TALK("{'from': 'human'}"), "field 'value' is missing"},
        {TALK("{'from': 'human', 'value': null}"), "field 'value' must be a string"},
        {TALK("3"), "annotation: "},
        {TALK(HUMAN("<region3>?") ", " GPT("b")),
         "a text speaks of region3; it has 2 regions to speak of"},
        {TALK(HUMAN("a") ", " GPT("<p>b</p>")), "'<p>' in a text is a mark"},
        {TALK(HUMAN("a") ", " GPT("<point1>")), "'<point' in a text is a mark"},
        {"[{'file_name': '9_7.jpg', 'height': 7, 'width': 8, " REGIONS "'conversations': []}]",
         "annotation: "},
        {"[{'file_name': '9_8.jpg', 'height': 6, 'width': 8, " REGIONS
         "'conversations': [" HUMAN("a") ", " GPT("b") "]}]",
         "image: "},
        {"[{'file_name': 'x_9.jpg', 'height': 6, 'width': 8, " REGIONS
         "'conversations': [" HUMAN("a") ", " GPT("b") "]}]",
         "image: there is no file 'x_9.jpg'"},
    };
    row_cases_check(import_osprey, *state, cases, N_CASES(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(conversations, import_check_set_up, import_check_tear_down),
        cmocka_unit_test_setup_teardown(descriptions, import_check_set_up, import_check_tear_down),
        cmocka_unit_test_setup_teardown(hostile, import_check_set_up, import_check_tear_down),
    };
    return cmocka_run_group_tests_name("import osprey", tests, NULL, NULL);
}
