/* Graphs as lines of the files that the authors released, and of the ledger. */
#ifndef ROBIN_SGEDIT_RELEASE_LINES_H
#define ROBIN_SGEDIT_RELEASE_LINES_H

#include "base/status.h"
#include "base/text_buffer.h"
#include "corpus/record.h"
#include "sgedit/edit_graph.h"

/* Of `sg/`: {image_id, metadata/height, metadata/width, regions: [{segmentation, bbox, area,
 * object}], scene_graph: "{\"objects\": [...], \"relations\": [[s, o, predicate]]}"}. */
enum status graph_line(struct text_buffer *out, const struct record *record,
                       const struct edit_graph *graph);

/* Of `relations/`: {image_id, width, height, relations: {subject: {description, relations:
 * {category: [[object, predicate]]}, mentioned_objects}}, object_details, id_region_mapping,
 * regions, all_mentioned_objects}. Relations without a category stand under "spatial" if their
 * words are a direction, else "interactional". */
enum status relations_line(struct text_buffer *out, const struct record *record,
                           const struct edit_graph *graph);

/* {image_id, and what the journal has: objects, relations with their fates, refused}. */
void ledger_line(struct text_buffer *out, const struct record *record,
                 const struct edit_graph *graph);

#endif
