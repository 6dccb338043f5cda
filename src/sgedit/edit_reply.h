/* A teacher's edits: read, judged one by one, applied. */
#ifndef ROBIN_SGEDIT_EDIT_REPLY_H
#define ROBIN_SGEDIT_EDIT_REPLY_H

#include "base/status.h"
#include "sgedit/edit_graph.h"

/* The schema of the reply, in the strict subset (every property required, nothing else allowed):
 * {edit: [{obj_id, name, add: [{rel, obj_ids}], remove: [{rel, obj_ids}]}]}. To json_decref. */
json_t *edit_reply_schema(void);

/* Names are set where not empty, relations added, then removed. An edit that cannot be applied
 * (unknown id, empty or forbidden text, relation to itself, already there, not there) is recorded
 * in graph->refusals, and the others count. `by`: the teacher, for provenance. *graph is as it was
 * on failure.
 * Errors  ERR_FORMAT when the reply is not of the schema at all */
enum status edit_reply_apply(struct edit_graph *graph, const char *reply, const char *by);

#endif
