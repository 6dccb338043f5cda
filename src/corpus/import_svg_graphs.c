/* SVG scene graphs: rows of {image_id: a file name, regions, scene_graph: JSON inside a string},
 * where object i has region i. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "corpus/import.h"
#include "corpus/import_common.h"
#include "corpus/import_graph.h"
#include "corpus/json_spans.h"

struct graphs {
    struct json_text text;
    struct json_spans rows;
    char *images;
};

static void graphs_release(void *context)
{
    struct graphs *graphs = context;
    json_spans_release(&graphs->rows);
    json_text_release(&graphs->text);
    free(graphs->images);
    free(graphs);
}

struct graph_row {
    const json_t *json, *graph;
    struct json_place place; /* `record` is the picture's name */
    struct record *record;
    struct item_note *note;
    int64_t *regions; /* [n_regions] the record's region, -1: dropped */
    int64_t n_regions;
    int64_t *objects; /* [n_objects] in the same way */
    int64_t n_objects;
};

/* The graph as JSON text, as the public rows have it, or as an object. */
static enum status parse_graph(json_t **graph_out, const json_t *json, struct json_place place)
{
    enum status status = OK;
    json_error_t error;
    json_t *value = json_object_get(json, "scene_graph");
    const char *text = json_string_value(value);
    json_t *graph =
        text == NULL ? json_incref(value) : json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (text != NULL && graph == NULL)
        FAIL(ERR_FORMAT, "%s: %s: field 'scene_graph' is not JSON near its character %d: %s",
             place.file, place.record, error.position, error.text);
    if (!json_is_object(graph))
        FAIL(ERR_FORMAT, "%s: %s: field 'scene_graph' must be a JSON object or a text of one",
             place.file, place.record);
    *graph_out = graph;
    graph = NULL;
out:
    json_decref(graph);
    return status;
}

static enum status read_object(struct graph_row *row, size_t i, const json_t *name,
                               struct json_place place)
{
    enum status status = OK;
    if (!json_is_string(name))
        FAIL(ERR_FORMAT, "%s: %s: the name must be a string", place.file, place.record);
    if ((int64_t)i >= row->n_regions)
        FAIL(ERR_FORMAT, "%s: %s: there are %" PRId64 " regions", place.file, place.record,
             row->n_regions);
    if (row->regions[i] < 0)
        FAIL(ERR_FORMAT, "%s: %s: its region was dropped", place.file, place.record);
    TRY(import_add_object(row->record, json_string_value(name), row->regions[i], place));
out:
    return status;
}

static enum status read_objects(struct graph_row *row)
{
    enum status status = OK;
    json_t *names = NULL;
    char *where = NULL;
    TRY(json_field(&names, row->graph, "objects", JSON_ARRAY, row->place));
    row->n_objects = (int64_t)json_array_size(names);
    row->objects = memory_new((size_t)row->n_objects + 1, sizeof *row->objects);
    for (size_t i = 0; i < (size_t)row->n_objects; i++) {
        free(where);
        where = text_format("%s.objects[%zu]", row->place.record, i);
        const struct import_mark mark = import_mark(row->record);
        status = read_object(row, i, json_array_get(names, i),
                             (struct json_place){row->place.file, where});
        row->objects[i] = status == OK ? mark.n_objects : -1;
        if (status != OK) TRY(import_drop(row->record, mark, row->note, status, "object"));
    }
out:
    free(where);
    return status;
}

static enum status read_relation(struct graph_row *row, const json_t *triple,
                                 struct json_place place)
{
    enum status status = OK;
    int64_t subject = -1;
    int64_t object = -1;
    const char *predicate = json_string_value(json_array_get(triple, 2));
    if (json_array_size(triple) != 3 || predicate == NULL)
        FAIL(ERR_FORMAT, "%s: %s: must be [subject, object, predicate]", place.file, place.record);
    TRY(import_index(&subject, triple, 0, row->n_objects, "subject", place));
    TRY(import_index(&object, triple, 1, row->n_objects, "object", place));
    if (row->objects[subject] < 0 || row->objects[object] < 0)
        FAIL(ERR_FORMAT, "%s: %s: one of its objects was dropped", place.file, place.record);
    TRY(import_add_relation(row->record, row->objects[subject], predicate, row->objects[object],
                            place));
out:
    return status;
}

static enum status read_relations(struct graph_row *row)
{
    enum status status = OK;
    json_t *relations = NULL;
    char *where = NULL;
    TRY(json_field(&relations, row->graph, "relations", JSON_ARRAY, row->place));
    for (size_t i = 0; i < json_array_size(relations); i++) {
        free(where);
        where = text_format("%s.relations[%zu]", row->place.record, i);
        const struct import_mark mark = import_mark(row->record);
        status = read_relation(row, json_array_get(relations, i),
                               (struct json_place){row->place.file, where});
        if (status != OK) TRY(import_drop(row->record, mark, row->note, status, "relation"));
    }
out:
    free(where);
    return status;
}

/* Height and width: flattened names, or an object `metadata`; null where nobody knew them. */
static enum status read_size(struct graph_row *row)
{
    const json_t *metadata = json_object_get(row->json, "metadata");
    if (json_is_object(metadata))
        return import_size(row->record, metadata, "height", "width", row->place);
    return import_size(row->record, row->json, "metadata/height", "metadata/width", row->place);
}

static enum status read_row(struct graph_row *row, const char *images)
{
    enum status status = OK;
    struct record *record = row->record;
    json_t *regions = NULL;
    char *name = import_picture_name(row->place.record);
    char *where = text_format("%s.regions", row->place.record);
    record->id = text_format("svg-graphs/%s", row->place.record);
    record->source = text_format("svg-graphs:%s", import_base_name(row->place.file));
    TRY(read_size(row));
    TRY(import_picture(record, images, name, row->note));
    row->note->reason = "annotation";
    TRY(json_field(&regions, row->json, "regions", JSON_ARRAY, row->place));
    row->n_regions = (int64_t)json_array_size(regions);
    TRY(import_region_list(&row->regions, record, regions, row->note,
                           (struct json_place){row->place.file, where}));
    TRY(read_objects(row));
    TRY(read_relations(row));
    TRY_WHERE(record_check(record), "%s", row->place.file);
out:
    free(where);
    free(name);
    return status;
}

static enum status graphs_make(void *context, int64_t item, struct record *record,
                               struct item_note *note)
{
    enum status status = OK;
    const struct graphs *graphs = context;
    json_t *json = NULL;
    json_t *graph = NULL;
    char *id = NULL;
    struct graph_row row = {.record = record, .note = note};
    TRY(json_span_parse(&json, &graphs->text, graphs->rows.spans[item]));
    note->reason = "annotation";
    id = import_id_text(json_object_get(json, "image_id"));
    if (id == NULL)
        FAIL(ERR_FORMAT, "%s: row %" PRId64 ": field 'image_id' must be a string or an integer",
             graphs->text.path, item);
    row.json = json;
    row.place = (struct json_place){graphs->text.path, id};
    TRY(parse_graph(&graph, json, row.place));
    row.graph = graph;
    TRY(read_row(&row, graphs->images));
out:
    json_decref(graph);
    json_decref(json);
    free(row.regions);
    free(row.objects);
    free(id);
    return status;
}

enum status import_svg_graphs(struct record_source *source_out,
                              const struct import_options *options)
{
    enum status status = OK;
    struct graphs *graphs = memory_new(1, sizeof *graphs);
    TRY(json_text_open(&graphs->text, options->annotations));
    TRY(json_rows_list(&graphs->rows, &graphs->text));
    if (graphs->rows.n == 0) FAIL(ERR_FORMAT, "%s holds no row", options->annotations);
    graphs->images = text_copy(options->images);
    *source_out = (struct record_source){graphs->rows.n, graphs, graphs_make, graphs_release};
    graphs = NULL;
out:
    if (graphs != NULL) graphs_release(graphs);
    return status;
}
