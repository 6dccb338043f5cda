/* Scene-graph text both ways: what is written is read back, and where our reading differs from the
 * reference's on purpose. Equality with the reference: the golden families parse and text. */
#include "text/scene_graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

static struct scene_graph example(void)
{
    struct scene_graph graph = {0};
    struct scene_object *object = scene_graph_add_object(&graph, "man");
    scene_object_add_attribute(object, "tall");
    scene_object_add_attribute(object, "in red");
    object->has_box = true;
    object->box = (struct box){10, 20, 100, 200};
    object = scene_graph_add_object(&graph, "dog");
    object->has_box = true;
    object->box = (struct box){0, 0, 640, 480};
    scene_graph_add_relation(&graph, 1, 0, "behind");
    scene_graph_add_relation(&graph, 0, 1, "walking");
    scene_graph_add_relation(&graph, 0, 1, "man's \"own\"\n");
    scene_graph_add_relation(&graph, 0, 0, "walking");
    return graph;
}

static void assert_written(const struct scene_graph *graph, struct scene_graph_format format,
                           const char *want)
{
    struct text_buffer text = {0};
    format.width = 640;
    format.height = 480;
    assert_int_equal(scene_graph_write(&text, graph, &format), OK);
    assert_string_equal(text_of(&text), want);
    text_release(&text);
}

static void every_form(void **state)
{
    (void)state;
    struct scene_graph graph = example();
    assert_written(&graph, (struct scene_graph_format){.mode = SCENE_GRAPH_INLINE},
                   "region1: man is tall, in red\n"
                   "Relations: region2 walking, region2 man's \"own\"\n, region1 walking\n"
                   "region2: dog\nRelations: region1 behind\n");
    assert_written(&graph, (struct scene_graph_format){.mode = SCENE_GRAPH_LITERAL},
                   "region1: name: man, attributes: ['tall', 'in red'], relations: "
                   "[{'object': 2, 'name': 'walking'}, {'object': 2, 'name': 'man\\'s "
                   "\"own\"\\n'}, {'object': 1, 'name': 'walking'}]\n"
                   "region2: name: dog, relations: [{'object': 1, 'name': 'behind'}]\n");
    assert_written(
        &graph, (struct scene_graph_format){.mode = SCENE_GRAPH_BY_PREDICATE, .detection = true},
        "Objects:\nregion1: man in tall, in red <|box_start|>(15,41),(156,416)<|box_end|>\n"
        "region2: dog <|box_start|>(0,0),(1000,1000)<|box_end|>\n\nRelations:\n"
        "region1: walking: region2, region1; man's \"own\"\n: region2;\n"
        "region2: behind: region1;\n");
    scene_graph_release(&graph);
    scene_graph_add_object(&graph, "sky");
    assert_written(&graph, (struct scene_graph_format){.mode = SCENE_GRAPH_BLOCKS},
                   "Objects:\nregion1: sky\n");
    assert_written(
        &graph, (struct scene_graph_format){.mode = SCENE_GRAPH_BLOCKS, .always_relations = true},
        "Objects:\nregion1: sky\n\nRelations:\n");
    scene_graph_release(&graph);
}

static void what_cannot_be_written(void **state)
{
    (void)state;
    struct text_buffer text = {0};
    struct scene_graph graph = example();
    struct scene_graph_format format = {
        .mode = SCENE_GRAPH_LITERAL, .detection = true, .width = 640, .height = 480};
    assert_int_equal(scene_graph_write(&text, &graph, &format), ERR_UNSUPPORTED);
    format.mode = SCENE_GRAPH_BLOCKS;
    graph.objects[1].has_box = false;
    assert_int_equal(scene_graph_write(&text, &graph, &format), ERR_FORMAT);
    assert_non_null(strstr(status_message(), "object 2 (dog)"));
    graph.relations[0].object = 2;
    assert_int_equal(scene_graph_write(&text, &graph, &format), ERR_FORMAT);
    assert_non_null(strstr(status_message(), "names an object that it has not"));
    text_release(&text);
    scene_graph_release(&graph);
}

static struct scene_graph_reading read_graph(const char *text, bool compat)
{
    struct scene_graph_reading reading;
    if (scene_graph_parse(&reading, text, strlen(text), compat) != OK)
        fail_msg("%s", status_message());
    return reading;
}

/* Graphs with any names and predicates of words, commas included, come back as they were. */
static void written_graphs_are_read_back(void **state)
{
    (void)state;
    static const char *const words[] = {"on",  "a b",         "near, but not at",
                                        "x:y", "caf\xc3\xa9", "of"};
    struct random_stream stream = random_stream(3, "graphs");
    for (uint64_t g = 0; g < 200; g++) {
        struct scene_graph graph = {0};
        struct text_buffer text = {0};
        uint64_t at = g * 1000, n = 1 + random_below(stream, at++, 20);
        for (uint64_t i = 0; i < n; i++)
            scene_graph_add_object(&graph, words[random_below(stream, at++, 6)]);
        for (uint64_t i = 0; i < 3 * n; i++) {
            int64_t object = (int64_t)random_below(stream, at++, n);
            const char *predicate = words[random_below(stream, at++, 6)];
            scene_graph_add_relation(&graph, (int64_t)(i / 3), object, predicate);
        }
        struct scene_graph_format format = {.mode = SCENE_GRAPH_BLOCKS};
        assert_int_equal(scene_graph_write(&text, &graph, &format), OK);
        struct scene_graph_reading reading = read_graph(text.text, false);
        assert_true(reading.found);
        assert_int_equal(reading.n_dropped, 0);
        assert_int_equal(reading.graph.n_objects, graph.n_objects);
        assert_int_equal(reading.graph.n_relations, graph.n_relations);
        for (int64_t i = 0; i < graph.n_objects; i++)
            assert_string_equal(reading.graph.objects[i].name, graph.objects[i].name);
        for (int64_t i = 0; i < graph.n_relations; i++) {
            assert_int_equal(reading.graph.relations[i].subject, graph.relations[i].subject);
            assert_int_equal(reading.graph.relations[i].object, graph.relations[i].object);
            assert_string_equal(reading.graph.relations[i].predicate, graph.relations[i].predicate);
        }
        scene_graph_reading_release(&reading);
        scene_graph_release(&graph);
        text_release(&text);
    }
}

/* Numbers mean what the text says, and a comma does not cost the rest of a predicate. */
static void ours_beside_the_reference(void **state)
{
    (void)state;
    static const char text[] =
        "Objects:\nregion3: leash\nregion1: man\n\nRelations:\n"
        "region1: region3 holding, tightly, region2 near\nregion7: region1 on\n";
    struct scene_graph_reading ours = read_graph(text, false), theirs = read_graph(text, true);
    assert_int_equal(ours.graph.n_relations, 1);
    assert_int_equal(ours.graph.relations[0].subject, 1);
    assert_int_equal(ours.graph.relations[0].object, 0);
    assert_string_equal(ours.graph.relations[0].predicate, "holding, tightly");
    assert_int_equal(ours.n_dropped, 2);
    assert_int_equal(theirs.graph.n_relations, 1);
    assert_int_equal(theirs.graph.relations[0].subject, 0);
    assert_int_equal(theirs.graph.relations[0].object, 1);
    assert_string_equal(theirs.graph.relations[0].predicate, "near");
    scene_graph_reading_release(&ours);
    scene_graph_reading_release(&theirs);
}

/* Anything may be asked to be read; the sanitizers look on. */
static void garbage_is_read(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "Objects:", "Relations:", "region", "region1",  ":",  ",",           " ",        "\n",
        "<",        ">",          "\xff",   "\xe6\x97", "12", "(1,2),(3,4)", "\xd9\xa1", "man"};
    struct random_stream stream = random_stream(11, "garbage");
    for (uint64_t g = 0; g < 2000; g++) {
        struct text_buffer text = {0};
        for (uint64_t i = 0; i < g % 50; i++)
            text_append(&text, parts[random_below(stream, g * 50 + i, 16)]);
        struct scene_graph_reading reading = read_graph(text_of(&text), g % 2);
        for (int64_t i = 0; i < reading.graph.n_relations; i++) {
            assert_in_range(reading.graph.relations[i].subject, 0, reading.graph.n_objects - 1);
            assert_in_range(reading.graph.relations[i].object, 0, reading.graph.n_objects - 1);
        }
        struct box *boxes;
        int64_t n;
        box_text_find(&boxes, &n, text_of(&text), text.length);
        free(boxes);
        scene_graph_reading_release(&reading);
        text_release(&text);
    }
}

static void boxes_that_cannot_be_written(void **state)
{
    (void)state;
    struct text_buffer text = {0};
    const struct box_format format = {.bounds = BOX_BOUNDS_KEEP};
    const struct box wild = {0, 0, 1e300, 1}, fine = {0, 0, 1, 1};
    assert_int_equal(box_text_write(&text, &wild, 1, 10, 10, &format), ERR_FORMAT);
    assert_int_equal(box_text_write(&text, &fine, 1, 0, 10, &format), ERR_SHAPE);
    assert_int_equal(text.length, 0);
    text_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form),
        cmocka_unit_test(what_cannot_be_written),
        cmocka_unit_test(written_graphs_are_read_back),
        cmocka_unit_test(ours_beside_the_reference),
        cmocka_unit_test(garbage_is_read),
        cmocka_unit_test(boxes_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
