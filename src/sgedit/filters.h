/* Rules that drop relations (and objects) of an edited graph. Each drop is written down in the
 * graph with the filter's name and the numbers that decided. The authors' own rules are not
 * public: these are ours, and say no only where the picture's geometry contradicts the words. */
#ifndef ROBIN_SGEDIT_FILTERS_H
#define ROBIN_SGEDIT_FILTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "config/run_config.h"
#include "corpus/record.h"
#include "sgedit/edit_graph.h"

extern const char *const filter_names[]; /* by enum config_filter_kind */

struct filtering {
    const struct record *record;
    struct edit_graph *graph;
    const struct config_generate *config;
    const struct rle *proposals; /* [n_proposals] masks of the picture */
    int64_t n_proposals;
    bool *decided; /* [graph->n_relations] a rule has had its say; written */
};

/* Filter number `index` of the configuration, which is not a judge.
 * Errors  those of reading the depth picture */
enum status filter_apply(const struct filtering *filtering, int64_t index);

/* Counts into the graph how many proposals there are, and how many of them no annotated region of
 * the picture overlaps by more than region_iou's threshold. */
void filter_count_proposals(const struct filtering *filtering);

/* What a judge is asked: kept relations that its row of the configuration names, or that no rule
 * decided. Indices into relations, to free(). */
int64_t *filter_to_judge(const struct filtering *filtering, int64_t index, int64_t *n_out);

/* Directions of the picture that a predicate's words say; for rules and tests. */
enum spatial_word {
    SPATIAL_NONE,
    SPATIAL_LEFT,
    SPATIAL_RIGHT,
    SPATIAL_ABOVE,
    SPATIAL_BELOW,
    SPATIAL_INSIDE,
    SPATIAL_FRONT,
    SPATIAL_BEHIND
};
enum spatial_word spatial_word_of(const char *predicate);

#endif
