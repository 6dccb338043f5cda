/* Wordings are ours; what they ask for is what the method asks of its teacher. */
#include "sgedit/edit_request.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "sgedit/edit_reply.h"

void edit_request_release(struct edit_request *request)
{
    free(request->system);
    free(request->user);
    for (int i = 0; i < TEACHER_MAX_IMAGES; i++) free(request->drawn[i]);
    json_decref(request->schema);
    *request = (struct edit_request){0};
}

static const char edit_system[] =
    "You correct scene graphs of photographs. You get one picture five times: as it is; with the "
    "mask and box of every object; with the outline of every object; and the last two once more, "
    "drawn in the opposite order, so that an object hidden in one is visible in the other. Each "
    "object carries its id in the colour of its region. You also get a graph that a model wrote: "
    "for every id a name, a box [x1, y1, x2, y2] in pixels, and its relations to other ids.\n"
    "\n"
    "Answer with modifications only; what you do not mention stays as it is.\n"
    "1. Look at every object. If its name is wrong or vague, give a better one that tells it from "
    "its neighbours by position, colour, texture or what it does. If you cannot tell what it is, "
    "use a broad category. Leave the name empty to keep it.\n"
    "2. Remove relations that the picture does not show.\n"
    "3. Add relations that are prominent and missing: at least %" PRId64 " for every object. Use "
    "short phrases; include where things are (left of, behind, on top of) as well as what they do "
    "to each other, what they are for, and how people relate.\n"
    "4. If two ids are the same thing, say so with the relation 'same as'.\n"
    "5. Use only the ids of the graph, each at most once in your answer, and never relate an id to "
    "itself. Lists may be empty.";

/* Python's way to write text, which the graph is given in. */
static void append_object(struct text_buffer *out, const struct edit_graph *graph, int64_t i,
                          bool first_of_all)
{
    const struct edit_object *object = &graph->objects[i];
    text_printf(out, "%s%" PRId64 ": {'name': ", first_of_all ? "" : ", ", i + 1);
    scene_graph_write_string(out, object->name);
    text_printf(out, ", 'bbox': [%.0f, %.0f, %.0f, %.0f], 'rel': {", object->box.x1, object->box.y1,
                object->box.x2, object->box.y2);
    bool first = true;
    for (int64_t j = 0; j < graph->n_relations; j++) {
        const struct edit_relation *relation = &graph->relations[j];
        if (relation->subject != i || relation->fate != EDGE_KEPT) continue;
        bool said = false; /* with an earlier relation of the same words */
        for (int64_t k = 0; k < j && !said; k++)
            said = graph->relations[k].subject == i && graph->relations[k].fate == EDGE_KEPT &&
                   strcmp(graph->relations[k].predicate, relation->predicate) == 0;
        if (said) continue;
        text_append(out, first ? "" : ", ");
        scene_graph_write_string(out, relation->predicate);
        text_printf(out, ": [%" PRId64, relation->object + 1);
        for (int64_t k = j + 1; k < graph->n_relations; k++)
            if (graph->relations[k].subject == i && graph->relations[k].fate == EDGE_KEPT &&
                strcmp(graph->relations[k].predicate, relation->predicate) == 0)
                text_printf(out, ", %" PRId64, graph->relations[k].object + 1);
        text_append(out, "]");
        first = false;
    }
    text_append(out, "}}");
}

/* The record's own caption, whatever it is; "" where nobody wrote one. */
static const char *caption_of(const struct record *record)
{
    for (int64_t i = 0; i < record->n_texts; i++) {
        const struct record_text *text = &record->texts[i];
        if (strcmp(text->task, "caption") == 0 && text->region < 0 && text->n_turns > 0)
            return text->turns[0].answer;
    }
    return "";
}

char *edit_request_words(const struct record *record, const struct edit_graph *graph)
{
    struct text_buffer out = {0};
    bool first = true;
    text_printf(&out, "Caption:%s\n\nImage Size (width, height): (%" PRId64 ", %" PRId64 ")\n",
                caption_of(record), record->width, record->height);
    text_append(&out, "Generated Scene Graph:\n{");
    for (int64_t i = 0; i < graph->n_objects; i++) {
        if (graph->objects[i].dropped) continue;
        append_object(&out, graph, i, first);
        first = false;
    }
    text_append(&out, "}");
    return text_take(&out);
}

/* The regions of things that are still there; to free(). */
static int64_t *present_regions(const struct edit_graph *graph, int64_t *n_out)
{
    int64_t *regions = memory_new((size_t)graph->n_objects + 1, sizeof *regions);
    *n_out = 0;
    for (int64_t i = 0; i < graph->n_objects; i++)
        if (!graph->objects[i].dropped) regions[(*n_out)++] = i;
    return regions;
}

enum status edit_request_add_drawing(struct edit_request *request,
                                     const struct overlay_style *style)
{
    enum status status = OK;
    size_t size = 0;
    int64_t *present = NULL;
    struct overlay_style shown = *style;
    const int n = request->request.n_images;
    if (style->only == NULL) {
        present = present_regions(request->request.graph, &shown.n_only);
        shown.only = present;
    }
    TRY(overlay_draw(&request->drawn[n], &size, request->request.record, &shown));
    request->request.images[n] = (struct teacher_image){request->drawn[n], size};
    request->request.n_images++;
out:
    free(present);
    return status;
}

void edit_request_begin(struct edit_request *request, const struct record *record,
                        const struct edit_graph *graph, enum teacher_task task)
{
    *request = (struct edit_request){.request = {.task = task, .record = record, .graph = graph}};
    request->request.images[0] = (struct teacher_image){record->image, record->image_size};
    request->request.n_images = record->image_size > 0 ? 1 : 0;
}

void edit_request_finish(struct edit_request *request, const char *schema_name)
{
    request->request.system = request->system;
    request->request.user = request->user;
    request->request.schema = request->schema;
    request->request.schema_name = schema_name;
}

enum status edit_request_make(struct edit_request *request, const struct record *record,
                              const struct edit_graph *graph,
                              const struct edit_request_options *options)
{
    enum status status = OK;
    edit_request_begin(request, record, graph, TEACHER_EDIT);
    for (int i = 0; i < 4 && options->pictures; i++) {
        const struct overlay_style style = {
            .polygons = i % 2 == 1, .reversed = i >= 2, .longest_side = options->image_side};
        TRY(edit_request_add_drawing(request, &style));
    }
    request->system = text_format(edit_system, options->min_added);
    request->user = edit_request_words(record, graph);
    request->schema = edit_reply_schema();
    edit_request_finish(request, "scene_graph_edits");
out:
    if (status != OK) edit_request_release(request);
    return status;
}

/* ---- yes or no ---- */

static const char judge_system[] =
    "You check statements about a picture. You get it as it is, and once more with the things in "
    "question marked by their ids. Each statement names two things by id, box [x1, y1, x2, y2] in "
    "pixels and name, and what the first is or does to the second. Say yes only if the picture "
    "shows it; say no if it does not or if you cannot tell. Answer every statement.";

static char *judge_user(const struct record *record, const struct edit_graph *graph,
                        const int64_t *relations, int64_t n)
{
    struct text_buffer out = {0};
    text_printf(&out, "The size of this image is %" PRId64 "x%" PRId64 " (w,h).\n", record->width,
                record->height);
    for (int64_t i = 0; i < n; i++) {
        const struct edit_relation *relation = &graph->relations[relations[i]];
        const struct edit_object *a = &graph->objects[relation->subject];
        const struct edit_object *b = &graph->objects[relation->object];
        text_printf(&out,
                    "%" PRId64 ". '%s' in region[%" PRId64
                    "] [%.0f, %.0f, %.0f, %.0f] '%s' '%s' in "
                    "region[%" PRId64 "] [%.0f, %.0f, %.0f, %.0f]\n",
                    i + 1, a->name, relation->subject + 1, a->box.x1, a->box.y1, a->box.x2,
                    a->box.y2, relation->predicate, b->name, relation->object + 1, b->box.x1,
                    b->box.y1, b->box.x2, b->box.y2);
    }
    return text_take(&out);
}

static json_t *judge_schema(void)
{
    json_t *schema = json_pack(
        "{s:s, s:[s], s:b, s:{s:{s:s, s:{s:s, s:[s,s], s:b, s:{s:{s:s}, s:{s:s}}}}}}", "type",
        "object", "required", "answers", "additionalProperties", 0, "properties", "answers", "type",
        "array", "items", "type", "object", "required", "statement", "yes", "additionalProperties",
        0, "properties", "statement", "type", "integer", "yes", "type", "boolean");
    ASSERT(schema != NULL, "a schema could not be made");
    return schema;
}

/* The regions that the statements speak of, each once, ascending; to free(). */
static int64_t *regions_of(const struct edit_graph *graph, const int64_t *relations, int64_t n,
                           int64_t *n_out)
{
    bool *in = memory_new((size_t)graph->n_objects + 1, sizeof *in);
    int64_t *regions = memory_new((size_t)graph->n_objects + 1, sizeof *regions);
    for (int64_t i = 0; i < n; i++) {
        in[graph->relations[relations[i]].subject] = true;
        in[graph->relations[relations[i]].object] = true;
    }
    *n_out = 0;
    for (int64_t i = 0; i < graph->n_objects; i++)
        if (in[i]) regions[(*n_out)++] = i;
    free(in);
    return regions;
}

enum status judge_request_make(struct edit_request *request, const struct record *record,
                               const struct edit_graph *graph, const int64_t *relations, int64_t n,
                               const struct edit_request_options *options)
{
    enum status status = OK;
    int64_t n_regions = 0, *regions = regions_of(graph, relations, n, &n_regions);
    edit_request_begin(request, record, graph, TEACHER_JUDGE);
    request->request.relations = relations;
    request->request.n_relations = n;
    const struct overlay_style style = {
        .longest_side = options->image_side, .only = regions, .n_only = n_regions};
    if (options->pictures) TRY(edit_request_add_drawing(request, &style));
    request->system = text_copy(judge_system);
    request->user = judge_user(record, graph, relations, n);
    request->schema = judge_schema();
    edit_request_finish(request, "statements");
out:
    free(regions);
    if (status != OK) edit_request_release(request);
    return status;
}

enum status judge_reply_read(int *answers, int64_t n, const char *reply)
{
    enum status status = OK;
    json_error_t error;
    json_t *root = json_loads(reply, JSON_REJECT_DUPLICATES, &error);
    const json_t *list = json_object_get(root, "answers");
    for (int64_t i = 0; i < n; i++) answers[i] = -1;
    if (!json_is_array(list)) FAIL(ERR_FORMAT, "the reply must be an object with 'answers'");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *row = json_array_get(list, i), *yes = json_object_get(row, "yes");
        const json_t *number = json_object_get(row, "statement");
        if (!json_is_integer(number) || !json_is_boolean(yes))
            FAIL(ERR_FORMAT, "answers[%zu] must be {statement, yes}", i);
        const json_int_t at = json_integer_value(number);
        if (at < 1 || at > n || answers[at - 1] >= 0)
            FAIL(ERR_FORMAT,
                 "answers[%zu] is about statement %lld, which is not asked or answered "
                 "before",
                 i, (long long)at);
        answers[at - 1] = json_is_true(yes);
    }
out:
    json_decref(root);
    return status;
}
