/* From the engine's answers to graphs. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "generate/ask.h"

/* Objects 0 .. n - 1 without names. */
static void add_objects(struct scene_graph *graph, int64_t n)
{
    for (int64_t i = 0; i < n; i++) scene_graph_add_object(graph, "");
}

static void name_object(struct scene_graph *graph, int64_t object, const char *name)
{
    free(graph->objects[object].name);
    graph->objects[object].name = text_copy(name);
}

/* Objects by number, relations between those that exist. */
static enum status read_holistic(struct ask_graph *out, const char *text, int64_t n_regions)
{
    enum status status = OK;
    struct scene_graph_reading reading = {0};
    TRY(scene_graph_parse(&reading, text, strlen(text), false));
    out->found = reading.found;
    out->n_dropped = reading.n_dropped;
    add_objects(&out->graph, n_regions);
    for (int64_t i = reading.graph.n_objects - 1; i >= 0; i--)
        if (reading.numbers[i] >= 1 && reading.numbers[i] <= n_regions)
            name_object(&out->graph, reading.numbers[i] - 1, reading.graph.objects[i].name);
    for (int64_t r = 0; r < reading.graph.n_relations; r++) {
        const struct scene_relation *relation = &reading.graph.relations[r];
        const int64_t subject = reading.numbers[relation->subject];
        const int64_t object = reading.numbers[relation->object];
        if (subject < 1 || subject > n_regions || object < 1 || object > n_regions) {
            out->n_dropped++;
            continue;
        }
        scene_graph_add_relation(&out->graph, subject - 1, object - 1, relation->predicate);
    }
out:
    scene_graph_reading_release(&reading);
    return status;
}

/* "region2 on, region3 near" as the relations of one region: read behind its heading, in a graph of
 * nameless regions. */
static enum status read_relations(struct ask_graph *out, int64_t region, const char *text,
                                  int64_t n_regions)
{
    enum status status = OK;
    struct scene_graph_reading reading = {0};
    struct text_buffer whole = {0};
    text_append(&whole, "Objects:\n");
    for (int64_t i = 1; i <= n_regions; i++) text_printf(&whole, "region%" PRId64 ": x\n", i);
    text_printf(&whole, "\nRelations:\nregion%" PRId64 ": ", region);
    for (const char *c = text; *c != '\0'; c++) text_append_char(&whole, *c == '\n' ? ' ' : *c);
    TRY(scene_graph_parse(&reading, text_of(&whole), whole.length, false));
    out->n_dropped += reading.n_dropped;
    for (int64_t r = 0; r < reading.graph.n_relations; r++)
        scene_graph_add_relation(&out->graph, reading.graph.relations[r].subject,
                                 reading.graph.relations[r].object,
                                 reading.graph.relations[r].predicate);
out:
    text_release(&whole);
    scene_graph_reading_release(&reading);
    return status;
}

/* The boxes of the objects, each from its own line. */
static void read_boxes(struct scene_graph *graph, const char *text, const struct ask *ask)
{
    const char *relations = strstr(text, "\nRelations:");
    const char *end = relations != NULL ? relations : text + strlen(text);
    int64_t object = 0;
    while (text < end && object < graph->n_objects) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        const size_t size = (size_t)((line_end != NULL ? line_end : end) - text);
        struct box *boxes = NULL;
        int64_t n = 0;
        if (size > 6 && memcmp(text, "region", 6) == 0) {
            box_text_find(&boxes, &n, text, size);
            graph->objects[object].has_box = n > 0;
            if (n > 0)
                graph->objects[object].box = box_denormalise(boxes[0], ask->width, ask->height);
            object++;
        }
        free(boxes);
        text += size + 1;
    }
}

/* Without its tags a box is still behind the name: "cat (1,2),(3,4)". */
static void cut_box(char *name)
{
    struct box *boxes = NULL;
    int64_t n = 0;
    box_text_find(&boxes, &n, name, strlen(name));
    free(boxes);
    for (int64_t i = 0; i < 2 * n; i++) *strrchr(name, '(') = '\0'; /* two brackets each */
    for (size_t end = strlen(name); end > 0 && strchr(" ,", name[end - 1]) != NULL;)
        name[--end] = '\0';
}

static enum status read_detection(struct ask_graph *out, const char *text, const struct ask *ask)
{
    enum status status = OK;
    struct scene_graph_reading reading = {0};
    TRY(scene_graph_parse(&reading, text, strlen(text), false));
    out->found = reading.found;
    out->n_dropped = reading.n_dropped;
    out->graph = reading.graph;
    reading.graph = (struct scene_graph){0};
    for (int64_t i = 0; i < out->graph.n_objects; i++) cut_box(out->graph.objects[i].name);
    read_boxes(&out->graph, text, ask);
out:
    scene_graph_reading_release(&reading);
    return status;
}

enum status ask_read_graph(struct ask_graph *graph_out, const struct engine_result *result,
                           const struct ask *ask, const struct ask_options *options)
{
    enum status status = OK;
    struct ask_graph graph = {0};
    for (int64_t b = 0; b < result->n_branches; b++)
        for (int64_t t = 0; t < result->branches[b].n_answers; t++)
            graph.truncated = graph.truncated || result->branches[b].answers[t].truncated;
    const int64_t n_regions = ask->n_regions > 0 ? ask->n_regions : 1;
    const char *text = result->branches[0].answers[0].text;
    if (options->mode == ASK_HOLISTIC) {
        TRY(read_holistic(&graph, text, n_regions));
    } else if (options->mode == ASK_DETECTION) {
        TRY(read_detection(&graph, text, ask));
    } else {
        ASSERT(options->mode == ASK_PER_OBJECT, "an answer of mode %s is no graph",
               ask_mode_names[options->mode]);
        graph.found = true;
        add_objects(&graph.graph, n_regions);
        for (int64_t b = 0; b < result->n_branches; b++) {
            name_object(&graph.graph, b, result->branches[b].answers[0].text);
            TRY(read_relations(&graph, b + 1, result->branches[b].answers[1].text, n_regions));
        }
    }
    *graph_out = graph;
    graph = (struct ask_graph){0};
out:
    ask_graph_release(&graph);
    return status;
}

void ask_graph_release(struct ask_graph *graph)
{
    scene_graph_release(&graph->graph);
    *graph = (struct ask_graph){0};
}
