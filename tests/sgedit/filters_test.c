/* Rules against geometry that is known, and the merging of proposed masks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "image/image.h"
#include "sgedit/filters.h"
#include "sgedit/proposals.h"

static void words(void **state)
{
    (void)state;
    static const struct {
        const char *predicate;
        enum spatial_word word;
    } rows[] = {
        {"left of", SPATIAL_LEFT},
        {"standing to the RIGHT of", SPATIAL_RIGHT},
        {"above", SPATIAL_ABOVE},
        {"on top of", SPATIAL_ABOVE},
        {"underneath", SPATIAL_BELOW},
        {"thundering at", SPATIAL_NONE},
        {"inside", SPATIAL_INSIDE},
        {"in front of", SPATIAL_FRONT},
        {"behind", SPATIAL_BEHIND},
        {"above and left of", SPATIAL_NONE},
        {"not behind", SPATIAL_NONE},
        {"holding", SPATIAL_NONE},
        {"holding its left hand", SPATIAL_NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (spatial_word_of(rows[i].predicate) != rows[i].word)
            fail_msg("%s: %d", rows[i].predicate, (int)spatial_word_of(rows[i].predicate));
}

/* a: upper left, b: lower right, c: inside b */
struct scene {
    struct record record;
    struct record_region regions[3];
    struct edit_graph graph;
};

static void begin(struct scene *scene)
{
    struct scene_graph none = {0};
    const struct box boxes[3] = {{0, 0, 20, 20}, {50, 50, 90, 90}, {60, 60, 70, 70}};
    *scene = (struct scene){0};
    for (int i = 0; i < 3; i++) scene->regions[i].box = boxes[i];
    scene->record =
        (struct record){.height = 100, .width = 100, .regions = scene->regions, .n_regions = 3};
    edit_graph_begin(&scene->graph, &none, boxes, 3);
}

static void relate(struct scene *scene, int64_t a, const char *predicate, int64_t b)
{
    const struct edit_triple triple = {a, b, predicate, ""};
    edit_graph_add(&scene->graph, &triple, EDGE_DRAFTED);
}

/* "kd": the first is kept, the second dropped; to free(). */
static char *filter(struct scene *scene, const struct config_generate *config, bool *decided)
{
    struct text_buffer out = {0};
    const struct filtering filtering = {
        .record = &scene->record, .graph = &scene->graph, .config = config, .decided = decided};
    for (int64_t i = 0; i < config->n_filters; i++)
        assert_int_equal(filter_apply(&filtering, i), OK);
    for (int64_t i = 0; i < scene->graph.n_relations; i++)
        text_append(&out, scene->graph.relations[i].fate == EDGE_KEPT ? "k" : "d");
    return text_take(&out);
}

static void spatial(void **state)
{
    (void)state;
    struct scene scene;
    bool decided[8] = {false};
    struct config_filter rule = {.kind = CONFIG_FILTER_SPATIAL, .threshold = -1};
    const struct config_generate config = {.filters = &rule, .n_filters = 1};
    begin(&scene);
    relate(&scene, 0, "left of", 1);
    relate(&scene, 1, "left of", 0);
    relate(&scene, 0, "above", 1);
    relate(&scene, 0, "under", 1);
    relate(&scene, 2, "inside", 1);
    relate(&scene, 0, "inside", 1);
    relate(&scene, 0, "holding", 1);
    relate(&scene, 0, "behind", 1);
    char *text = filter(&scene, &config, decided);
    assert_string_equal(text, "kdkdkdkk");
    assert_true(decided[0] && decided[1] && !decided[6] && !decided[7]);
    assert_string_equal(scene.graph.relations[1].by, "spatial");
    assert_string_equal(scene.graph.relations[1].why,
                        "0.600 of the picture the wrong way, more than 0.000");
    int64_t n = 0;
    const struct filtering filtering = {
        .record = &scene.record, .graph = &scene.graph, .config = &config, .decided = decided};
    int64_t *asked = filter_to_judge(&filtering, 0, &n);
    assert_int_equal(n, 2); /* what no rule decided */
    assert_int_equal(asked[0], 6);
    free(asked);
    free(text);
    edit_graph_release(&scene.graph);
    /* within the threshold it stays */
    begin(&scene);
    rule.threshold = 0.7;
    relate(&scene, 1, "left of", 0);
    text = filter(&scene, &config, decided);
    assert_string_equal(text, "k");
    free(text);
    edit_graph_release(&scene.graph);
}

static struct rle boxed(double x1, double y1, double x2, double y2)
{
    struct rle mask = {0};
    assert_int_equal(rle_from_box(&mask, (struct box){x1, y1, x2, y2}, 100, 100), OK);
    return mask;
}

/* What a box says and a mask does not: the mask's pixels decide. */
static void by_mask(void **state)
{
    (void)state;
    struct scene scene;
    bool decided[8] = {false};
    struct config_filter rule = {.kind = CONFIG_FILTER_SPATIAL, .threshold = -1};
    const struct config_generate config = {.filters = &rule, .n_filters = 1};
    begin(&scene);
    scene.regions[0].box = (struct box){0, 0, 100, 100};
    scene.regions[0].mask = boxed(90, 0, 100, 100);
    relate(&scene, 0, "left of", 1);
    char *text = filter(&scene, &config, decided);
    assert_string_equal(text, "d");
    free(text);
    rle_release(&scene.regions[0].mask);
    edit_graph_release(&scene.graph);
}

/* A brighter pixel is nearer: region 0 lies before region 1. What says nothing of depth, and a
 * difference within the threshold, stay; a picture of another size is refused by name. */
static void by_depth(void **state)
{
    (void)state;
    struct scene scene;
    bool decided[8] = {false};
    uint8_t rgb[100 * 100 * 3], *bytes = NULL;
    size_t size = 0;
    char directory[] = "/tmp/filters_test.XXXXXX", name[] = "picture";
    assert_non_null(mkdtemp(directory));
    char *path = text_format("%s/picture.png", directory);
    for (int i = 0; i < 100 * 100; i++) memset(rgb + 3 * i, i / 100 < 40 ? 200 : 100, 3);
    struct image depth = {.height = 100, .width = 100, .rgb = rgb};
    assert_int_equal(image_encode_png(&bytes, &size, &depth), OK);
    assert_int_equal(file_write_atomic(path, bytes, size), OK);
    free(bytes);
    struct config_filter rule = {.kind = CONFIG_FILTER_DEPTH, .threshold = -1};
    const struct config_generate config = {.filters = &rule, .n_filters = 1, .depth = directory};
    begin(&scene);
    scene.record.id = name;
    relate(&scene, 0, "in front of", 1);
    relate(&scene, 1, "in front of", 0);
    relate(&scene, 0, "behind", 1);
    relate(&scene, 1, "behind", 0);
    relate(&scene, 1, "behind", 2);
    relate(&scene, 0, "left of", 1);
    char *text = filter(&scene, &config, decided);
    assert_string_equal(text, "kddkkk");
    assert_true(decided[0] && decided[4] && !decided[5]);
    assert_string_equal(scene.graph.relations[1].by, "depth");
    assert_string_equal(scene.graph.relations[1].why,
                        "0.392 of the depth the wrong way, more than 0.020");
    free(text);
    edit_graph_release(&scene.graph);
    begin(&scene);
    scene.record.id = name;
    scene.record.width = 101;
    const struct filtering filtering = {
        .record = &scene.record, .graph = &scene.graph, .config = &config, .decided = decided};
    assert_int_equal(filter_apply(&filtering, 0), ERR_SHAPE);
    assert_non_null(strstr(status_message(), "picture.png is 100 x 100, the picture 101 x 100"));
    edit_graph_release(&scene.graph);
    assert_int_equal(remove(path), 0);
    assert_int_equal(remove(directory), 0);
    free(path);
}

static void by_overlap(void **state)
{
    (void)state;
    struct scene scene;
    bool decided[8] = {false};
    struct rle proposals[2] = {boxed(0, 0, 20, 15), boxed(50, 50, 69, 90)};
    struct config_filter rule = {.kind = CONFIG_FILTER_REGION_IOU, .threshold = -1};
    const struct config_generate config = {.filters = &rule, .n_filters = 1};
    begin(&scene);
    relate(&scene, 0, "near", 1);
    const struct filtering filtering = {.record = &scene.record,
                                        .graph = &scene.graph,
                                        .config = &config,
                                        .proposals = proposals,
                                        .n_proposals = 2,
                                        .decided = decided};
    assert_int_equal(filter_apply(&filtering, 0), OK);
    assert_false(scene.graph.objects[0].dropped); /* 0.75 */
    assert_true(scene.graph.objects[1].dropped);  /* 0.475 */
    assert_int_equal(scene.graph.relations[0].fate, EDGE_DROPPED);
    filter_count_proposals(&filtering);
    assert_int_equal(scene.graph.n_proposals, 2);
    assert_int_equal(scene.graph.n_unannotated,
                     1);   /* the second, of 0.475 with what it is nearest */
    rule.threshold = 0.75; /* which the first has, and must pass */
    filter_count_proposals(&filtering);
    assert_int_equal(scene.graph.n_unannotated, 2);
    rule.threshold = 0.4;
    filter_count_proposals(&filtering);
    assert_int_equal(scene.graph.n_unannotated, 0);
    for (int i = 0; i < 2; i++) rle_release(&proposals[i]);
    edit_graph_release(&scene.graph);
}

/* A whole that two others cover goes; a part that is nearly a kept one goes, one that stands alone
 * stays, and so does a large one. */
static void merging(void **state)
{
    (void)state;
    struct rle whole[4] = {boxed(0, 0, 40, 20), boxed(0, 0, 20, 20), boxed(20, 0, 40, 20),
                           boxed(60, 60, 90, 90)};
    struct rle part[3] = {boxed(0, 0, 20, 19), boxed(0, 80, 10, 90), boxed(61, 61, 65, 65)};
    const struct proposals wholes = {whole, 4}, parts = {part, 3};
    struct proposals merged = {0};
    assert_int_equal(proposals_merge(&merged, &wholes, &parts), OK);
    assert_int_equal(merged.n, 4);
    assert_int_equal(rle_area(&merged.masks[0]), 400);
    assert_int_equal(rle_area(&merged.masks[2]), 900);
    assert_int_equal(rle_area(&merged.masks[3]), 100);
    proposals_release(&merged);
    for (int i = 0; i < 4; i++) rle_release(&whole[i]);
    for (int i = 0; i < 3; i++) rle_release(&part[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),    cmocka_unit_test(spatial),    cmocka_unit_test(by_mask),
        cmocka_unit_test(by_depth), cmocka_unit_test(by_overlap), cmocka_unit_test(merging),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
