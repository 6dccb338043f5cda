/* Visual Spatial Reasoning: statements from fields or from the caption, and lines that are none. */
#include "corpus/import.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "support/row_cases.h"

#define CAPTION "'caption': 'The cat is left of the dog.', 'label': 1, 'relation': 'left of'"
#define FIELDS  "'subj': 'cat', 'obj': 'dog'"

static void statements(void **state)
{
    static const struct row_case cases[] = {
        {"{'image': '7.jpg', " CAPTION ", " FIELDS "}",
         "id          vsr/0\nsource      vsr:a.json\npicture     8 x 6 (width x height)"},
        {"{'image': '7.jpg', " CAPTION ", " FIELDS "}",
         "texts\n  statement  (The cat is left of the dog.)\n"
         "    Q: <p>cat</p> left of <p>dog</p>\n    A: yes\n"},
        {"{'image': '7.jpg', " CAPTION "}", "Q: <p>cat</p> left of <p>dog</p>\n"},
        {"{'image': '7.jpg', 'caption': 'The parking meter contains the fire hydrant.', 'label': 0,"
         " 'relation': 'contains'}",
         "Q: <p>parking meter</p> contains <p>fire hydrant</p>\n    A: no\n"},
        /* fields win over the caption */
        {"{'image': '7.jpg', 'caption': 'This is it.', 'label': 0, 'relation': 'on', " FIELDS "}",
         "Q: <p>cat</p> on <p>dog</p>\n"},
        /* a list of the same, and the address of the picture in place of its name */
        {"[{'image': '7.jpg', " CAPTION "}]", "A: yes"},
        {"{'image': 'x.jpg', 'image_link': 'http://a.org/sub/7.jpg', " CAPTION "}", "A: yes"},
    };
    row_cases_write(*state, "sub/none", "");
    char *from = path_join(*state, "7.jpg");
    char *to = path_join(*state, "sub/7.jpg");
    assert_int_equal(link(from, to), 0);
    row_cases_check(import_vsr, *state, cases, N_CASES(cases));
    free(from);
    free(to);
}

static void hostile(void **state)
{
    static const struct row_case cases[] = {
        {"", "refused: "},
        {"[]", "holds no row"},
        {"[3]", "refused: "},
        {"{", "refused: "},
        {"{} x", "refused: "},
        {"{}", "annotation: "},
        {"{'image': '7.jpg'}", "field 'caption' is missing"},
        {"{'image': 7}", "field 'image' must be a string"},
        {"{'image': '../7.jpg', " CAPTION "}", "image: file name '../7.jpg' leads out"},
        {"{'image': '9.jpg', " CAPTION "}", "image: there is no file '9.jpg' in "},
        {"{'image': '8.jpg', " CAPTION "}", "image: "},
        {"{'image': '9.jpg', 'image_link': 'http://../7.jpg', " CAPTION "}", "leads out"},
        {"{'image': '7.jpg', 'caption': 'A', 'label': 2, 'relation': 'on'}",
         "field 'label' is 2, must be 0 .. 1"},
        {"{'image': '7.jpg', 'caption': 'A', 'label': true, 'relation': 'on'}",
         "field 'label' must be an integer"},
        {"{'image': '7.jpg', 'caption': ' ', 'label': 1, 'relation': 'on'}",
         "field 'caption' holds no word"},
        {"{'image': '7.jpg', 'caption': 'A cat on a dog.', 'label': 1, 'relation': 'on'}",
         "annotation: "},
        {"{'image': '7.jpg', 'caption': 'The cat on the ', 'label': 1, 'relation': 'on'}",
         "the caption 'The cat on the ' is not 'The ... on the ...'"},
        {"{'image': '7.jpg', " CAPTION ", 'subj': 'cat'}", "field 'obj' is missing"},
        {"{'image': '7.jpg', " CAPTION ", 'subj': '<p>', 'obj': 'x'}",
         "'<p>' in a text is a mark of the corpus's own"},
        {"{'image': '7.jpg', " CAPTION ", 'subj': 'x', 'obj': 'region12'}",
         "a text speaks of region12; it has 0 regions to speak of"},
    };
    row_cases_check(import_vsr, *state, cases, N_CASES(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(statements, import_check_set_up, import_check_tear_down),
        cmocka_unit_test_setup_teardown(hostile, import_check_set_up, import_check_tear_down),
    };
    return cmocka_run_group_tests_name("import vsr", tests, NULL, NULL);
}
