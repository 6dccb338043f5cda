/* Importers of COCO's family: what small files of each kind become, and what happens to hostile
 * ones: a part is dropped under a reason, a record skipped, a file refused, with a sentence. */
#include "corpus/import.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "support/import_check.h"

struct check_case {
    const char *json, *words;
};
#define N(cases) (sizeof(cases) / sizeof(cases)[0])

static void check_all(import_open open, const char *folder, const struct check_case *cases,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) import_check(open, folder, cases[i].json, cases[i].words);
}

#define IMAGE_FIELDS "\"id\": 7, \"width\": 8, \"height\": 6"
#define IMAGE        "{" IMAGE_FIELDS ", \"file_name\": \"7.jpg\"}"
#define CATEGORIES   "{\"id\": 1, \"name\": \"person\"}, {\"id\": 90, \"name\": \"tooth_brush\"}"
#define FILE_OF(images, annotations)                                                               \
    "{\"images\": [" images "], \"annotations\": [" annotations "], \"categories\": [" CATEGORIES  \
    "]}"
#define COCO(annotations) FILE_OF(IMAGE, annotations)
#define ABOUT(id)         "\"id\": " id ", \"image_id\": 7, \"category_id\": 1"
#define BOX               "\"bbox\": [1, 2, 3, 2.5]"
#define SQUARE            "\"segmentation\": [[1, 1, 4, 1, 4, 4, 1, 4]]"
#define WHOLE             "{" ABOUT("5") ", " BOX ", " SQUARE "}"

static void coco_instances(void **state)
{
    static const struct check_case cases[] = {
        {COCO(WHOLE), "id          coco/7\nsource      coco:a.json\npicture     8 x 6"},
        {COCO(WHOLE), "    0  person  region1 (1, 2, 4, 4.5), mask of 9 pixels\n"},
        /* annotations before and after each other, of several pictures, in the order of the file */
        {FILE_OF("{\"id\": 3}, " IMAGE,
                 "{" ABOUT("6") ", " BOX "}, {\"id\": 1, \"image_id\": 3}, " WHOLE),
         "annotation: "},
        {FILE_OF(IMAGE ", {\"id\": 3}",
                 "{" ABOUT("6") ", " BOX "}, {\"id\": 1, \"image_id\": 3}, " WHOLE),
         "    0  person  region1 (1, 2, 4, 4.5)\n    1  person  region2"},
        /* a crowd is an object like others; no segmentation: the box alone */
        {COCO("{" ABOUT("5") ", " BOX ", \"iscrowd\": 1, \"segmentation\": {\"size\": [6, 8], "
                             "\"counts\": [0, 6, 42]}}"),
         "    0  person  region1 (1, 2, 4, 4.5), mask of 6 pixels\n"},
        {COCO("{" ABOUT("5") ", " BOX "}"), "    0  person  region1 (1, 2, 4, 4.5)\n"},
        /* a picture without annotations stays */
        {COCO(""), "id          coco/7"},
        /* the picture under COCO's other names */
        {FILE_OF("{" IMAGE_FIELDS ", \"file_name\": \"COCO_val2014_7.jpg\"}", WHOLE), "coco/7"},
        {FILE_OF("{" IMAGE_FIELDS ", \"coco_url\": \"http://x/val2017/7.jpg\"}", WHOLE), "coco/7"},
        /* ids that are strings, as those of ADE20K */
        {FILE_OF("{\"id\": \"a/b\", \"width\": 8, \"height\": 6, \"file_name\": \"7.jpg\"}",
                 "{\"id\": \"x\", \"image_id\": \"a/b\", \"category_id\": 1, " BOX "}"),
         "id          coco/a/b\nsource      coco:a.json\npicture     8 x 6 (width x height)"},
        {FILE_OF("{\"id\": \"a\", \"width\": 8, \"height\": 6, \"file_name\": \"7.jpg\"}",
                 "{\"id\": \"x\", \"image_id\": \"a\", \"category_id\": 1, " BOX "}"),
         "    0  person  region1 (1, 2, 4, 4.5)\n"},
        /* Visual Genome in this form: a caption each; trailing space kept */
        {COCO("{" ABOUT("5") ", " BOX ", \"caption\": \"a man \"}"), "a man "},
    };
    check_all(import_coco, *state, cases, N(cases));
    import_check(import_lvis, *state, COCO(WHOLE), "id          lvis/7\nsource      lvis:a.json");
    import_check(import_partimagenet, *state, COCO(WHOLE), "id          partimagenet/7");
}

static void hostile_coco_files(void **state)
{
    static const struct check_case cases[] = {
        {"", "refused: "},
        {"[]", "has no array 'images'; is it a file of COCO's form?"},
        {"{}", "has no array 'images'"},
        {"{\"images\": {}, \"annotations\": []}", "has no array 'images'"},
        {"{\"images\": []}", "has no array 'annotations'"},
        {"{\"images\": [], \"annotations\": []}", "has no array 'categories'"},
        {FILE_OF("", ""), "'images' is empty"},
        {FILE_OF(IMAGE ", " IMAGE, ""),
         "images[0] and images[1] have the same id; ids must be unique"},
        {FILE_OF("{\"width\": 8}", ""), "images[0]: field 'id' must be an integer"},
        {FILE_OF("{\"id\": [7]}", ""), "images[0]: field 'id' must be an integer or a string"},
        {FILE_OF("{\"id\": 99999999999999999999}", ""), "field 'id' must be an integer"},
        {FILE_OF("7", ""), "images[0]: field 'id' must be an integer"},
        {COCO(WHOLE ", {" ABOUT("6") "}, " WHOLE),
         "annotations[0] and annotations[2] have the same id; ids must be unique"},
        {"{\"images\": [" IMAGE "], \"annotations\": [], \"categories\": [{\"id\": 1}]}",
         "categories[0]: field 'name' is missing"},
        {"{\"images\": [" IMAGE "], \"annotations\": [], \"categories\": [{\"id\": 1, \"name\": "
         "\"\"}]}",
         "categories[0]: the name is empty"},
        {"{\"images\": [" IMAGE "], \"annotations\": [], \"categories\": [{\"id\": 1, \"name\": "
         "\"a\"}, {\"id\": 1, \"name\": \"b\"}]}",
         "categories[0] and categories[1] have the same id"},
        {COCO("{" ABOUT("5") ", \"a\": }"), "not JSON"},
        {FILE_OF("{\"id\": 7}", ""), "annotation: "},
        {FILE_OF("{\"id\": 7, \"width\": 8, \"height\": 0}", ""), "field 'height' is 0"},
        {FILE_OF("{" IMAGE_FIELDS "}", ""), "field 'file_name' is missing"},
        {FILE_OF("{" IMAGE_FIELDS ", \"file_name\": 3}", ""), "'file_name' must be a string"},
        {FILE_OF("{" IMAGE_FIELDS ", \"file_name\": \"../7.jpg\"}", ""), "leads out of"},
        {FILE_OF("{" IMAGE_FIELDS ", \"coco_url\": \"\"}", ""), "image: file name ''"},
        {FILE_OF("{" IMAGE_FIELDS ", \"file_name\": \"x_9.jpg\"}", ""), "image: cannot open"},
        {FILE_OF("{\"id\": 7, \"width\": 9, \"height\": 6, \"file_name\": \"7.jpg\"}", ""),
         "size: "},
    };
    check_all(import_coco, *state, cases, N(cases));
}

static void hostile_coco_annotations(void **state)
{
    static const struct check_case cases[] = {
        {COCO("7"), "id          coco/7"}, /* item 1 says that it has no picture */
        {COCO("{\"image_id\": 7, \"category_id\": 1}"), "dropped object: "},
        {COCO("{\"image_id\": 7, \"category_id\": 1}"), "annotations[0]: field 'id' is missing"},
        {COCO("{\"id\": 5, \"image_id\": 7}"), "field 'category_id' is missing"},
        {COCO("{\"id\": 5, \"image_id\": 7, \"category_id\": 2}"),
         "category_id is 2, which 'categories' does not define"},
        {COCO("{\"id\": 5, \"image_id\": 7, \"category_id\": \"1\"}"), "must be an integer"},
        {COCO("{" ABOUT("5") "}"), "dropped box: "},
        {COCO("{" ABOUT("5") "}"), "field 'bbox' is missing"},
        {COCO("{" ABOUT("5") ", \"bbox\": [1, 2, 3]}"), "bbox must be four numbers"},
        {COCO("{" ABOUT("5") ", \"bbox\": [1, 2, 0, 3]}"), "holds nothing of the picture"},
        {COCO("{" ABOUT("5") ", \"bbox\": [1, 2, -3, 3]}"), "holds nothing of the picture"},
        {COCO("{" ABOUT("5") ", \"bbox\": [1, 2, 1e300, 3]}"), "region1 (1, 2, 8, 5)"},
        {COCO("{" ABOUT("5") ", " BOX ", \"segmentation\": []}"), "segmentation has no polygon"},
        {COCO("{" ABOUT("5") ", " BOX ", \"segmentation\": []}"), "dropped mask: "},
        {COCO("{" ABOUT("5") ", " BOX ", \"segmentation\": null}"), "segmentation is neither"},
        {COCO("{" ABOUT("5") ", " BOX ", \"segmentation\": [[1, 1, 4, 4]]}"),
         "a polygon of segmentation has 4 numbers; it must have 6 or more"},
        {COCO("{" ABOUT("5") ", " BOX ", \"segmentation\": [[1, 1, 4, 4, 1, null]]}"),
         "element 5 of a polygon is not a number"},
        {COCO("{" ABOUT("5") ", " BOX ", \"segmentation\": [[1, 1, 1, 1, 1, 1]]}"),
         "dropped mask: "},
        {COCO("{" ABOUT("5") ", " BOX ", \"segmentation\": {\"size\": [8, 6], \"counts\": "
                             "[1, 2, 45]}}"),
         "segmentation's size[0] is 8 and the picture's is 6"},
        {COCO("{" ABOUT("5") ", " BOX ", \"segmentation\": {\"size\": [6, 8], \"counts\": "
                             "[1, 2]}}"),
         "dropped mask: "},
        {COCO("{" ABOUT("5") ", " BOX ", \"segmentation\": {\"size\": [6, 8], \"counts\": "
                             "\"\\u0001\"}}"),
         "dropped mask: "},
        {COCO("{" ABOUT("5") ", " BOX ", \"ignore\": true}"), "dropped ignore: "},
        {COCO("{" ABOUT("5") ", " BOX ", \"ignore\": 0}"), "    0  person"},
        {COCO("{" ABOUT("5") ", " BOX ", \"caption\": 3}"), "dropped text: "},
        {COCO("{" ABOUT("5") ", " BOX ", \"caption\": \"\"}"), "the caption is empty"},
        /* what is whole stays */
        {COCO("{\"id\": 4, \"image_id\": 7}, " WHOLE), "    0  person  region1 (1, 2, 4, 4.5)"},
    };
    check_all(import_coco, *state, cases, N(cases));
}

/* The sentence of item 1. */
static void check_second(import_open open, const char *folder, const char *json, const char *words)
{
    struct record_source source = {0};
    assert_int_equal(import_check_open(&source, open, folder, json, NULL), OK);
    assert_int_equal(source.n_items, 2);
    char *found = import_check_item(&source, 1);
    if (strstr(found, words) == NULL) fail_msg("%s\nwanted '%s', found '%s'", json, words, found);
    free(found);
    record_source_release(&source);
}

static void annotations_without_picture_are_counted(void **state)
{
    check_second(import_coco, *state, COCO("{\"id\": 5, \"image_id\": 9}"), "annotation: ");
    check_second(import_coco, *state, COCO("{\"id\": 5, \"image_id\": 9}"),
                 "annotations[0]: image_id is 9, which 'images' does not hold");
    check_second(import_coco, *state, COCO("{\"id\": 5}"), "field 'image_id' is missing");
    check_second(import_coco, *state, COCO("{\"id\": 5, \"image_id\": \"7\"}"),
                 "image_id is 7, which 'images' does not hold");
    check_second(import_coco, *state, COCO("{\"id\": 5, \"image_id\": null}"),
                 "field 'image_id' must be an integer");
    check_second(import_coco, *state, COCO("{}"), "field 'image_id' is missing");
}

#define PACO(annotations)                                                                          \
    "{\"images\": [" IMAGE "], \"annotations\": [" annotations "], \"categories\": [" CATEGORIES   \
    "], \"attributes\": [{\"id\": 0, \"name\": \"red\"}, {\"id\": 3, \"name\": \"metal\"}]}"
#define PACO_WHOLE "{" ABOUT("5") ", " BOX ", \"obj_ann_id\": 5, \"attribute_ids\": [3, 0]}"

static void paco(void **state)
{
    static const struct check_case cases[] = {
        {PACO(PACO_WHOLE), "id          paco/7"},
        {PACO(PACO_WHOLE), "    0  person (metal, red)  region1"},
        {PACO("{" ABOUT("6") ", " BOX ", \"obj_ann_id\": 5}, " PACO_WHOLE),
         "relations\n    0 person - part of - 1 person\n"},
        {PACO("{" ABOUT("6") ", " BOX ", \"obj_ann_id\": 9}"), "dropped relation: "},
        {PACO("{" ABOUT("6") ", " BOX ", \"obj_ann_id\": 9}"),
         "obj_ann_id is 9, which is no annotation of the same picture"},
        {PACO("{" ABOUT("6") ", " BOX ", \"obj_ann_id\": 5}, {" ABOUT("5") "}"),
         "it is part of annotation 5, which was dropped"},
        {PACO("{" ABOUT("6") ", " BOX ", \"attribute_ids\": [1]}"),
         "attribute_ids[0] is none that 'attributes' defines"},
        {PACO("{" ABOUT("6") ", " BOX ", \"attribute_ids\": 3}"), "must be an array"},
        {COCO(WHOLE), "it has no array 'attributes'"},
    };
    check_all(import_paco, *state, cases, N(cases));
}

#define PANOPTIC(segments)                                                                         \
    COCO("{\"image_id\": 7, \"file_name\": \"7.png\", \"segments_info\": [" segments "]}")
#define LEFT  "{\"id\": 1, \"category_id\": 1, \"bbox\": [0, 0, 4, 5], \"iscrowd\": 1}"
#define RIGHT "{\"id\": 258, \"category_id\": 90, \"bbox\": [4, 0, 4, 5]}"

static void panoptic(void **state)
{
    static const struct check_case cases[] = {
        {PANOPTIC(LEFT ", " RIGHT), "id          coco-panoptic/7"},
        {PANOPTIC(LEFT ", " RIGHT),
         "    0  person  region1 (0, 0, 4, 5), mask of 20 pixels\n"
         "    1  tooth_brush  region2 (4, 0, 8, 5), mask of 20 pixels\n"},
        {PANOPTIC(RIGHT), "masks: "},
        {PANOPTIC(RIGHT), "the PNG has a segment 1 that segments_info does not list"},
        {PANOPTIC(LEFT ", " RIGHT ", " RIGHT), "segments_info[1] and [2] have the same id"},
        {PANOPTIC(LEFT ", " RIGHT ", {\"id\": 9, \"category_id\": 1, \"bbox\": [0, 0, 1, 1]}"),
         "dropped mask: "},
        {PANOPTIC(LEFT ", " RIGHT ", {\"id\": 9, \"category_id\": 1, \"bbox\": [0, 0, 1, 1]}"),
         "segments_info[2]: segment 9 has no pixel in the PNG"},
        {PANOPTIC(LEFT ", {\"id\": 258, \"category_id\": 4, \"bbox\": [4, 0, 4, 5]}"),
         "category_id is 4, which 'categories' does not define"},
        {PANOPTIC(LEFT ", " RIGHT ", {\"id\": 0}"), "field 'id' is 0"},
        {COCO(""), "images[0] has 0 annotations; a panoptic file has one for each picture"},
        {COCO("{\"image_id\": 7}, {\"image_id\": 7}"), "images[0] has 2 annotations"},
        {COCO("{\"image_id\": 7}"), "field 'segments_info' is missing"},
        {COCO("{\"image_id\": 7, \"segments_info\": []}"), "field 'file_name' is missing"},
        {COCO("{\"image_id\": 7, \"segments_info\": [], \"file_name\": \"9.png\"}"),
         "masks: cannot open"},
        {COCO("{\"image_id\": 7, \"segments_info\": [], \"file_name\": \"/7.png\"}"), "leads out"},
    };
    check_all(import_coco_panoptic, *state, cases, N(cases));
    import_check(import_ade20k_panoptic, *state, PANOPTIC(LEFT ", " RIGHT),
                 "id          ade20k-panoptic/7");
}

/* The first item of a list of refs over one picture with annotations 5 and 6, in words. */
static char *refs_item(const char *folder, const char *refs, const char *split)
{
    static const char instances[] = COCO(WHOLE ", {" ABOUT("6") ", " BOX "}, {" ABOUT("9") "}");
    struct record_source source = {0};
    char *with = path_join(folder, "instances.json");
    char *path = path_join(folder, "a.json");
    char *words = NULL;
    const struct import_options options = {
        .annotations = path, .images = folder, .with = with, .split = split};
    assert_int_equal(file_write_atomic(with, instances, strlen(instances)), OK);
    assert_int_equal(file_write_atomic(path, refs, strlen(refs)), OK);
    if (import_refcoco(&source, &options) == OK)
        words = import_check_item(&source, 0);
    else
        words = text_format("refused: %s", status_message());
    record_source_release(&source);
    free(with);
    free(path);
    return words;
}

#define REF(fields, ann, split)                                                                    \
    "{" fields ", \"ref_id\": 3, \"ann_id\": " ann ", \"split\": \"" split                         \
    "\", \"sentences\": [{\"sent\": \"left one\", \"raw\": \"Left one!\"}, {\"sent\": \"he\"}]}"
#define OF_7 "\"image_id\": 7"

static void refcoco_lists(void **state)
{
    static const struct {
        const char *refs, *split, *words;
    } cases[] = {
        {"[" REF(OF_7, "5", "train") "]", "all", "id          refcoco/7"},
        {"[" REF(OF_7, "6", "train") "]", "train", "left one"},
        {"[" REF(OF_7, "6", "train") "]", "train", "    1  person  region2"},
        {"[" REF(OF_7, "5", "train") "]", "val", "no ref of split 'val' among its 1"},
        {"[" REF(OF_7, "5", "train") "]", "testA", "no ref of split 'testA'"},
        {"[" REF(OF_7, "8", "val") "]", "val", "dropped text: "},
        {"[" REF(OF_7, "8", "val") "]", "val", "ann_id is 8, which is no annotation"},
        {"[" REF(OF_7, "9", "val") "]", "val", "its annotation 9 was dropped"},
        {"[" REF("\"image_id\": 3", "5", "val") "]", "all", "[0]: image_id is 3, which"},
        {"[" REF("\"a\": 7", "5", "val") "]", "all", "field 'image_id' is missing"},
        {"[{" OF_7 "}]", "train", "[0]: field 'split' is missing"},
        {"[{" OF_7 ", \"split\": \"val\"}]", "val", "field 'ref_id' is missing"},
        {"[{" OF_7 ", \"split\": \"val\", \"ref_id\": 1, \"ann_id\": 5, \"sentences\": []}]", "val",
         "it has no sentence"},
        {"[{" OF_7 ", \"split\": \"val\", \"ref_id\": 1, \"ann_id\": 5, \"sentences\": [{\"sent\": "
         "\"\"}]}]",
         "val", "[0].sentences[0]: the expression is empty"},
        {"[7]", "all", "annotation: "},
        {"[]", "all", "no ref of split 'all' among its 0"},
        {"(lp0\n", "all", "are Python pickles, which could run anything and are not read"},
        {"\200\002]q", "all", "python3 datasets/refs_to_json.py REFS.p refs.json"},
        {COCO(WHOLE), "all", "--with and --split are for a list of refs"},
    };
    for (size_t i = 0; i < N(cases); i++) {
        char *found = refs_item(*state, cases[i].refs, cases[i].split);
        if (strstr(found, cases[i].words) == NULL)
            fail_msg("%s\nwanted '%s', found '%s'", cases[i].refs, cases[i].words, found);
        free(found);
    }
}

static void refcoco_captions(void **state)
{
    static const struct check_case cases[] = {
        {FILE_OF("{" IMAGE_FIELDS ", \"file_name\": \"COCO_train2014_7.jpg\", \"caption\": "
                 "\"the bird\"}",
                 WHOLE ", {" ABOUT("6") ", " BOX "}"),
         "the bird"},
        {COCO(WHOLE), "field 'caption' is missing"},
        {"[]", "add --with instances.json"},
    };
    check_all(import_refcoco, *state, cases, N(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coco_instances),
        cmocka_unit_test(hostile_coco_files),
        cmocka_unit_test(hostile_coco_annotations),
        cmocka_unit_test(annotations_without_picture_are_counted),
        cmocka_unit_test(paco),
        cmocka_unit_test(panoptic),
        cmocka_unit_test(refcoco_lists),
        cmocka_unit_test(refcoco_captions),
    };
    return cmocka_run_group_tests(tests, import_check_set_up, import_check_tear_down);
}
