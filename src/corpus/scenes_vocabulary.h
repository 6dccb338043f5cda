/* Every word of the procedural corpus: names, colours, predicates. */
#ifndef ROBIN_CORPUS_SCENES_VOCABULARY_H
#define ROBIN_CORPUS_SCENES_VOCABULARY_H

#include <stdbool.h>
#include <stdint.h>

enum scenes_name { /* what things are; the first two have a face */
                   SCENES_PERSON,
                   SCENES_ROBOT,
                   SCENES_CIRCLE,
                   SCENES_SQUARE,
                   SCENES_TRIANGLE,
                   SCENES_STAR,
                   SCENES_CUP,
                   SCENES_BOX,
                   SCENES_TABLE,
                   SCENES_NAMES
};
#define SCENES_COLOURS 6

enum scenes_relation {
    SCENES_LEFT_OF,
    SCENES_RIGHT_OF,
    SCENES_ABOVE,
    SCENES_BELOW,
    SCENES_INSIDE,
    SCENES_IN_FRONT_OF,
    SCENES_BEHIND,
    SCENES_TOUCHING,
    SCENES_HOLDING,
    SCENES_LOOKING_AT,
    SCENES_FACING_AWAY,
    SCENES_SUPPORTING,
    SCENES_TALKING_TO,
    SCENES_SMILING_AT,
    SCENES_FROWNING_AT,
    SCENES_RELATIONS
};

struct scenes_colour {
    const char *name;
    double rgb[3]; /* 0 .. 1 */
};

struct scenes_predicate {
    const char *text;
    const char *kind;       /* as in struct record_relation */
    bool decided_by_pixels; /* false: the masks alone tell it */
};

const char *scenes_name_text(enum scenes_name name);
/* index < SCENES_COLOURS */
const struct scenes_colour *scenes_colour(int64_t index);
const struct scenes_predicate *scenes_predicate(enum scenes_relation relation);

#endif
