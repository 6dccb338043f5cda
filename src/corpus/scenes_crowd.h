/* Crowded scenes: many small things, as many relations as dense graphs of photographs have, both
 * with long tails. They measure how a corpus of that size behaves; what they show is simple. For
 * scenes.c. */
#ifndef ROBIN_CORPUS_SCENES_CROWD_H
#define ROBIN_CORPUS_SCENES_CROWD_H

#include "corpus/scenes_layout.h"

/* Things of a log-normal number of mean options->crowd_objects, each in a cell of its own. */
void scenes_crowd_draw(struct scenes_layout *layout, struct scenes_draws *draws,
                       const struct scenes_options *options);

/* Of the n directions that hold in a crowd, and their opposites, as many as a draw of mean
 * crowd_relations / crowd_objects for each thing says, or all there are: to free(). */
struct scenes_statement *scenes_crowd_choose(int64_t *n_out,
                                             const struct scenes_statement *statements, int64_t n,
                                             int64_t n_things, struct random_stream stream,
                                             const struct scenes_options *options);

#endif
