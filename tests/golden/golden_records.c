/* See golden_records.h. Here: scene graphs, panoptic ones among them, and expressions. */
#include "golden_records.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "golden_builder.h"
#include "golden_text.h"
#include "image/panoptic.h"
#include "image/rle.h"

/* What names no object of the picture is no relation. */
static void add_relations(struct record *record, json_t *objects, int64_t subject,
                          const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *relation = json_array_get(list, i);
        int64_t object =
            golden_place_of(objects, json_string_value(json_object_get(relation, "object")));
        if (object >= 0)
            golden_add_relation(record, subject, object, golden_text_string(relation, "name"), "");
    }
}

static enum status read_graph(const struct golden_reading *reading, const char *id,
                              const json_t *from)
{
    enum status status = OK;
    struct record *record = golden_add_record(reading, id, from, NULL);
    json_t *objects = json_object_get(from, "objects"), *value;
    const char *key;
    int64_t subject = 0;
    json_object_foreach(objects, key, value)
    {
        const int64_t region =
            golden_add_region(record, golden_box(json_object_get(value, "bbox")));
        struct record_object *object =
            golden_add_object(record, golden_text_string(value, "name"), region);
        const json_t *attributes = json_object_get(value, "attributes");
        for (size_t i = 0; i < json_array_size(attributes); i++)
            golden_add_attribute(object, json_string_value(json_array_get(attributes, i)));
        TRY(golden_add_mask(record, region, json_object_get(value, "segmentation")));
        add_relations(record, objects, subject++, json_object_get(value, "relations"));
    }
out:
    return status;
}

static const char *class_name(const json_t *root, int64_t category)
{
    const json_t *things = json_object_get(root, "thing_classes");
    const json_t *stuff = json_object_get(root, "stuff_classes");
    size_t at = (size_t)category, n_things = json_array_size(things);
    const char *name = json_string_value(at < n_things ? json_array_get(things, at)
                                                       : json_array_get(stuff, at - n_things));
    return name ? name : "";
}

static enum status read_psg(const struct golden_reading *reading, const json_t *from,
                            const json_t *root)
{
    enum status status = OK;
    struct panoptic panoptic = {0};
    struct record *record =
        golden_add_record(reading, golden_text_string(from, "image_id"), from, NULL);
    const char *name = golden_text_string(from, "pan_seg_file_name");
    char *path = text_format("%s/../../data/%s", reading->directory,
                             golden_text_string(reading->files, name));
    const json_t *segments = json_object_get(from, "segments_info");
    const json_t *annotations = json_object_get(from, "annotations");
    const json_t *relations = json_object_get(from, "relations");
    const json_t *predicates = json_object_get(root, "predicate_classes");
    TRY(panoptic_read(&panoptic, path));
    for (size_t i = 0; i < json_array_size(segments); i++) {
        const json_t *segment = json_array_get(segments, i);
        int64_t category = json_integer_value(json_object_get(segment, "category_id"));
        int64_t id = json_integer_value(json_object_get(segment, "id"));
        struct box box = golden_box(json_object_get(json_array_get(annotations, i), "bbox"));
        golden_add_object(record, class_name(root, category), golden_add_region(record, box));
        const struct rle *mask = panoptic_mask(&panoptic, (uint32_t)id);
        if (!mask) FAIL(ERR_FORMAT, "%s has no segment %lld", path, (long long)id);
        TRY(rle_copy(&record->regions[i].mask, mask));
    }
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *relation = json_array_get(relations, i);
        int64_t v[3];
        for (size_t k = 0; k < 3; k++) v[k] = json_integer_value(json_array_get(relation, k));
        golden_add_relation(record, v[0], v[1],
                            json_string_value(json_array_get(predicates, (size_t)v[2])), "");
    }
out:
    free(path);
    panoptic_release(&panoptic);
    return status;
}

enum status golden_read_graphs(const struct golden_reading *reading)
{
    enum status status = OK;
    json_t *root = json_object_get(reading->row, "records"), *value;
    const json_t *data = json_object_get(root, "data");
    const char *key;
    for (size_t i = 0; i < json_array_size(data); i++)
        TRY(read_psg(reading, json_array_get(data, i), root));
    for (size_t i = 0; i < json_array_size(root); i++) {
        const json_t *picture = json_array_get(root, i);
        TRY(read_graph(reading, golden_text_string(picture, "image_id"), picture));
    }
    if (!data && json_is_object(root))
        json_object_foreach(root, key, value) TRY(read_graph(reading, key, value));
out:
    return status;
}

enum status golden_read_refexp(const struct golden_reading *reading)
{
    enum status status = OK;
    const json_t *root = json_object_get(reading->row, "records");
    for (size_t k = 0; k < json_array_size(root); k++) {
        const json_t *from = json_array_get(root, k);
        const char *image = golden_text_string(from, "image");
        struct record *record = golden_add_record(reading, image, from, image);
        const json_t *regions = json_object_get(from, "regions");
        const json_t *captions = json_object_get(from, "annot");
        for (size_t i = 0; i < json_array_size(regions); i++) {
            const json_t *region = json_array_get(regions, i);
            struct box box = golden_box(json_object_get(region, "xyxy"));
            golden_add_object(record, "", golden_add_region(record, box));
            TRY(golden_add_mask(record, (int64_t)i, json_object_get(region, "segmentation")));
        }
        for (size_t i = 0; i < json_array_size(captions); i++) {
            const json_t *caption = json_array_get(captions, i);
            golden_add_text(record, "refexp",
                            json_integer_value(json_object_get(caption, "region_index")), "",
                            golden_text_string(caption, "caption"));
        }
    }
out:
    return status;
}

void golden_records_release(struct golden_records *records)
{
    for (int64_t i = 0; i < records->n; i++) record_release(&records->records[i]);
    free(records->records);
    *records = (struct golden_records){0};
}
