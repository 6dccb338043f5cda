/* How near a graph is to what the corpus knows of its picture: draft and final graph against the
 * annotations. A relation is right if it is annotated between the same regions in the same words,
 * so one that is true and not annotated counts as wrong. */
#ifndef ROBIN_SGEDIT_GRAPH_SCORE_H
#define ROBIN_SGEDIT_GRAPH_SCORE_H

#include <stdint.h>

#include "base/status.h"
#include "config/run_config.h"
#include "corpus/record.h"
#include "sgedit/edit_graph.h"

struct graph_score {   /* of one picture, or summed over pictures */
    int64_t annotated; /* relations */
    int64_t drafted, drafted_right, final, final_right;
    int64_t named; /* objects with an annotated name that are in the final graph */
    int64_t drafted_names, final_names; /* of them right, with attributes */
};
struct graph_score graph_score_of(const struct edit_graph *graph, const struct record *record);

/* Three lines for people, to free(). */
char *graph_score_text(const struct graph_score *score);

/* Prints every row of generate.gains, met or missed. ERR_DIVERGED if one is missed. */
enum status graph_score_check(const struct graph_score *score,
                              const struct config_generate *config);

#endif
