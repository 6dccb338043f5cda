/* Who writes the first graph of a picture. Pictures are handed over and their drafts come back
 * later, in any order. */
#ifndef ROBIN_SGEDIT_DRAFTER_H
#define ROBIN_SGEDIT_DRAFTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "corpus/record.h"
#include "text/scene_graph.h"

struct draft { /* zeroed is releasable */
    int64_t item;
    struct scene_graph graph; /* object k is region k of the record */
    bool truncated;           /* it ended at the limit of tokens */
    int64_t n_tokens;         /* written for it */
};
void draft_release(struct draft *draft);

struct drafter {
    const char *name; /* for provenance */
    bool keeps;       /* its drafts cost something and go into the journal */
    void *context;
    bool (*has_room)(void *context);
    /* The record is borrowed for the call alone. */
    enum status (*submit)(void *context, int64_t item, const struct record *record);
    /* Works on; a draft if one is done. */
    enum status (*collect)(void *context, struct draft *draft_out, bool *got);
    void (*release)(void *context);
};

/* The file's line i (datasets/README.md) is the draft of record i: {image_id, objects: [name],
 * relations: [[subject, object, predicate]], truncated}. ERR_FORMAT when it has fewer than n_items
 * lines. */
enum status recorded_drafter_create(struct drafter *drafter_out, const char *path, int64_t n_items);

/* The record's own objects and relations. */
enum status corpus_drafter_create(struct drafter *drafter_out);

/* {"objects": [...], "relations": [...]} and back. */
json_t *draft_to_json(const struct draft *draft);
/* ERR_FORMAT naming place and field, also for more objects than n_regions. */
enum status draft_from_json(struct draft *draft_out, const json_t *json, int64_t n_regions,
                            struct json_place place);

#endif
