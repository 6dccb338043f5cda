/* A scene graph and its two texts (robin.md 5): the one ROBIN reads and writes. */
#ifndef ROBIN_TEXT_SCENE_GRAPH_H
#define ROBIN_TEXT_SCENE_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "image/rle.h"

struct scene_object {
    char *name;
    char **attributes;
    int64_t n_attributes;
    bool has_box;
    struct box box; /* pixels of the original image */
};

struct scene_relation {
    int64_t subject, object; /* indices into objects */
    char *predicate;
};

struct scene_graph { /* zeroed is empty and releasable; owns its strings */
    struct scene_object *objects;
    int64_t n_objects;
    struct scene_relation *relations;
    int64_t n_relations;
};

struct scene_object *scene_graph_add_object(struct scene_graph *graph, const char *name);
void scene_object_add_attribute(struct scene_object *object, const char *attribute);
void scene_graph_add_relation(struct scene_graph *graph, int64_t subject, int64_t object,
                              const char *predicate);
void scene_graph_release(struct scene_graph *graph);

#endif
