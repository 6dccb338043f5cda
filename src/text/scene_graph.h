/* A scene graph and its two texts (robin.md 5): the one ROBIN reads and writes. */
#ifndef ROBIN_TEXT_SCENE_GRAPH_H
#define ROBIN_TEXT_SCENE_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "image/rle.h"
#include "text/box_text.h"

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

/* The object stays where it is only until the next one is added. */
struct scene_object *scene_graph_add_object(struct scene_graph *graph, const char *name);
void scene_object_add_attribute(struct scene_object *object, const char *attribute);
void scene_graph_add_relation(struct scene_graph *graph, int64_t subject, int64_t object,
                              const char *predicate);
void scene_graph_release(struct scene_graph *graph);

enum scene_graph_mode { /* the numbers are the reference's sg_mode */
                        SCENE_GRAPH_BY_PREDICATE =
                            0, /* as BLOCKS, with "region1: on: region2, region3; near: ..." */
                        SCENE_GRAPH_INLINE =
                            1, /* each object followed by its own "Relations:" line */
                        SCENE_GRAPH_BLOCKS = 2, /* "Objects:", then "Relations:": the paper's */
                        SCENE_GRAPH_LITERAL =
                            3, /* names, attributes and relations as Python would print them */
};
struct scene_graph_format {
    enum scene_graph_mode mode;
    bool detection;               /* " in " before attributes; in blocks the box behind them */
    bool always_relations;        /* blocks: "Relations:" also when there are none */
    int64_t width, height;        /* of the picture; for boxes */
    struct box_format box_format; /* for boxes */
};
/* Appends the string as Python prints it inside a list. */
void scene_graph_write_string(struct text_buffer *out, const char *text);

/* Appends the text. Relations are written subject by subject, in the order they stand in.
 * ERR_UNSUPPORTED for detection in mode 3, ERR_FORMAT when detection misses a box or a relation
 * names an object that is not there. */
enum status scene_graph_write(struct text_buffer *out, const struct scene_graph *graph,
                              const struct scene_graph_format *format);

struct scene_graph_reading {
    struct scene_graph graph; /* names keep their attributes: "man is tall" */
    int64_t *numbers;         /* [graph.n_objects]: what each is called in the text */
    bool found;               /* there was an "Objects:" */
    int64_t n_dropped;        /* relations that name no object of the text or have no predicate */
};
/* Reads what a model wrote; whatever it wrote is accepted. `compat`: as the reference, objects are
 * numbered by order of appearance and a predicate ends at its first comma; else the numbers written
 * count and "walking, slowly" stays whole. ERR_LIMIT when a region number has more than 4300
 * digits (the reference stops there too). */
enum status scene_graph_parse(struct scene_graph_reading *reading_out, const char *text,
                              size_t size, bool compat);
void scene_graph_reading_release(struct scene_graph_reading *reading);

/* One line "region1: region2 on, region3 near" as the reference's older reader takes it: it counts
 * with exactly one colon and a region behind it; numbers are not checked, -1 where there is
 * none. */
enum status scene_graph_parse_line(struct scene_graph *graph, const char *text, size_t size);

#endif
