/* See graph.h. */
#include "device/graph.h"

#include <stdlib.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "device/device_driver.h"

struct graph {
    const struct device_driver *driver;
    void *handle;
};

enum status graph_begin(struct stream *stream)
{
    ASSERT(stream->driver != NULL, "a CPU's work is done when it is handed over");
    return stream->driver->graph_begin(stream);
}

enum status graph_end(struct graph **graph_out, struct stream *stream)
{
    enum status status = OK;
    const struct device_driver *driver = stream->driver;
    struct graph *graph = NULL;
    if (graph_out == NULL) {
        (void)driver->graph_end(NULL, stream);
        goto out;
    }
    graph = memory_new(1, sizeof *graph);
    graph->driver = driver;
    TRY(driver->graph_end(&graph->handle, stream));
    *graph_out = graph;
    graph = NULL;
out:
    graph_destroy(graph);
    return status;
}

enum status graph_run(const struct graph *graph, struct stream *stream)
{
    return graph->driver->graph_run(graph->handle, stream);
}

void graph_destroy(struct graph *graph)
{
    if (graph == NULL) return;
    if (graph->handle != NULL) graph->driver->graph_release(graph->handle);
    free(graph);
}
