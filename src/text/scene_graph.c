/* Scene graphs in memory, and as text in the forms of the reference. */
#include "text/scene_graph.h"

#include <stdlib.h>
#include <string.h>

struct scene_object *scene_graph_add_object(struct scene_graph *graph, const char *name)
{
    size_t n = (size_t)graph->n_objects + 1;
    graph->objects = memory_resize(graph->objects, n, sizeof *graph->objects);
    struct scene_object *object = &graph->objects[graph->n_objects++];
    *object = (struct scene_object){.name = text_copy(name)};
    return object;
}

void scene_object_add_attribute(struct scene_object *object, const char *attribute)
{
    size_t n = (size_t)object->n_attributes + 1;
    object->attributes = memory_resize(object->attributes, n, sizeof *object->attributes);
    object->attributes[object->n_attributes++] = text_copy(attribute);
}

void scene_graph_add_relation(struct scene_graph *graph, int64_t subject, int64_t object,
                              const char *predicate)
{
    size_t n = (size_t)graph->n_relations + 1;
    graph->relations = memory_resize(graph->relations, n, sizeof *graph->relations);
    graph->relations[graph->n_relations++] = (struct scene_relation){
        .subject = subject, .object = object, .predicate = text_copy(predicate)};
}

void scene_graph_release(struct scene_graph *graph)
{
    for (int64_t i = 0; i < graph->n_objects; i++) {
        struct scene_object *object = &graph->objects[i];
        for (int64_t a = 0; a < object->n_attributes; a++) free(object->attributes[a]);
        free(object->attributes);
        free(object->name);
    }
    for (int64_t i = 0; i < graph->n_relations; i++) free(graph->relations[i].predicate);
    free(graph->objects);
    free(graph->relations);
    *graph = (struct scene_graph){0};
}

/* The relations in the order they stand in, subject by subject. */
struct grouped {
    int64_t *relation; /* [n_relations]: indices */
    int64_t *start;    /* [n_objects + 1] */
};

static struct grouped group_by_subject(const struct scene_graph *graph)
{
    struct grouped g = {.relation = memory_new((size_t)graph->n_relations + 1, sizeof *g.relation),
                        .start = memory_new((size_t)graph->n_objects + 2, sizeof *g.start)};
    for (int64_t i = 0; i < graph->n_relations; i++) g.start[graph->relations[i].subject + 2]++;
    for (int64_t i = 2; i < graph->n_objects + 2; i++) g.start[i] += g.start[i - 1];
    for (int64_t i = 0; i < graph->n_relations; i++)
        g.relation[g.start[graph->relations[i].subject + 1]++] = i;
    return g;
}

static void grouped_release(struct grouped *g)
{
    free(g->relation);
    free(g->start);
}

/* "region2 holding, region3 behind" */
static void write_targets(struct text_buffer *out, const struct scene_graph *graph,
                          const struct grouped *g, int64_t subject)
{
    for (int64_t i = g->start[subject]; i < g->start[subject + 1]; i++) {
        const struct scene_relation *relation = &graph->relations[g->relation[i]];
        text_printf(out, "%sregion%lld %s", i > g->start[subject] ? ", " : "",
                    (long long)relation->object + 1, relation->predicate);
    }
}

/* "holding: region2, region4; behind: region3;", predicates by first appearance */
static void write_by_predicate(struct text_buffer *out, const struct scene_graph *graph,
                               const struct grouped *g, int64_t subject)
{
    int64_t first = g->start[subject], last = g->start[subject + 1];
    bool *written = memory_new((size_t)(last - first) + 1, sizeof *written);
    for (int64_t i = first; i < last; i++) {
        if (written[i - first]) continue;
        const char *predicate = graph->relations[g->relation[i]].predicate;
        text_printf(out, "%s%s: ", i > first ? " " : "", predicate);
        for (int64_t j = i; j < last; j++) {
            const struct scene_relation *same = &graph->relations[g->relation[j]];
            if (strcmp(same->predicate, predicate) != 0) continue;
            text_printf(out, "%sregion%lld", j > i ? ", " : "", (long long)same->object + 1);
            written[j - first] = true;
        }
        text_append_char(out, ';');
    }
    free(written);
}

static void write_name(struct text_buffer *out, const struct scene_graph *graph, int64_t index,
                       bool detection)
{
    const struct scene_object *object = &graph->objects[index];
    text_printf(out, "region%lld: %s", (long long)index + 1, object->name);
    for (int64_t a = 0; a < object->n_attributes; a++)
        text_printf(out, "%s%s", a ? ", " : detection ? " in " : " is ", object->attributes[a]);
}

static enum status write_blocks(struct text_buffer *out, const struct scene_graph *graph,
                                const struct grouped *g, const struct scene_graph_format *format)
{
    enum status status = OK;
    text_append(out, "Objects:\n");
    for (int64_t i = 0; i < graph->n_objects; i++) {
        write_name(out, graph, i, format->detection);
        if (format->detection) {
            if (!graph->objects[i].has_box)
                FAIL(ERR_FORMAT, "object %lld (%s) of the scene graph has no box", (long long)i + 1,
                     graph->objects[i].name);
            text_append_char(out, ' ');
            TRY(box_text_write(out, &graph->objects[i].box, 1, format->width, format->height,
                               &format->box_format));
        }
        text_append_char(out, '\n');
    }
    if (graph->n_relations > 0 || format->always_relations) text_append(out, "\nRelations:\n");
    for (int64_t i = 0; i < graph->n_objects; i++) {
        if (g->start[i] == g->start[i + 1]) continue;
        text_printf(out, "region%lld: ", (long long)i + 1);
        if (format->mode == SCENE_GRAPH_BY_PREDICATE)
            write_by_predicate(out, graph, g, i);
        else
            write_targets(out, graph, g, i);
        text_append_char(out, '\n');
    }
out:
    return status;
}

static void write_inline(struct text_buffer *out, const struct scene_graph *graph,
                         const struct grouped *g, bool detection)
{
    for (int64_t i = 0; i < graph->n_objects; i++) {
        write_name(out, graph, i, detection);
        text_append_char(out, '\n');
        if (g->start[i] == g->start[i + 1]) continue;
        text_append(out, "Relations: ");
        write_targets(out, graph, g, i);
        text_append_char(out, '\n');
    }
}

void scene_graph_write_string(struct text_buffer *out, const char *text)
{
    char quote = strchr(text, '\'') && !strchr(text, '"') ? '"' : '\'';
    text_append_char(out, quote);
    for (const char *c = text; *c; c++) {
        if (*c == '\n')
            text_append(out, "\\n");
        else if (*c == '\r')
            text_append(out, "\\r");
        else if (*c == '\t')
            text_append(out, "\\t");
        else if ((unsigned char)*c < 32 || *c == 127)
            text_printf(out, "\\x%02x", (unsigned)*c);
        else if (*c == '\\' || *c == quote)
            text_printf(out, "\\%c", *c);
        else
            text_append_char(out, *c);
    }
    text_append_char(out, quote);
}

static void write_literal(struct text_buffer *out, const struct scene_graph *graph,
                          const struct grouped *g)
{
    for (int64_t i = 0; i < graph->n_objects; i++) {
        const struct scene_object *object = &graph->objects[i];
        text_printf(out, "region%lld: name: %s", (long long)i + 1, object->name);
        for (int64_t a = 0; a < object->n_attributes; a++) {
            text_append(out, a ? ", " : ", attributes: [");
            scene_graph_write_string(out, object->attributes[a]);
        }
        if (object->n_attributes > 0) text_append_char(out, ']');
        for (int64_t r = g->start[i]; r < g->start[i + 1]; r++) {
            const struct scene_relation *relation = &graph->relations[g->relation[r]];
            text_printf(out,
                        "%s{'object': %lld, 'name': ", r > g->start[i] ? ", " : ", relations: [",
                        (long long)relation->object + 1);
            scene_graph_write_string(out, relation->predicate);
            text_append_char(out, '}');
        }
        if (g->start[i] < g->start[i + 1]) text_append_char(out, ']');
        text_append_char(out, '\n');
    }
}

enum status scene_graph_write(struct text_buffer *out, const struct scene_graph *graph,
                              const struct scene_graph_format *format)
{
    enum status status = OK;
    struct grouped g = {0};
    if (format->detection && format->mode == SCENE_GRAPH_LITERAL)
        FAIL(ERR_UNSUPPORTED, "scene graphs for detection have no mode 3; use sg_mode 2");
    for (int64_t i = 0; i < graph->n_relations; i++) {
        const struct scene_relation *relation = &graph->relations[i];
        if (relation->subject < 0 || relation->subject >= graph->n_objects ||
            relation->object < 0 || relation->object >= graph->n_objects)
            FAIL(ERR_FORMAT,
                 "relation %lld (%s) of the scene graph names an object that it has not",
                 (long long)i, relation->predicate);
    }
    g = group_by_subject(graph);
    switch (format->mode) {
    case SCENE_GRAPH_BY_PREDICATE:
    case SCENE_GRAPH_BLOCKS: TRY(write_blocks(out, graph, &g, format)); break;
    case SCENE_GRAPH_INLINE: write_inline(out, graph, &g, format->detection); break;
    case SCENE_GRAPH_LITERAL: write_literal(out, graph, &g); break;
    }
out:
    grouped_release(&g);
    return status;
}
