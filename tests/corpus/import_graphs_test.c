/* Importers of graphs and their questions: small files of each shape give the records they say;
 * what is wrong in them is dropped or skipped under the right reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/corpus_inspect.h"
#include "corpus/import.h"
#include "support/corpus_records.h"
#include "support/import_check.h"

struct check_case {
    const char *json, *words;
};

static void check_all(import_open open, const char *folder, const struct check_case *cases,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) import_check(open, folder, cases[i].json, cases[i].words);
}
#define CHECK_ALL(open, cases) check_all(open, *state, cases, sizeof(cases) / sizeof(cases)[0])

static void gqa_rows(void **state)
{
    static const struct check_case cases[] = {
        {"{\"image_id\": \"7\", \"file_name\": \"7.jpg\", \"width\": 8, \"height\": 6, "
         "\"objects\": "
         "{\"o0\": {\"name\": \"cup\", \"attributes\": [\"red\"], \"relations\": [{\"object\": "
         "\"o0\", \"name\": \"on\"}], \"bbox\": [1, 2, 3, 4]}}}",
         "id          gqa/7"},
        {"{\"file_name\": \"7.jpg\", \"width\": 8, \"height\": 6, \"objects\": {}}\n"
         "{\"file_name\": \"7.jpg\"}",
         "id          gqa/7"},
        {"{\"file_name\": \"7.jpg\", \"width\": 8, \"height\": 6, \"objects\": 3}", "annotation: "},
    };
    CHECK_ALL(import_gqa, cases);
}

#define MASK(counts) "{\"size\": [6, 8], \"counts\": " counts "}"
#define SVG_REGIONS                                                                                \
    "\"regions\": [{\"segmentation\": " MASK(                                                      \
        "[0, 6, 42]") ", \"bbox\": [0, 0, 1, 6]}, "                                                \
                      "{\"segmentation\": " MASK(                                                  \
                          "[6, 6, 36]") ", \"bbox\": [1, 0, 1, 6]}], "                             \
                                        "\"scene_graph_regions\": [{\"object_id\": \"4\", "        \
                                        "\"segmentation\": " MASK("[12, 6, 30]") "}]"
#define SVG_OBJECTS                                                                                \
    "\"object_details\": {\"9\": {\"bbox\": [1, 0, 2, 6], \"text\": [\"guy\", \"man\"]}, "         \
    "\"4\": {\"bbox\": [2, 0, 3, 6], \"text\": [\"wall\"]}, "                                      \
    "\"5\": {\"bbox\": [0, 0, 1, 3], \"text\": [\"hat\"]}}, "                                      \
    "\"id_region_mapping\": {\"9\": 1, \"4\": \"scene_graph_0\", \"5\": 0}"
#define SVG_SUBJECT(relations)                                                                     \
    "{\"9\": {\"description\": \"A guy.\", \"mentioned_objects\": [\"9\", \"4\"], "                \
    "\"relations\": " relations "}}"
#define SVG_ROW(relations, more)                                                                   \
    "{\"image_id\": \"7\", \"width\": 8, \"height\": 6, " relations ", " SVG_OBJECTS               \
    ", " SVG_REGIONS more "}\n"
#define SVG_RELATIONS                                                                              \
    SVG_SUBJECT("{\"spatial\": [[\"4\", \"near\"]], \"functional\": [[\"5\", \"wears\"]]}")

static void svg_relations(void **state)
{
    static const struct check_case cases[] = {
        {SVG_ROW("\"relations\": " SVG_RELATIONS, ""),
         "objects\n"
         "    0  guy  region2 (1, 0, 2, 6), mask of 6 pixels\n"
         "    1  wall  region3 (2, 0, 3, 6), mask of 6 pixels\n"
         "    2  hat  region1 (0, 0, 1, 3), mask of 6 pixels\n"
         "relations\n"
         "    0 guy - near - 1 wall  [spatial]\n"
         "    0 guy - wears - 2 hat  [functional]\n"},
        {SVG_ROW("\"relations\": " SVG_RELATIONS, ""), "name about region2\n    Q: \n    A: man\n"},
        {SVG_ROW("\"relations\": " SVG_RELATIONS, ""),
         "description about region2\n    Q: \n    A: A guy.\n       about guy, wall\n"},
        /* the published rows: another name, and nested by picture */
        {SVG_ROW("\"relations_category\": {\"7\": " SVG_RELATIONS "}", ""),
         "    0 guy - wears - 2 hat  [functional]\n"},
        {SVG_ROW("\"relations_category\": " SVG_RELATIONS, ""),
         "    0 guy - wears - 2 hat  [functional]\n"},
        /* a file of rows by picture */
        {"{\"7\": {\"relations\": " SVG_RELATIONS ", " SVG_OBJECTS ", " SVG_REGIONS "}}",
         "id          svg-relations/7"},
        {"{\"7\": {\"relations\": " SVG_RELATIONS ", " SVG_OBJECTS ", " SVG_REGIONS "}}",
         "picture     8 x 6"},
        {SVG_ROW("\"relations\": {}",
                 ", \"summary\": \"A <guy> [9] by <the wall> [4, 5] and <the door> [99]. 2 < 3\""),
         "summary\n    Q: \n    A: A <p>guy</p><region2> by <p>the wall</p><region3><region1> and "
         "the door. 2 < 3\n"},
        {SVG_ROW("\"relations\": {}", ", \"summary\": \"<p> x\""), "dropped markup: "},
    };
    CHECK_ALL(import_svg_relations, cases);
}

static void hostile_svg_relations(void **state)
{
    static const struct check_case cases[] = {
        {SVG_ROW("\"relations\": {\"8\": {}}", ""), "dropped subject: "},
        {SVG_ROW("\"relations\": {\"9\": 3}", ""), "dropped subject: "},
        {SVG_ROW("\"relations\": " SVG_SUBJECT("{\"spatial\": [[\"8\", \"near\"]]}"), ""),
         "relations.9.spatial[0]: object '8' is not there or was dropped"},
        {SVG_ROW("\"relations\": " SVG_SUBJECT("{\"spatial\": [[\"4\", 3], 5, [\"4\", \"\"]]}"),
                 ""),
         "relations.9.spatial[2]: the predicate is empty"},
        {SVG_ROW("\"relations\": " SVG_SUBJECT("{\"symbolic\": [[\"4\", \"near\"]]}"), ""),
         "0 guy - near - 1 wall\n"},
        {SVG_ROW("\"relations\": " SVG_SUBJECT("{\"symbolic\": [[\"4\", \"near\"]]}"), ""),
         "dropped category: "},
        {SVG_ROW("\"relations\": {\"9\": {\"mentioned_objects\": [\"77\", \"4\"]}}", ""),
         "description about region2\n    Q: \n    A: \n       about guy, wall\ndropped mention: "},
        {SVG_ROW("\"relation\": {}", ""), "annotation: "},
        {SVG_ROW("\"relations\": []", ""), "field 'relations' must be an object"},
        {"{\"image_id\": 7, \"relations\": {}, \"object_details\": {\"1\": {\"bbox\": [0, 0, 1, "
         "1], "
         "\"text\": [\"a\"]}}, \"id_region_mapping\": {\"1\": 4}, \"regions\": []}\n",
         "dropped object: "},
        {"{\"image_id\": 7, \"relations\": {}, \"object_details\": {\"1\": {\"bbox\": [0, 0, 1, "
         "1], "
         "\"text\": [\"a\"]}}, \"id_region_mapping\": {\"1\": \"x_99999999999999999999\"}, "
         "\"regions\": []}\n",
         "leads to no region"},
        {"{\"image_id\": 7, \"relations\": {}, \"object_details\": {\"1\": {\"bbox\": [0, 0, 1, "
         "1], "
         "\"text\": [\"a\"]}}, \"id_region_mapping\": {\"1\": 0}, \"regions\": [{\"segmentation\": "
         "{\"size\": [6, 8], \"counts\": [48]}}]}\n",
         "dropped region: "},
        {"{\"image_id\": 7, \"object_details\": {\"1\": {\"bbox\": [0, 0, 1, 1], \"text\": "
         "\"a\"}}, "
         "\"id_region_mapping\": {\"1\": 0}, \"regions\": [{\"bbox\": [0, 0, 2, 2]}], "
         "\"relations\": {}}\n",
         "text must be a list of names"},
        {"{\"object_details\": {}}\n", "field 'image_id' must be a string or an integer"},
        {"{\"image_id\": \"../7\", \"object_details\": {}}\n", "leads out of"},
        {"[]", "holds no row"},
        {"", "holds no row"},
        {"{\"object_details\": {}} {\"x\"", "closing bracket"},
    };
    CHECK_ALL(import_svg_relations, cases);
}

static void svg_graphs(void **state)
{
    static const char row[] =
        "{\"image_id\": \"7.jpg\", \"metadata/height\": null, \"regions\": ["
        "{\"segmentation\": " MASK("[0, 6, 42]") ", \"bbox\": [0, 0, 1, 6], \"area\": 6}, "
                                                 "{\"segmentation\": " MASK(
                                                     "[6, 6, 36]") "}], \"scene_graph\": ";
    static const struct check_case ends[] = {
        {"\"{\\\"objects\\\": [\\\"a\\\", \\\"b\\\"], \\\"relations\\\": [[1, 0, \\\"on\\\"]]}\"}",
         "    0  a  region1 (0, 0, 1, 6), mask of 6 pixels\n"
         "    1  b  region2 (1, 0, 2, 6), mask of 6 pixels\n"
         "relations\n    1 b - on - 0 a\n"},
        {"{\"objects\": [\"a\"], \"relations\": []}}", "id          svg-graphs/7.jpg"},
        {"{\"objects\": [\"a\", 3, \"c\"], \"relations\": []}}",
         "7.jpg.objects[2]: there are 2 regions"},
        {"{\"objects\": [\"a\", 3], \"relations\": [[0, 1, \"on\"], [0, 2, \"on\"]]}}",
         "7.jpg.relations[0]: one of its objects was dropped"},
        {"{\"objects\": [\"a\", \"b\"], \"relations\": [[0, 2, \"on\"]]}}", "dropped relation: "},
        {"{\"objects\": [\"a\", \"b\"], \"relations\": [[\"0\", 1, \"on\"]]}}",
         "dropped relation: "},
        {"{\"objects\": []}}", "field 'relations' is missing"},
        {"\"{\"}", "field 'scene_graph' is not JSON"},
        {"null}", "must be a JSON object or a text of one"},
        {"\"[1]\"}", "must be a JSON object or a text of one"},
    };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char *json = text_format("%s%s", row, ends[i].json);
        import_check(import_svg_graphs, *state, json, ends[i].words);
        free(json);
    }
    static const struct check_case cases[] = {
        {"[]", "holds no row"},
        {"PAR1", "python3 "},
        {"{\"image_id\": \"7\", \"metadata\": {\"height\": 5, \"width\": 8}, \"scene_graph\": {}}",
         "size: "},
        {"{\"image_id\": \"9.jpg\", \"scene_graph\": {}}", "image: "},
        {"{\"image_id\": \"8.jpg\", \"scene_graph\": {}}", "image: "},
        {"{\"image_id\": \"7\", \"scene_graph\": {}}", "field 'regions' is missing"},
        {"{\"image_id\": \"7\", \"regions\": [{}], \"scene_graph\": {\"objects\": [\"a\"], "
         "\"relations\": []}}",
         "a region needs a segmentation or a bbox"},
    };
    CHECK_ALL(import_svg_graphs, cases);
}

#define COT_GRAPH                                                                                  \
    "\"scene_graph\": {\"o0\": {\"name\": \"hat\", \"attributes\": [\"red\"], \"relations\": "     \
    "[{\"object\": \"o1\", \"name\": \"on\"}], \"bbox\": [1, 1, 3, 3]}, "                          \
    "\"o1\": {\"name\": \"man\", \"bbox\": [0, 0, 8, 6]}}"
#define COT_REGIONS                                                                                \
    ", \"regions\": [{\"bbox\": [4, 4, 2, 2]}, {\"bbox\": [0, 0, 8, 6]}, {\"bbox\": [1, 1, 2, "    \
    "2]}], \"id_region_mapping\": {\"o0\": 2, \"o1\": 1}"
#define COT_DATA                                                                                   \
    ", \"data\": [{\"question\": \"Who?\", \"answer\": \"man\", \"object_ids\": [\"o1\", "         \
    "\"o0\"]}, {\"question\": \"Dog?\", \"answer\": \"no\", \"object_ids\": []}]"

static void gqa_cot(void **state)
{
    static const struct check_case cases[] = {
        {"{\"7\": {" COT_GRAPH COT_REGIONS COT_DATA "}}",
         "objects\n    0  hat (red)  region3 (1, 1, 3, 3)\n    1  man  region2 (0, 0, 8, 6)\n"
         "regions\n       region1 (4, 4, 6, 6)\n"
         "relations\n    0 hat - on - 1 man\n"
         "texts\n  vqa\n    Q: Who?\n    A: man\n       about man, hat\n"
         "  vqa\n    Q: Dog?\n    A: no\n"},
        {"{\"7\": {" COT_GRAPH COT_DATA "}}", "    0  hat (red)  region1 (1, 1, 3, 3)\n"},
        {"{\"7\": {\"width\": 8, \"height\": 6, " COT_GRAPH COT_DATA "}}", "id          gqa-cot/7"},
        {"{\"7\": {\"width\": 9, \"height\": 6, " COT_GRAPH COT_DATA "}}", "size: "},
        {"[{\"imageId\": \"7\", \"img_w\": 8, \"img_h\": 6, \"data\": [{\"question\": \"Left?\", "
         "\"answer\": \"man\", \"cot\": {\"value\": \"<ph_st>A man<ph_ed> is by <ph_st>the "
         "hats<ph_ed>.\", \"boxes\": [[0, 0, 2, 2], [3, 3, 4, 4], [5, 5, 6, 6]], \"seq\": [[0], "
         "[1, 2]]}}, {\"question\": \"Red?\", \"answer\": \"no\", \"cot\": {\"value\": \"Plain.\", "
         "\"boxes\": [], \"seq\": []}}]}]",
         "  cot\n    Q: Left?\n    A: <p>A man</p><region1> is by <p>the "
         "hats</p><region2><region3>.\n    Q: \n    A: man\n  cot\n    Q: Red?\n    A: Plain.\n"},
        {"{\"7\": {" COT_GRAPH ", \"data\": [{\"question\": \"Who?\", \"answer\": \"man\", "
         "\"object_ids\": [\"o9\", \"o1\"]}]}}",
         "       about man\ndropped mention: "},
        {"{\"7\": {" COT_GRAPH ", \"data\": [{\"question\": \"Who?\"}, 3]}}", "dropped question: "},
        {"{\"7\": {" COT_GRAPH "}}", "field 'data' is missing"},
        {"{\"7\": {\"scene_graph\": [], \"data\": []}}", "'scene_graph' must be an object"},
        {"{\"7\": {" COT_GRAPH ", \"regions\": [], \"id_region_mapping\": {\"o0\": 0}" COT_DATA
         "}}",
         "id_region_mapping leads to no region"},
        {"[{\"imageId\": 7, \"data\": [{\"question\": \"a\", \"answer\": \"b\", \"cot\": "
         "{\"value\": \"<ph_st>x<ph_ed>\", \"boxes\": [], \"seq\": []}}]}]",
         "1 phrases but 0 lists of boxes"},
        {"[{\"imageId\": 7, \"data\": [{\"question\": \"a\", \"answer\": \"b\", \"cot\": "
         "{\"value\": \"<ph_st>x\", \"boxes\": [], \"seq\": []}}]}]",
         "a phrase does not end"},
        {"[{\"imageId\": 7, \"data\": [{\"question\": \"a\", \"answer\": \"b\", \"cot\": "
         "{\"value\": \"<ph_st>x<ph_ed>\", \"boxes\": [], \"seq\": [[0]]}}]}]",
         "the box of a phrase is 0"},
        {"[{\"imageId\": 7, \"data\": [{\"question\": \"a\", \"answer\": \"b\", \"cot\": "
         "{\"value\": \"<p>x\", \"boxes\": [], \"seq\": []}}]}]",
         "holds a mark of ours"},
        {"[{\"data\": []}]", "field 'imageId' must be"},
        {"{}", "holds no picture"},
    };
    CHECK_ALL(import_gqa_cot, cases);
}

/* ---- Visual Genome ---- */

static enum status open_vg(struct record_source *source, const char *folder)
{
    const struct import_options options = {.annotations = folder, .images = folder};
    return import_vg(source, &options);
}

/* The first picture of the files NAME=JSON, NULL at the end, in words; to free(). */
static char *vg_item(const char *folder, const char *const (*files)[2])
{
    struct record_source source = {0};
    for (; (*files)[0] != NULL; files++) {
        char *path = path_join(folder, (*files)[0]);
        assert_int_equal(file_write_atomic(path, (*files)[1], strlen((*files)[1])), OK);
        free(path);
    }
    char *found = open_vg(&source, folder) == OK ? import_check_item(&source, 0)
                                                 : text_format("refused: %s", status_message());
    record_source_release(&source);
    return found;
}

static void expect_vg(const char *folder, const char *const (*files)[2], const char *words)
{
    char *found = vg_item(folder, files);
    if (strstr(found, words) == NULL) fail_msg("wanted '%s', found '%s'", words, found);
    free(found);
}

#define VG_IMAGES                                                                                  \
    {                                                                                              \
        "image_data.json", "[{\"image_id\": 7, \"width\": 8, \"height\": 6, \"url\": "             \
                           "\"https://x/VG_100K/7.jpg\"}]"                                         \
    }
#define VG_BOX "\"x\": 1, \"y\": 1, \"w\": 2, \"h\": 2"

static void visual_genome(void **state)
{
    const char *const objects[][2] = {
        VG_IMAGES,
        {"objects.json",
         "[{\"image_id\": 7, \"objects\": [{\"object_id\": 1, \"names\": [\"man\", "
         "\"guy\"], " VG_BOX
         "}, {\"object_id\": 2, \"names\": [\"hat\"], \"x\": 99, \"y\": 1, \"w\": 2, \"h\": 2}]}]"},
        {NULL, NULL}};
    expect_vg(*state, objects, "    0  man  region1 (1, 1, 3, 3)\n");
    expect_vg(*state, objects, "name about region1\n    Q: \n    A: guy\ndropped object: ");
    /* things that only attributes and relationships have; an object that was dropped */
    const char *const more[][2] = {
        {"attributes.json",
         "[{\"image_id\": 7, \"attributes\": [{\"object_id\": 1, \"names\": [\"man\"], "
         "\"attributes\": [\"tall\", \"tall\"], " VG_BOX "}, {\"object_id\": 5, \"names\": "
         "[\"cup\"], \"attributes\": [\"red\"], " VG_BOX "}, {\"object_id\": 6}]}]"},
        {"relationships.json",
         "[{\"id\": 7, \"relationships\": [{\"predicate\": \"ON\", \"subject\": {\"object_id\": 8, "
         "\"name\": \"shoe\", " VG_BOX
         "}, \"object\": {\"object_id\": 1}}, {\"predicate\": \"ON\", "
         "\"subject\": {\"object_id\": 9, \"name\": \"lamp\", " VG_BOX "}, \"object\": "
         "{\"object_id\": 2, \"name\": \"hat\", \"x\": 99, \"y\": 1, \"w\": 2, \"h\": 2}}, "
         "{\"predicate\": \"by\", \"subject\": {\"object_id\": 1}, \"object\": {\"object_id\": 9, "
         "\"name\": \"lamp\", " VG_BOX "}}]}]"},
        {NULL, NULL}};
    expect_vg(*state, more,
              "    0  man (tall)  region1 (1, 1, 3, 3)\n"
              "    1  cup (red)  region2 (1, 1, 3, 3)\n"
              "    2  shoe  region3 (1, 1, 3, 3)\n"
              "    3  lamp  region4 (1, 1, 3, 3)\n"
              "relations\n    2 shoe - ON - 0 man\n    0 man - by - 3 lamp\n");
    expect_vg(*state, more, "dropped relation: ");
    const char *const texts[][2] = {
        {"region_descriptions.json",
         "[{\"id\": 7, \"regions\": [{\"region_id\": 3, \"phrase\": \"a man\", \"x\": 0, \"y\": 0, "
         "\"width\": 4, \"height\": 4}, {\"phrase\": \" \", \"x\": 0, \"y\": 0, \"width\": 4, "
         "\"height\": 4}]}]"},
        {"question_answers.json",
         "[{\"id\": 7, \"qas\": [{\"qa_id\": 4, \"question\": \"Who?\", \"answer\": \"A man.\", "
         "\"q_objects\": [], \"a_objects\": [{\"object_id\": 1}, {\"object_id\": 77}]}]}]"},
        {NULL, NULL}};
    expect_vg(*state, texts, "caption about region5  (3)\n    Q: \n    A: a man\n");
    expect_vg(*state, texts,
              "vqa  (4)\n    Q: Who?\n    A: A man.\n       about man\ndropped object: ");
    expect_vg(*state, texts, "regions[1]: the phrase is empty");
}

static void hostile_visual_genome(void **state)
{
    const char *const nothing[][2] = {{NULL, NULL}};
    expect_vg(*state, nothing, "holds no image_data.json; --with FILE");
    const char *const images[][2] = {VG_IMAGES, {NULL, NULL}};
    expect_vg(*state, images, "holds none of objects.json");
    static const struct {
        const char *objects, *words;
    } cases[] = {
        {"[{\"image_id\": 8, \"objects\": []}]", "picture 8 is not in "},
        {"[{\"image_id\": 7, \"objects\": []}, {\"image_id\": 7, \"objects\": []}]",
         "picture 7 is there twice"},
        {"[{\"objects\": []}]", "has no integer 'image_id' or 'id'"},
        {"[{\"image_id\": \"7\", \"objects\": []}]", "has no integer 'image_id' or 'id'"},
        {"[{\"image_id\": 99999999999999999999, \"objects\": []}]", "has no integer"},
        {"[{\"image_id\": 7, \"objects\": {}}]", "annotation: "},
        {"[{\"image_id\": 7, \"objects\": [3, {\"names\": []}, {\"names\": [4]}]}]",
         "objects[2]: neither 'names' nor 'name' has a name"},
        {"[{\"image_id\": 7, \"objects\": [nul]}]", "refused: "},
        {"[{\"image_id\": 7", "closing bracket"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const files[][2] = {{"objects.json", cases[i].objects}, {NULL, NULL}};
        expect_vg(*state, files, cases[i].words);
    }
    const char *const twice[][2] = {{"image_data.json", "[{\"image_id\": 7}, {\"image_id\": 7}]"},
                                    {NULL, NULL}};
    expect_vg(*state, twice, "picture 7 is there twice");
    const char *const climbing[][2] = {
        {"objects.json", "[]"},
        {"image_data.json", "[{\"image_id\": 7, \"url\": \"https://x/../..\"}]"},
        {NULL, NULL}};
    expect_vg(*state, climbing, "leads out of");
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, import_check_set_up, import_check_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(gqa_rows), TEST(svg_relations), TEST(hostile_svg_relations), TEST(svg_graphs),
        TEST(gqa_cot),  TEST(visual_genome), TEST(hostile_visual_genome),
    };
    return cmocka_run_group_tests_name("corpus: import of graphs", tests, NULL, NULL);
}
