/* Scene graphs as a model may write them: whatever it writes is read, and what was read can be
 * written and read again. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "fuzz/fuzz.h"
#include "text/scene_graph.h"

static void check_graph(const struct scene_graph *graph)
{
    for (int64_t i = 0; i < graph->n_relations; i++) {
        const struct scene_relation *relation = &graph->relations[i];
        fuzz_require(relation->subject >= 0 && relation->subject < graph->n_objects &&
                         relation->object >= 0 && relation->object < graph->n_objects,
                     "relations are between objects of the graph");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    uint64_t kind = fuzz_integer(&input, 3);
    size_t n_bytes;
    char *text = fuzz_rest(&input, &n_bytes);
    if (kind == 2) {
        struct scene_graph graph = {0};
        if (scene_graph_parse_line(&graph, text, n_bytes) != OK) status_clear();
        scene_graph_release(&graph);
        free(text);
        return 0;
    }
    struct scene_graph_reading reading = {0};
    if (scene_graph_parse(&reading, text, n_bytes, kind == 1) == OK) {
        check_graph(&reading.graph);
        struct scene_graph_format format = {.mode = SCENE_GRAPH_BLOCKS};
        struct text_buffer written = {0};
        struct scene_graph_reading again = {0};
        if (scene_graph_write(&written, &reading.graph, &format) == OK &&
            scene_graph_parse(&again, text_of(&written), written.length, false) == OK)
            check_graph(&again.graph);
        scene_graph_reading_release(&again);
        text_release(&written);
    }
    scene_graph_reading_release(&reading);
    free(text);
    return 0;
}
