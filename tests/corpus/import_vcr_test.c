/* Visual Commonsense Reasoning: words put together, answers among choices, regions of the file
 * beside the picture; lines and such files that are none. */
#include "corpus/import.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "support/row_cases.h"

#define FILES   "'img_fn': '7.jpg', 'metadata_fn': 'm.json', "
#define OBJECTS "'objects': ['person', 'dog'], "
#define ASK     "'question': ['Why', 'is', [0], 'looking', 'at', [1, 0], '?'], "
#define ANSWERS                                                                                    \
    "'answer_choices': [[[0], 'is', 'angry', '.'], ['Because', ',', [1], 'barked', '!'], ['No', "  \
    "'...'], ['x']], 'answer_label': 1, "
#define REASONS                                                                                    \
    "'rationale_choices': [['a'], ['b', 'c'], ['d'], [[1], 's', 'mouth', '.']], "                  \
    "'rationale_label': 3"
#define ROW(fields) "{" FILES fields "}"
#define GOOD        ROW(OBJECTS ASK ANSWERS REASONS)

#define METADATA                                                                                   \
    "{'boxes': [[0.2, 1.1, 5.0, 5.8, 0.99], [4, 0, 9, 3, 0.9]], 'segms': [[[[1, 1], [5, 1], [5, "  \
    "5], [1, 5]]], [[[4, 0], [6, 0], [6, 3]], [[6, 0], [8, 0], [8, 3]]]]}"

static void questions(void **state)
{
    static const struct row_case cases[] = {
        {GOOD, "id          vcr/0\nsource      vcr:a.json\npicture     8 x 6"},
        {"{'annot_id': 'train-17', " FILES OBJECTS ASK ANSWERS REASONS "}",
         "id          vcr/train-17\n"},
        /* 16 of the 20 sample points of the box's pixels lie in the square */
        {GOOD, "    0  person  region1 (0.2, 1.1, 5, 5.8), mask of 16 pixels\n"
               "    1  dog  region2 (4, 0, 8, 3), mask of "},
        {GOOD, "texts\n  vcr\n"
               "    Q: Why is person at region1 looking at dog at region2 person at region1?\n"
               "       - person at region1 is angry.\n"
               "       * Because, dog at region2 barked!\n"
               "       - No...\n       - x\n    A: Because, dog at region2 barked!\n"
               "    Q: \n       - a\n       - b c\n       - d\n"
               "       * dog at region2 s mouth.\n    A: dog at region2 s mouth.\n"},
    };
    row_cases_write(*state, "m.json", METADATA);
    row_cases_check(import_vcr, *state, cases, N_CASES(cases));
}

static void hostile_lines(void **state)
{
    static const struct row_case cases[] = {
        {"{}", "annotation: "},
        {ROW("'objects': 3, "), "refused: "},
        {ROW("'objects': 3"), "field 'objects' must be an array"},
        {ROW("'objects': [3]"), "objects[0] must be a string"},
        {ROW("'objects': ['']"), "annotation: "},
        {ROW("'objects': []"), "field 'answer_choices' is missing"},
        {ROW(OBJECTS ANSWERS REASONS), "the question must be a list of words"},
        {ROW(OBJECTS "'question': [], " ANSWERS REASONS), "the question must be a list of words"},
        {ROW(OBJECTS "'question': 'Why?', " ANSWERS REASONS), "the question must be a list"},
        {ROW(OBJECTS "'question': ['a', 3], " ANSWERS REASONS),
         "word 1 of the question is neither a string nor a list of numbers"},
        {ROW(OBJECTS "'question': [[2]], " ANSWERS REASONS), "the question is 2, must be 0 .. 1"},
        {ROW(OBJECTS "'question': [[-1]], " ANSWERS REASONS), "the question is -1"},
        {ROW(OBJECTS "'question': [['a']], " ANSWERS REASONS), "the question must be an integer"},
        {ROW(OBJECTS "'question': ['region1', '?'], " ANSWERS REASONS), "speaks of region1"},
        {ROW(OBJECTS ASK "'answer_choices': [], 'answer_label': 0, " REASONS),
         "field 'answer_label' is 0"},
        {ROW(OBJECTS ASK "'answer_choices': [['a']], 'answer_label': 1, " REASONS),
         "field 'answer_label' is 1, must be 0 .. 0"},
        {ROW(OBJECTS ASK "'answer_choices': [['a'], 'b'], 'answer_label': 0, " REASONS),
         "the answer_choices must be a list of words"},
        {ROW(OBJECTS ASK ANSWERS "'rationale_label': 0"), "field 'rationale_choices' is missing"},
        {"{'metadata_fn': 'm.json', " OBJECTS ASK ANSWERS REASONS "}", "field 'img_fn' is missing"},
        {"{'img_fn': '9.jpg', 'metadata_fn': 'm.json', " OBJECTS ASK ANSWERS REASONS "}",
         "image: there is no file '9.jpg'"},
        {"{'img_fn': '7.jpg', " OBJECTS ASK ANSWERS REASONS "}", "regions: "},
        {"{'img_fn': '7.jpg', 'metadata_fn': 'x.json', " OBJECTS ASK ANSWERS REASONS "}",
         "regions: there is no file 'x.json'"},
        {"{'img_fn': '7.jpg', 'metadata_fn': '../m.json', " OBJECTS ASK ANSWERS REASONS "}",
         "regions: file name '../m.json' leads out"},
    };
    row_cases_write(*state, "m.json", METADATA);
    row_cases_check(import_vcr, *state, cases, N_CASES(cases));
}

static void hostile_regions(void **state)
{
    static const struct row_case cases[] = {
        {"[]", "regions: "},
        {"{", "regions: "},
        {"{'segms': []}", "field 'boxes' is missing"},
        {"{'boxes': [[0, 0, 4, 4, 1]], 'segms': [[]]}",
         "1 boxes and 1 segms for 2 objects of the question"},
        {"{'boxes': [[0, 0, 4, 4, 1], [0, 0, 4, 4, 1]], 'segms': [[]]}", "2 boxes and 1 segms"},
        {"{'boxes': [[0, 0, 4], [0, 0, 4, 4, 1]], 'segms': [[], []]}",
         "boxes[0] must be [x1, y1, x2, y2, score]"},
        {"{'boxes': [[0, 0, 4, null, 1], [0, 0, 4, 4, 1]], 'segms': [[], []]}",
         "boxes[0] must be [x1, y1, x2, y2, score]"},
        {"{'boxes': [[0, 0, 4, 4, 1], [4, 0, 4, 4, 1]], 'segms': [[], []]}",
         "boxes[1]: box (4, 0, 4, 4) holds nothing of the picture"},
        {"{'boxes': [[0, 0, 4, 4, 1], [0, 0, 4, 1e300, 1]], 'segms': [[], []]}",
         "boxes[1]: a box (0, 0, 4, 1e+300) is far outside any picture"},
        {"{'boxes': [[0, 0, 4, 4], [0, 0, 4, 4]], 'segms': [[], 3]}",
         "boxes[1] has no list of polygons in segms"},
        {"{'boxes': [[0, 0, 4, 4], [0, 0, 4, 4]], 'segms': [[[[1, 1], [2, 2], [3]]], []]}",
         "boxes[0]: point 2 of polygon 0 must be two numbers"},
        {"{'boxes': [[0, 0, 4, 4], [0, 0, 4, 4]], 'segms': [[[[1, 1], [2, 2]]], []]}",
         "boxes[0]: polygon 0 has 2 points; it must have 3 or more"},
        {"{'boxes': [[0, 0, 4, 4], [0, 0, 4, 4]], 'segms': [[], []]}", "dropped mask: "},
        {"{'boxes': [[0, 0, 4, 4], [0, 0, 4, 4]], 'segms': [[], []]}",
         "    0  person  region1 (0, 0, 4, 4)\n    1  dog  region2 (0, 0, 4, 4)\n"},
    };
    for (size_t i = 0; i < N_CASES(cases); i++) {
        const struct row_case one = {GOOD, cases[i].words};
        row_cases_write(*state, "m.json", cases[i].json);
        row_cases_check(import_vcr, *state, &one, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(questions, import_check_set_up, import_check_tear_down),
        cmocka_unit_test_setup_teardown(hostile_lines, import_check_set_up, import_check_tear_down),
        cmocka_unit_test_setup_teardown(hostile_regions, import_check_set_up,
                                        import_check_tear_down),
    };
    return cmocka_run_group_tests_name("import vcr", tests, NULL, NULL);
}
