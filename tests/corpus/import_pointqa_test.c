/* PointQA and Visual7W: questions with the places they point at, and rows that are none. */
#include "corpus/import.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "support/row_cases.h"

static enum status open_local(struct record_source *source, const struct import_options *options)
{
    struct import_options with = *options;
    with.variant = "local";
    return import_pointqa(source, &with);
}

static enum status open_twice(struct record_source *source, const struct import_options *options)
{
    struct import_options with = *options;
    with.variant = "twice";
    return import_pointqa(source, &with);
}

#define SIZE   "'img_w': 8, 'img_h': 6"
#define PLACES "'bbox': [1, 2, 4, 5], 'point': [2.5, 3]"
#define WORDS                                                                                      \
    "'question': 'What color is this?', 'obj_question': 'What color is the hat?', "                \
    "'general_question': 'How many of these are there?', 'answer': 'red'"
#define ROW(fields) "{'genome_id': 7, " SIZE ", " fields "}"

static void local_questions(void **state)
{
    static const struct row_case cases[] = {
        {ROW(PLACES ", " WORDS),
         "id          pointqa/0\nsource      pointqa:a.json\npicture     8 x 6 (width x height)"},
        {ROW(PLACES ", " WORDS),
         "regions\n       region1 (1, 2, 4, 5)\npoints\n       point1 (2.5, 3)\n"
         "texts\n"
         "  vqa\n    Q: What color is this? <region1>\n    A: red\n"
         "  vqa\n    Q: What color is this? <point1>\n    A: red\n"},
        {"{'genome_id': '7', " SIZE ", " PLACES ", " WORDS "}", "A: red"},
        {"{'genome_id': 1.5, " SIZE ", " PLACES ", " WORDS "}",
         "field 'genome_id' must be a string or an integer"},
        {"{'genome_id': '../7', " SIZE ", " PLACES ", " WORDS "}",
         "image: file name '../7.jpg' leads"},
        {"{'genome_id': 9, " SIZE ", " PLACES ", " WORDS "}", "image: there is no file '9.jpg'"},
        {"{'genome_id': 7, 'img_w': 9, 'img_h': 6, " PLACES ", " WORDS "}", "size: "},
        {"{'genome_id': 7, 'img_w': 0, 'img_h': 6, " PLACES ", " WORDS "}",
         "field 'img_w' is 0, must be 1"},
        {"{'genome_id': 7, 'img_w': 8, " PLACES ", " WORDS "}", "field 'img_h' is missing"},
        {ROW("'bbox': [1, 2, 4], 'point': [2.5, 3], " WORDS), "bbox must be four numbers"},
        {ROW("'bbox': [4, 2, 4, 5], 'point': [2.5, 3], " WORDS), "holds nothing of the picture"},
        {ROW("'bbox': [1, 2, 4, 5], 'point': [3], " WORDS), "point must be two numbers"},
        {ROW("'bbox': [1, 2, 4, 5], 'point': ['a', 1], " WORDS), "point must be two numbers"},
        {ROW("'bbox': [1, 2, 4, 5], 'point': [9, 1], " WORDS), "annotation: "},
        {ROW(PLACES ", 'question': 'What?'"), "field 'answer' is missing"},
        {ROW(PLACES ", 'question': '', 'answer': 'red'"), "field 'question' holds no word"},
        {ROW(PLACES ", 'question': 'region1?', 'answer': 'red'"), "speaks of region1"},
        {ROW(PLACES ", 'answer': 'red', 'general_question': 'a', 'obj_question': 'b'"),
         "field 'question' is missing"},
    };
    row_cases_check(open_local, *state, cases, N_CASES(cases));
}

static void twice_questions(void **state)
{
    static const struct row_case cases[] = {
        {ROW(PLACES ", " WORDS),
         "texts\n"
         "  vqa\n    Q: What color is the hat?\n    A: red\n"
         "  vqa\n    Q: How many of these are there? <region1>\n    A: red\n"
         "  vqa\n    Q: How many of these are there? <point1>\n    A: red\n"},
        {ROW(PLACES ", 'question': 'a', 'answer': 'red'"), "field 'general_question' is missing"},
    };
    row_cases_check(open_twice, *state, cases, N_CASES(cases));
}

#define BOXES "[0, 0, 2, 2], [2, 2, 4, 4], [3, 3, 9, 6]"
#define V7W(boxes)                                                                                 \
    "{'file_path': 'v7w/7.jpg', " SIZE ", 'question': 'Which one?', 'candidates': [" boxes "]}"

static void choices_of_boxes(void **state)
{
    static const struct row_case cases[] = {
        /* the picture is found by its name alone, too */
        {V7W(BOXES ", [1, 1, 2, 2]"), "id          v7w/0\n"},
        {V7W(BOXES ", [1, 1, 2, 2]"), "       region3 (3, 3, 8, 6)\n       region4 (1, 1, 2, 2)\n"
                                      "texts\n  choice\n    Q: Which one?\n"
                                      "       - <region1>\n       - <region2>\n"
                                      "       - <region3>\n       * <region4>\n    A: <region4>\n"},
        {V7W(BOXES), "3 candidates; there must be 4, the last the right one"},
        {V7W(BOXES ", 3"), "a candidate must be four numbers"},
        {V7W(BOXES ", [7, 7, 8, 8]"), "holds nothing of the picture"},
        {"{'file_path': 'v7w/7.jpg', " SIZE ", 'question': 'Which one?'}",
         "field 'candidates' is missing"},
        {"{'file_path': '/7.jpg', " SIZE ", 'question': 'Which?', 'candidates': [" BOXES
         ", [1, 1, 2, 2]]}",
         "image: file name '/7.jpg' leads out"},
    };
    row_cases_check(import_v7w, *state, cases, N_CASES(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(local_questions, import_check_set_up,
                                        import_check_tear_down),
        cmocka_unit_test_setup_teardown(twice_questions, import_check_set_up,
                                        import_check_tear_down),
        cmocka_unit_test_setup_teardown(choices_of_boxes, import_check_set_up,
                                        import_check_tear_down),
    };
    return cmocka_run_group_tests_name("import pointqa", tests, NULL, NULL);
}
