/* What a corpus knows of a picture, as the graph of its regions. */
#ifndef ROBIN_SGEDIT_TRUTH_H
#define ROBIN_SGEDIT_TRUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "corpus/record.h"
#include "text/scene_graph.h"

/* Object k is region k, named by its first object with attributes as ROBIN writes them ("ball is
 * red, round"); "" for a region without object. To scene_graph_release. */
void truth_graph(struct scene_graph *graph_out, const struct record *record);

/* Whether that relation is among them, word for word. */
bool truth_holds(const struct scene_graph *truth, int64_t subject, int64_t object,
                 const char *predicate);

#endif
