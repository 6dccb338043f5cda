/* Work that a stream was handed once, to be handed to it again in one call: the same kernels with
 * the same arguments, on what their memory then holds. Of GPUs alone. */
#ifndef ROBIN_DEVICE_GRAPH_H
#define ROBIN_DEVICE_GRAPH_H

#include "base/status.h"

struct graph;
struct stream;

/* What the stream is handed from now on is written down and not done. Until the end nobody may wait
 * for it. */
enum status graph_begin(struct stream *stream);
/* Must be called after graph_begin, also when what was to be written down has failed; then with
 * graph_out NULL. */
enum status graph_end(struct graph **graph_out, struct stream *stream);
/* Hands it to the stream. */
enum status graph_run(const struct graph *graph, struct stream *stream);
void graph_destroy(struct graph *graph);

#endif
