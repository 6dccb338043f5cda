/* Flickr30k Entities: sentences and boxes of the release's layout, rows of the other form, and
 * files that are none of it. */
#include "corpus/import.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "support/row_cases.h"

#define SIZE "<size><width>8</width><height>6</height><depth>3</depth></size>"
#define BOX(x1, y1, x2, y2)                                                                        \
    "<bndbox><xmin>" x1 "</xmin><ymin>" y1 "</ymin><xmax>" x2 "</xmax><ymax>" y2 "</ymax></"       \
    "bndbox>"
#define OBJECTS                                                                                    \
    "<object><name>1</name>" BOX("2", "1", "4",                                                    \
                                 "5") "</object>"                                                  \
                                      "<object><name>2</name><name>3</name>" BOX(                  \
                                          "1", "1", "8",                                           \
                                          "6") "</object>"                                         \
                                               "<object><name>2</name>" BOX(                       \
                                                   "5", "5", "6",                                  \
                                                   "6") "</object>"                                \
                                                        "<object><name>4</name><scene>1</"         \
                                                        "scene><nobndbox>0</nobndbox></object>"
#define XML(inside)                                                                                \
    "<?xml version='1.0'?>\n<annotation>\n<filename>7.jpg</filename>" inside "</annotation>"
#define SENTENCE                                                                                   \
    "[/EN#1/people A man] in [/EN#2/clothing/other two hats] and [/EN#4/scene a park] runs to "    \
    "[/EN#1/people himself ] .\n"

static void write_release(const char *folder, const char *sentences, const char *xml)
{
    row_cases_write(folder, "train.txt", "7\n");
    row_cases_write(folder, "Sentences/7.txt", sentences);
    row_cases_write(folder, "Annotations/7.xml", xml);
}

static char *item_of_release(const char *folder, int64_t item)
{
    struct record_source source = {0};
    char *list = path_join(folder, "train.txt");
    const struct import_options options = {.annotations = list, .images = folder};
    char *words = NULL;
    if (import_flickr(&source, &options) == OK)
        words =
            item < source.n_items ? import_check_item(&source, item) : text_copy("no such item");
    else
        words = text_format("refused: %s", status_message());
    record_source_release(&source);
    free(list);
    return words;
}

static void expect(const char *folder, int64_t item, const char *words)
{
    char *found = item_of_release(folder, item);
    if (strstr(found, words) == NULL) fail_msg("wanted '%s', found '%s'", words, found);
    free(found);
}

static void release(void **state)
{
    write_release(*state, SENTENCE "\nNobody .\r\n[/EN#3/other This] , [/EN#9/other that]",
                  XML(SIZE OBJECTS));
    expect(*state, 0, "id          flickr/7/0\nsource      flickr:train.txt\npicture     8 x 6");
    /* pixels count from 1 in the file; a box is there once */
    expect(*state, 0,
           "regions\n       region1 (1, 0, 4, 5)\n       region2 (0, 0, 8, 6)\n"
           "       region3 (4, 4, 6, 6)\ntexts\n  grounded\n    Q: \n"
           "    A: <p>A man</p><region1> in <p>two hats</p><region2><region3> and a park "
           "runs to <p>himself</p><region1> .\n");
    expect(*state, 1, "picture     8 x 6");
    expect(*state, 1, "texts\n  grounded\n    Q: \n    A: Nobody .\n");
    expect(*state, 2, "    A: <p>This</p><region1> , that\n");
    expect(*state, 3, "no such item");
    /* Sentences and Annotations in a folder of their own */
    struct record_source source = {0};
    char *list = path_join(*state, "sub/val.txt");
    const struct import_options options = {.annotations = list, .images = *state, .with = *state};
    row_cases_write(*state, "sub/val.txt", "7");
    assert_int_equal(import_flickr(&source, &options), OK);
    assert_int_equal(source.n_items, 3);
    record_source_release(&source);
    free(list);
}

static void hostile_sentences(void **state)
{
    static const struct row_case cases[] = {
        {"[/EN#1/people A man", "a phrase must be '[/EN#ID/TYPE words]'"},
        {"[/EN#1 A man]", "a phrase must be '[/EN#ID/TYPE words]', found '[/EN#1 A man]'"},
        {"[/EN#/people A man]", "a phrase must be"},
        {"[/EN#1/people]", "a phrase must be"},
        {"[/EN#1/people  ]", "a phrase has no words"},
        {"<p>A man</p>", "Sentences/7.txt: sentence 0: '<p>' in a text is a mark"},
        {"region1", "a text speaks of region1; it has 0"},
        {"A \xff", "annotation: "},
        {"\n \n", "its pictures have no sentence"},
    };
    for (size_t i = 0; i < N_CASES(cases); i++) {
        write_release(*state, cases[i].json, XML(SIZE OBJECTS));
        expect(*state, 0, cases[i].words);
    }
    write_release(*state, "a", XML(SIZE));
    row_cases_write(*state, "train.txt", "../7\n");
    expect(*state, 0, "refused: ");
    row_cases_write(*state, "train.txt", "7\n6\n");
    expect(*state, 0, "Sentences/6.txt");
    row_cases_write(*state, "train.txt", "\n");
    expect(*state, 0, "lists no picture");
}

static void hostile_boxes(void **state)
{
    static const struct row_case cases[] = {
        {"", "Annotations/7.xml:1: not XML: no element found"},
        {"<annotation>", "Annotations/7.xml:1: not XML: "},
        {"<annotation></object>", "mismatched tag"},
        {"<!DOCTYPE a [<!ENTITY b 'c'>]><annotation>&b;</annotation>",
         "7.xml:1: a document type and its entities have no place"},
        {XML(""), "its size must be 1 .. 16384 pixels a side"},
        {XML("<size><width>8</width><height>1e9</height></size>"), "expected pixels, found 1e9"},
        {XML("<size><width>8</width><height>-6</height></size>"), "its size must be 1"},
        {XML("<size><width>nan</width></size>"), "expected pixels, found nan"},
        {XML("<size><width>8x</width></size>"), "7.xml:3: expected pixels, found 8x"},
        {XML("<size><width>9</width><height>6</height></size>"), "size: "},
        {XML(SIZE "<object>" BOX("1", "1", "2", "2") "</object>"), "an object has no name"},
        {XML(SIZE "<object><name>1</name><bndbox><xmin>1</xmin></bndbox></object>"),
         "a box needs xmin, ymin, xmax and ymax"},
        {XML(SIZE "<object><name>1</name>" BOX("1", "a", "2", "2") "</object>"),
         "expected pixels, found a"},
        {XML(SIZE "<object><name>1</name>" BOX("9", "1", "12", "2") "</object>"), "annotation: "},
        {XML(SIZE "<object><name>1</name>" BOX("5", "1", "2", "2") "</object>"),
         "holds nothing of the picture"},
        /* a box that sticks out is cut */
        {XML(SIZE "<object><name>1</name>" BOX("0", "1", "12", "2") "</object>"),
         "region1 (0, 0, 8, 2)"},
    };
    for (size_t i = 0; i < N_CASES(cases); i++) {
        write_release(*state, "[/EN#1/people A man] .", cases[i].json);
        expect(*state, 0, cases[i].words);
    }
    write_release(*state, "a", XML(SIZE));
    char *xml = path_join(*state, "Annotations/7.xml");
    assert_int_equal(directory_remove(xml), OK);
    expect(*state, 0, "annotation: cannot open");
    free(xml);
}

#define ROW(fields) "{'image_id': 7, 'img_w': 8, 'img_h': 6, " fields "}"

static void rows(void **state)
{
    static const struct row_case cases[] = {
        {ROW("'sentence': '<ph_st>A man<ph_ed> in <ph_st>two hats<ph_ed> runs.', "
             "'boxes': [[1, 0, 4, 5], [0, 0, 8, 6], [4.5, 4.5, 6, 6]], 'boxes_seq': [[0], [1, 2]]"),
         "id          flickr/0\nsource      flickr:a.json\npicture     8 x 6"},
        {ROW("'sentence': '<ph_st>A man<ph_ed> in <ph_st>two hats<ph_ed> runs.', "
             "'boxes': [[1, 0, 4, 5], [0, 0, 8, 6], [4.5, 4.5, 6, 6]], 'boxes_seq': [[0], [1, 2]]"),
         "       region3 (4.5, 4.5, 6, 6)\ntexts\n  grounded\n    Q: \n"
         "    A: <p>A man</p><region1> in <p>two hats</p><region2><region3> runs.\n"},
        {"[{'image_id': '7', 'img_w': 8, 'img_h': 6, 'sentence': 'Nothing.', 'boxes': [], "
         "'boxes_seq': []}]",
         "    A: Nothing.\n"},
        {ROW("'sentence': 'A', 'boxes': [], 'boxes_seq': [[0]]"),
         "0 phrases but 1 lists in boxes_seq"},
        {ROW("'sentence': '<ph_st>A', 'boxes': [], 'boxes_seq': [[0]]"), "phrase 0 has no end"},
        {ROW("'sentence': '<ph_st>A<ph_ed>', 'boxes': [], 'boxes_seq': []"),
         "phrase 0 has no list of boxes in boxes_seq"},
        {ROW("'sentence': '<ph_st>A<ph_ed>', 'boxes': [], 'boxes_seq': [[]]"),
         "phrase 0 has no list of boxes in boxes_seq"},
        {ROW("'sentence': '<ph_st>A<ph_ed>', 'boxes': [[0, 0, 1, 1]], 'boxes_seq': [[1]]"),
         "the box of a phrase is 1, must be 0 .. 0"},
        {ROW("'sentence': 'A', 'boxes': [[0, 0, 1]], 'boxes_seq': []"),
         "a box must be four numbers"},
        {ROW("'sentence': 'A', 'boxes': [[8, 0, 9, 1]], 'boxes_seq': []"), "holds nothing"},
        {ROW("'sentence': 'A', 'boxes': 3, 'boxes_seq': []"), "field 'boxes' must be an array"},
        {ROW("'sentence': '<p>', 'boxes': [], 'boxes_seq': []"), "is a mark"},
        {"{'image_id': [], 'img_w': 8}", "field 'image_id' must be a string or an integer"},
        {"{'image_id': 9, 'img_w': 8, 'img_h': 6, 'sentence': 'A', 'boxes': [], 'boxes_seq': []}",
         "image: there is no file '9.jpg'"},
    };
    row_cases_check(import_flickr, *state, cases, N_CASES(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(release, import_check_set_up, import_check_tear_down),
        cmocka_unit_test_setup_teardown(hostile_sentences, import_check_set_up,
                                        import_check_tear_down),
        cmocka_unit_test_setup_teardown(hostile_boxes, import_check_set_up, import_check_tear_down),
        cmocka_unit_test_setup_teardown(rows, import_check_set_up, import_check_tear_down),
    };
    return cmocka_run_group_tests_name("import flickr", tests, NULL, NULL);
}
