/* Curation of relations: a teacher describes some things of a picture and how they relate to the
 * others, in five categories. */
#ifndef ROBIN_SGEDIT_COMPLETE_REQUEST_H
#define ROBIN_SGEDIT_COMPLETE_REQUEST_H

#include "base/status.h"
#include "sgedit/edit_request.h"

#define COMPLETE_MAX_DESCRIPTION_BYTES 2000

/* Two pictures: the original, and one with the regions; the words have names, boxes and the
 * relations known so far. */
enum status complete_request_make(struct edit_request *request, const struct record *record,
                                  const struct edit_graph *graph, int64_t min_subjects,
                                  const struct edit_request_options *options);

/* {subjects: [{obj_id, description, relations: [{category, obj_id, predicate}]}]}: descriptions are
 * set, relations added with their category; what cannot be is refused and listed. ERR_FORMAT when
 * the reply is not of the schema or speaks of fewer than min_subjects things (of all, where there
 * are fewer); *graph is as it was then. */
enum status complete_reply_apply(struct edit_graph *graph, const char *reply, int64_t min_subjects);

#endif
