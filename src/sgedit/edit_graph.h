/* The graph of one picture on its way from draft to final. Nothing leaves it: what the teacher
 * removed and what a filter dropped stays, with by whom and why, so that "why is this triple
 * missing" has an answer. As JSON it is what the journal keeps of a finished item. */
#ifndef ROBIN_SGEDIT_EDIT_GRAPH_H
#define ROBIN_SGEDIT_EDIT_GRAPH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "image/rle.h"
#include "text/scene_graph.h"

enum edge_origin { EDGE_DRAFTED, EDGE_ADDED, N_EDGE_ORIGINS };
enum edge_fate { EDGE_KEPT, EDGE_REMOVED, EDGE_DROPPED, N_EDGE_FATES };
extern const char *const edge_origin_names[N_EDGE_ORIGINS]; /* "drafted", "added" */
extern const char *const edge_fate_names[N_EDGE_FATES];     /* "kept", "removed", "dropped" */

struct edit_object { /* object i is region i of the picture, numbered i + 1 for people */
    char *name, *draft_name;
    bool dropped;      /* by a filter, with all its relations */
    char *by, *why;    /* "" unless dropped */
    struct box box;    /* of its region; not in the JSON */
    char *description; /* curation: of a subject; "" */
};

struct edit_relation {
    int64_t subject, object;
    char *predicate, *kind; /* kind as in a record, "" unknown */
    enum edge_origin origin;
    enum edge_fate fate;
    char *by, *why; /* "" while kept: teacher or filter, and a sentence */
};

struct edit_refusal { /* an edit that could not be applied */
    char *edit, *why;
};

struct edit_graph { /* zeroed is empty and releasable */
    struct edit_object *objects;
    int64_t n_objects;
    struct edit_relation *relations;
    int64_t n_relations;
    struct edit_refusal *refusals;
    int64_t n_refusals;
    char *failure;  /* NULL, or why the teacher's edit could not be had: the draft is as it was */
    bool truncated; /* the draft ended at the limit of tokens */
    int64_t n_proposals, n_unannotated; /* regions proposed, and those that nobody annotated */
};
void edit_graph_release(struct edit_graph *graph);

struct edit_triple {
    int64_t subject, object;
    const char *predicate, *kind;
};
void edit_graph_add(struct edit_graph *graph, const struct edit_triple *triple,
                    enum edge_origin origin);
void edit_graph_refuse(struct edit_graph *graph, const char *edit, const char *why);
/* `by` and `why` are copied. */
void edit_relation_end(struct edit_relation *relation, enum edge_fate fate, const char *by,
                       const char *why);
/* The kept relation that is this triple; NULL if there is none. */
struct edit_relation *edit_graph_find(const struct edit_graph *graph,
                                      const struct edit_triple *triple);

/* From what a drafter gave: object k of the draft is region k. Texts that may not stand in a graph,
 * repeats and relations of a thing to itself are refused. boxes [n_regions]. */
void edit_graph_begin(struct edit_graph *graph, const struct scene_graph *draft,
                      const struct box *boxes, int64_t n_regions);

/* To json_decref. */
json_t *edit_graph_to_json(const struct edit_graph *graph);
/* ERR_FORMAT naming place and field. */
enum status edit_graph_from_json(struct edit_graph *graph_out, const json_t *json,
                                 struct json_place place);

#endif
