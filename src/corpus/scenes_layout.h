/* What a scene is made of, before a pixel of it is drawn: for the other scenes_*.c. */
#ifndef ROBIN_CORPUS_SCENES_LAYOUT_H
#define ROBIN_CORPUS_SCENES_LAYOUT_H

#include <stdbool.h>

#include "base/random.h"
#include "corpus/scenes.h"
#include "corpus/scenes_vocabulary.h"

/* Lengths are in units of 1/128 of the picture's side. */
#define SCENES_UNITS 128

enum scenes_mood { SCENES_CALM, SCENES_SMILING, SCENES_FROWNING };

struct scenes_thing {
    enum scenes_name name;
    int64_t colour;
    double x, y, width, height; /* the outline's box, before anything covers it */
    int64_t facing;             /* -1 left, 1 right; things with a face only */
    enum scenes_mood mood;
    double hands[4]; /* centres x, y of two hands, for one that holds something; else all 0 */
    bool has_hands;
};

struct scenes_statement {
    int64_t subject, object; /* indices of things */
    enum scenes_relation relation;
};

/* Things are in drawing order: a later one covers an earlier one. */
struct scenes_layout {
    struct scenes_thing things[SCENES_MAX_CROWD];
    int64_t n_things;
    /* What holds by construction; directions are measured after drawing (scenes_relations.c). */
    struct scenes_statement statements[SCENES_MAX_THINGS];
    int64_t n_statements;
    int64_t cell[SCENES_MAX_CROWD]; /* quarter of the picture that a thing was put in */
};

/* Draws from a stream one after the other. */
struct scenes_draws {
    struct random_stream stream;
    uint64_t n;
};
int64_t scenes_draw_below(struct scenes_draws *draws, int64_t n);

void scenes_layout_draw(struct scenes_layout *layout, struct scenes_draws *draws,
                        const struct scenes_options *options);

#endif
