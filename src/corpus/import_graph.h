/* Parts of annotation files that several kinds have in common. */
#ifndef ROBIN_CORPUS_IMPORT_GRAPH_H
#define ROBIN_CORPUS_IMPORT_GRAPH_H

#include <jansson.h>

#include "corpus/import_common.h"

/* Relations of a graph in GQA's shape, {id: {relations: [{name, object: id}]}}, in its order.
 * `numbers` maps ids to indices of the record's objects; a relation that has an end outside it is
 * dropped as "relation". */
enum status import_graph_relations(struct record *record, json_t *objects, const json_t *numbers,
                                   struct item_note *note, struct json_place place);

/* Regions {segmentation, bbox: [x, y, w, h]} of a list; one of the two may be missing. Those that
 * fail are dropped as "region". numbers_out [n]: the record's region of each, -1: dropped; to
 * free(). */
enum status import_region_list(int64_t **numbers_out, struct record *record, const json_t *list,
                               struct item_note *note, struct json_place place);

/* An id as text, to free(): files write them as strings or integers. NULL: neither. */
char *import_id_text(const json_t *id);

/* The name of the picture file: the id itself when it has an extension, otherwise with ".jpg"; to
 * free(). */
char *import_picture_name(const char *id);

/* Height and width where the object has them under these keys, else 0: the picture says. null is
 * as good as missing. */
enum status import_size(struct record *record, const json_t *object, const char *height,
                        const char *width, struct json_place place);

#endif
