/* Folder parse: what is read out of a model's scene-graph text. Folder boxes, box_text.json: boxes
 * and points as text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "golden.h"
#include "golden_families.h"
#include "golden_text.h"
#include "text/box_text.h"
#include "text/scene_graph.h"

static bool recognises_parse(const char *directory)
{
    return golden_text_holds(directory, "parse.json");
}

/* [subject, object, predicate] of every relation. */
static bool same_relations(const json_t *want, const struct scene_graph *graph)
{
    if ((int64_t)json_array_size(want) != graph->n_relations) return false;
    for (int64_t i = 0; i < graph->n_relations; i++) {
        const json_t *row = json_array_get(want, (size_t)i);
        const struct scene_relation *relation = &graph->relations[i];
        if (json_integer_value(json_array_get(row, 0)) != relation->subject ||
            json_integer_value(json_array_get(row, 1)) != relation->object ||
            !golden_text_equal(json_array_get(row, 2), relation->predicate,
                               strlen(relation->predicate)))
            return false;
    }
    return true;
}

static bool same_graph(const json_t *value, const struct scene_graph_reading *reading)
{
    if (json_is_null(value) || !reading->found) return json_is_null(value) && !reading->found;
    const json_t *names = json_object_get(value, "objects");
    if ((int64_t)json_array_size(names) != reading->graph.n_objects) return false;
    for (int64_t i = 0; i < reading->graph.n_objects; i++) {
        const char *name = reading->graph.objects[i].name;
        if (!golden_text_equal(json_array_get(names, (size_t)i), name, strlen(name))) return false;
    }
    return same_relations(json_object_get(value, "relations"), &reading->graph);
}

static bool same_box(const json_t *want, struct box box)
{
    const double have[4] = {box.x1, box.y1, box.x2, box.y2};
    for (size_t i = 0; i < 4; i++)
        if (json_number_value(json_array_get(want, i)) != have[i]) return false;
    return json_array_size(want) == 4;
}

static void check_boxes(const json_t *row, struct golden_report *report)
{
    const json_t *text = json_object_get(row, "text");
    const json_t *first = json_object_get(json_object_get(row, "first_box"), "value");
    const json_t *want = json_object_get(json_object_get(row, "boxes"), "value");
    int64_t width = json_integer_value(json_object_get(row, "width"));
    int64_t height = json_integer_value(json_object_get(row, "height"));
    struct box *boxes;
    int64_t n;
    box_text_find(&boxes, &n, json_string_value(text), json_string_length(text));
    bool same = n == 0 ? json_array_size(first) == 0 : same_box(first, boxes[0]);
    golden_report_case(report, "first box", same, "%s", golden_text_string(row, "id"));
    same = (int64_t)json_array_size(want) == n;
    for (int64_t i = 0; i < n && same; i++)
        same = same_box(json_array_get(want, (size_t)i), box_denormalise(boxes[i], width, height));
    /* Where the graph raises, the reference never came to its boxes. */
    if (want) golden_report_case(report, "boxes", same, "%s", golden_text_string(row, "id"));
    free(boxes);
}

static void check_graph(const json_t *row, struct golden_report *report)
{
    const json_t *text = json_object_get(row, "text");
    const json_t *want = json_object_get(row, "scene_graph");
    struct scene_graph_reading reading;
    bool read =
        scene_graph_parse(&reading, json_string_value(text), json_string_length(text), true) == OK;
    bool same = json_object_get(want, "error")
                    ? !read
                    : read && same_graph(json_object_get(want, "value"), &reading);
    golden_report_case(report, "graph", same, "%s: %s", golden_text_string(row, "id"),
                       read ? "another graph" : status_message());
    if (read) scene_graph_reading_release(&reading);
    check_boxes(row, report);
}

static void check_lines(const json_t *row, struct golden_report *report)
{
    struct scene_graph graph = {0};
    const json_t *lines = json_object_get(row, "lines");
    bool read = true;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        read = read && scene_graph_parse_line(&graph, json_string_value(line),
                                              json_string_length(line)) == OK;
    }
    const json_t *want = json_object_get(json_object_get(row, "triplets"), "value");
    golden_report_case(report, "relation lines", read && same_relations(want, &graph), "%s",
                       golden_text_string(row, "id"));
    scene_graph_release(&graph);
}

static struct box box_from(const json_t *list)
{
    double v[4];
    for (size_t i = 0; i < 4; i++) v[i] = json_number_value(json_array_get(list, i));
    return (struct box){v[0], v[1], v[2], v[3]};
}

static void check_denormalise(const json_t *row, struct golden_report *report)
{
    const json_t *box = json_object_get(row, "box");
    const json_t *want = json_object_get(json_object_get(row, "value"), "value");
    int64_t width = json_integer_value(json_object_get(row, "width"));
    int64_t height = json_integer_value(json_object_get(row, "height"));
    /* Four numbers are a matter of the type here; lists of another length cannot be passed. */
    bool same = json_array_size(box) != 4
                    ? json_is_null(want)
                    : same_box(want, box_denormalise(box_from(box), width, height));
    golden_report_case(report, "denormalise", same, "%s", golden_text_string(row, "id"));
}

static enum status run_parse(const char *directory, const struct golden_options *options,
                             struct golden_report *report)
{
    (void)options;
    enum status status = OK;
    json_t *cases = NULL;
    TRY(golden_text_cases(&cases, directory, "parse.json"));
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *row = json_array_get(cases, i);
        const char *kind = golden_text_string(row, "kind");
        if (strcmp(kind, "graph") == 0) check_graph(row, report);
        if (strcmp(kind, "relation_lines") == 0) check_lines(row, report);
        if (strcmp(kind, "denormalise") == 0) check_denormalise(row, report);
    }
out:
    json_decref(cases);
    return status;
}

const struct golden_family golden_parse = {
    .name = "parse", .recognises = recognises_parse, .run = run_parse};

/* Boxes of a case: one box or a list of them; -1 where one has not four numbers. */
static int64_t boxes_from(struct box *boxes, int64_t capacity, const json_t *list)
{
    if (!json_is_array(json_array_get(list, 0))) {
        boxes[0] = box_from(list);
        return json_array_size(list) == 4 ? 1 : -1;
    }
    int64_t n = 0;
    for (; n < (int64_t)json_array_size(list) && n < capacity; n++)
        boxes[n] = box_from(json_array_get(list, (size_t)n));
    return n;
}

static void check_box_text(const json_t *row, const json_t *list, struct golden_report *report)
{
    static const struct {
        const char *key;
        struct box_format format;
    } forms[] = {
        {"train_qwen2", {0}},
        {"train_other", {.style = BOX_STYLE_PLAIN}},
        {"train_square", {.square = true}},
        {"train_no_clip", {.bounds = BOX_BOUNDS_REFUSE}},
        {"inference", {.bounds = BOX_BOUNDS_KEEP}},
    };
    struct box boxes[16];
    int64_t n = boxes_from(boxes, 16, list);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        const json_t *want = json_object_get(row, forms[i].key);
        struct text_buffer text = {0};
        if (!want) continue;
        bool written = n >= 0 && box_text_write(&text, boxes, n,
                                                json_integer_value(json_object_get(row, "width")),
                                                json_integer_value(json_object_get(row, "height")),
                                                &forms[i].format) == OK;
        bool same = json_is_object(want)
                        ? !written
                        : written && golden_text_equal(want, text_of(&text), text.length);
        golden_report_case(report, forms[i].key, same, "%s: \"%s\"", golden_text_string(row, "id"),
                           text_of(&text));
        text_release(&text);
    }
}

static void check_points(const json_t *row, const json_t *points, struct golden_report *report)
{
    double xy[32];
    struct text_buffer text = {0};
    size_t n = json_is_array(json_array_get(points, 0)) ? json_array_size(points) : 1;
    for (size_t i = 0; i < n && i < 16; i++) {
        const json_t *point = n > 1 ? json_array_get(points, i) : points;
        xy[2 * i] = json_number_value(json_array_get(point, 0));
        xy[2 * i + 1] = json_number_value(json_array_get(point, 1));
    }
    bool same =
        point_text_write(&text, xy, (int64_t)n, json_integer_value(json_object_get(row, "width")),
                         json_integer_value(json_object_get(row, "height"))) == OK &&
        golden_text_equal(json_object_get(row, "text"), text.text, text.length);
    golden_report_case(report, "points", same, "%s: \"%s\"", golden_text_string(row, "id"),
                       text_of(&text));
    text_release(&text);
}

static bool recognises_box_text(const char *directory)
{
    return golden_text_holds(directory, "box_text.json");
}

static enum status run_box_text(const char *directory, const struct golden_options *options,
                                struct golden_report *report)
{
    (void)options;
    enum status status = OK;
    json_t *cases = NULL;
    TRY(golden_text_cases(&cases, directory, "box_text.json"));
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *row = json_array_get(cases, i);
        const json_t *boxes = json_object_get(row, "boxes");
        const json_t *points = json_object_get(row, "points");
        if (!boxes) boxes = json_object_get(row, "mask_inclusive_xyxy");
        if (points)
            check_points(row, points, report);
        else
            check_box_text(row, boxes, report);
    }
out:
    json_decref(cases);
    return status;
}

const struct golden_family golden_box_text = {
    .name = "box text", .recognises = recognises_box_text, .run = run_box_text};
