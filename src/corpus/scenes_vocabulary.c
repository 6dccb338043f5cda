/* The words of the procedural corpus, once. */
#include "corpus/scenes_vocabulary.h"

#include "base/assertion.h"

static const char *const names[SCENES_NAMES] = {
    [SCENES_PERSON] = "person", [SCENES_ROBOT] = "robot",       [SCENES_CIRCLE] = "circle",
    [SCENES_SQUARE] = "square", [SCENES_TRIANGLE] = "triangle", [SCENES_STAR] = "star",
    [SCENES_CUP] = "cup",       [SCENES_BOX] = "box",           [SCENES_TABLE] = "table",
};

static const struct scenes_colour colours[SCENES_COLOURS] = {
    {"red", {0.86, 0.14, 0.14}},    {"green", {0.12, 0.62, 0.22}},  {"blue", {0.15, 0.28, 0.88}},
    {"yellow", {0.95, 0.85, 0.10}}, {"purple", {0.58, 0.18, 0.74}}, {"orange", {0.96, 0.52, 0.08}},
};

/* Faces and hands are drawn inside outlines that do not show them: there pixels decide. */
static const struct scenes_predicate predicates[SCENES_RELATIONS] = {
    [SCENES_LEFT_OF] = {"left of", "spatial", false},
    [SCENES_RIGHT_OF] = {"right of", "spatial", false},
    [SCENES_ABOVE] = {"above", "spatial", false},
    [SCENES_BELOW] = {"below", "spatial", false},
    [SCENES_INSIDE] = {"inside", "spatial", false},
    [SCENES_IN_FRONT_OF] = {"in front of", "spatial", false},
    [SCENES_BEHIND] = {"behind", "spatial", false},
    [SCENES_TOUCHING] = {"touching", "interactional", false},
    [SCENES_HOLDING] = {"holding", "interactional", true},
    [SCENES_LOOKING_AT] = {"looking at", "interactional", true},
    [SCENES_FACING_AWAY] = {"facing away from", "interactional", true},
    [SCENES_SUPPORTING] = {"supporting", "functional", false},
    [SCENES_TALKING_TO] = {"talking to", "social", true},
    [SCENES_SMILING_AT] = {"smiling at", "emotional", true},
    [SCENES_FROWNING_AT] = {"frowning at", "emotional", true},
};

const char *scenes_name_text(enum scenes_name name)
{
    ASSERT((int)name >= 0 && name < SCENES_NAMES, "name %d", (int)name);
    return names[name];
}

const struct scenes_colour *scenes_colour(int64_t index)
{
    ASSERT(index >= 0 && index < SCENES_COLOURS, "colour %d", (int)index);
    return &colours[index];
}

const struct scenes_predicate *scenes_predicate(enum scenes_relation relation)
{
    ASSERT((int)relation >= 0 && relation < SCENES_RELATIONS, "relation %d", (int)relation);
    return &predicates[relation];
}
