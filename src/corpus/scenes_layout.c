/* Which things a scene has, where, and what holds between them by construction. A scene is up to
 * four groups, each in a quarter of the picture: one thing, or two that stand in a relation.
 * Things are drawn large: below about 250 pixels of 128 x 128 the coarse feature grids step over
 * them. */
#include "corpus/scenes_layout.h"

#include "base/assertion.h"

#define N_CELLS   4
#define CELL_SIDE 64.0
#define CELL_ROOM 62.0 /* a pixel is left free at either side */

struct group {
    struct scenes_thing things[2]; /* the group's corner is 0, 0; back to front */
    int64_t n_things;
    double width, height;
    struct scenes_statement statement; /* if n_things is 2 */
};

int64_t scenes_draw_below(struct scenes_draws *draws, int64_t n)
{
    return (int64_t)random_below(draws->stream, draws->n++, (uint64_t)n);
}

static double draw_between(struct scenes_draws *draws, double low, double high)
{
    return low + (high - low) * random_uniform(draws->stream, draws->n++);
}

static bool draw_chance(struct scenes_draws *draws, double probability)
{
    return random_uniform(draws->stream, draws->n++) < probability;
}

static int64_t draw_side(struct scenes_draws *draws)
{
    return scenes_draw_below(draws, 2) ? 1 : -1;
}

static int64_t other_colour(struct scenes_draws *draws, int64_t colour)
{
    return (colour + 1 + scenes_draw_below(draws, SCENES_COLOURS - 1)) % SCENES_COLOURS;
}

/* A character of about that width, standing on the group's ground later. */
static struct scenes_thing draw_character(struct scenes_draws *draws, double min_width,
                                          double max_width)
{
    struct scenes_thing thing = {.name = draw_chance(draws, 0.5) ? SCENES_PERSON : SCENES_ROBOT};
    thing.colour = scenes_draw_below(draws, SCENES_COLOURS);
    thing.width = draw_between(draws, min_width, max_width);
    thing.height = draw_between(draws, 56, 60);
    thing.facing = draw_side(draws);
    return thing;
}

/* One of the first n small things, about as wide as high. */
static struct scenes_thing draw_small(struct scenes_draws *draws, int64_t n, double min_width,
                                      double max_width)
{
    static const enum scenes_name small[] = {SCENES_CIRCLE,   SCENES_SQUARE, SCENES_CUP,
                                             SCENES_TRIANGLE, SCENES_STAR,   SCENES_BOX};
    ASSERT(n <= (int64_t)(sizeof small / sizeof small[0]), "%d small things", (int)n);
    struct scenes_thing thing = {.name = small[scenes_draw_below(draws, n)]};
    thing.colour = scenes_draw_below(draws, SCENES_COLOURS);
    thing.width = draw_between(draws, min_width, max_width);
    thing.height = thing.width;
    return thing;
}

static void stand_on_ground(struct group *group)
{
    for (int64_t i = 0; i < group->n_things; i++)
        group->things[i].y = group->height - group->things[i].height;
}

/* Two side by side, the first looking at the second or away from it. A second character turns its
 * back to the first, so that one statement of the pair is the one to make; or they talk. */
static void make_gaze(struct group *group, struct scenes_draws *draws,
                      enum scenes_relation relation)
{
    int64_t side = draw_side(draws); /* where the second stands */
    bool talking = relation == SCENES_TALKING_TO, away = relation == SCENES_FACING_AWAY;
    struct scenes_thing actor = draw_character(draws, 29, 30.4), other;
    if (talking || draw_chance(draws, 0.3))
        other = draw_character(draws, 29, 30);
    else
        other = draw_small(draws, 6, 27, 29);
    other.colour = other_colour(draws, actor.colour);
    actor.facing = away ? -side : side;
    if (other.facing != 0) other.facing = talking ? -side : side;
    if (relation == SCENES_SMILING_AT) actor.mood = SCENES_SMILING;
    if (relation == SCENES_FROWNING_AT) actor.mood = SCENES_FROWNING;
    if (away) actor.mood = (enum scenes_mood)scenes_draw_below(draws, 3);
    double gap = 1.5;
    actor.x = side > 0 ? 0 : other.width + gap;
    other.x = side > 0 ? actor.width + gap : 0;
    group->width = actor.width + gap + other.width;
    group->height = actor.height > other.height ? actor.height : other.height;
    group->things[0] = actor;
    group->things[1] = other;
    stand_on_ground(group);
    /* Small things float anywhere between the ground and the eyes. */
    if (other.facing == 0)
        group->things[1].y -= draw_between(draws, 0, group->height - other.height - 4);
    group->statement = (struct scenes_statement){0, 1, relation};
}

/* A character with a thing before its chest: held in two hands, or not. */
static void make_chest(struct group *group, struct scenes_draws *draws,
                       enum scenes_relation relation)
{
    struct scenes_thing actor = draw_character(draws, 47, 51);
    struct scenes_thing held = draw_small(draws, 5, 25, 27);
    held.colour = other_colour(draws, actor.colour);
    held.x = (actor.width - held.width) / 2;
    held.y = actor.height - held.height - draw_between(draws, 0.5, 3);
    if (relation == SCENES_HOLDING) {
        double y = held.y + held.height / 2, reach = 5;
        actor.has_hands = true;
        actor.hands[0] = held.x - reach;
        actor.hands[2] = held.x + held.width + reach;
        actor.hands[1] = actor.hands[3] = y;
    }
    group->width = actor.width;
    group->height = actor.height;
    group->things[0] = actor;
    group->things[1] = held;
    group->statement = (struct scenes_statement){0, 1, relation};
    if (relation == SCENES_IN_FRONT_OF)
        group->statement = (struct scenes_statement){1, 0, relation};
}

static void make_overlap(struct group *group, struct scenes_draws *draws,
                         enum scenes_relation relation)
{
    /* A star or box behind would show too little or too much of its marks. */
    struct scenes_thing back = draw_small(draws, 4, 36, 40), front = draw_small(draws, 6, 32, 36);
    front.colour = other_colour(draws, back.colour);
    double right = draw_between(draws, 15, 19), down = draw_between(draws, 2, 9);
    bool mirrored = draw_chance(draws, 0.5), raised = draw_chance(draws, 0.5);
    group->width = front.width + right > back.width ? front.width + right : back.width;
    group->height = front.height + down > back.height ? front.height + down : back.height;
    front.x = mirrored ? group->width - right - front.width : right;
    back.x = mirrored ? group->width - back.width : 0;
    front.y = raised ? group->height - down - front.height : down;
    back.y = raised ? group->height - back.height : 0;
    group->things[0] = back;
    group->things[1] = front;
    group->statement = relation == SCENES_BEHIND ? (struct scenes_statement){0, 1, relation}
                                                 : (struct scenes_statement){1, 0, relation};
}

static void make_inside(struct group *group, struct scenes_draws *draws)
{
    struct scenes_thing box = {.name = SCENES_BOX}, inner = draw_small(draws, 5, 28, 32);
    box.colour = other_colour(draws, inner.colour);
    box.width = draw_between(draws, 54, 60);
    box.height = draw_between(draws, 48, 54);
    inner.x = draw_between(draws, 7, box.width - inner.width - 7);
    inner.y = draw_between(draws, 7, box.height - inner.height - 7);
    group->width = box.width;
    group->height = box.height;
    group->things[0] = box;
    group->things[1] = inner;
    group->statement = (struct scenes_statement){1, 0, SCENES_INSIDE};
}

/* Side by side without a gap. Only things that are widest at half their height. */
static void make_touching(struct group *group, struct scenes_draws *draws)
{
    static const enum scenes_name names[] = {SCENES_CIRCLE, SCENES_SQUARE, SCENES_BOX};
    double x = 0, height = 0;
    for (int i = 0; i < 2; i++) {
        struct scenes_thing *thing = &group->things[i];
        *thing = draw_small(draws, 1, 28, 31);
        thing->name = names[scenes_draw_below(draws, 3)];
        thing->x = x;
        x += thing->width - 0.5;
        if (thing->height > height) height = thing->height;
    }
    group->things[1].colour = other_colour(draws, group->things[0].colour);
    for (int i = 0; i < 2; i++) group->things[i].y = (height - group->things[i].height) / 2;
    group->width = x + 0.5;
    group->height = height;
    int64_t first = scenes_draw_below(draws, 2);
    group->statement = (struct scenes_statement){first, 1 - first, SCENES_TOUCHING};
}

static void make_supporting(struct group *group, struct scenes_draws *draws)
{
    struct scenes_thing carrier = {.name = SCENES_TABLE}, load = draw_small(draws, 5, 27, 30);
    carrier.width = draw_between(draws, 52, 60);
    carrier.height = draw_between(draws, 26, 30);
    carrier.colour = other_colour(draws, load.colour);
    load.x = draw_between(draws, 1, carrier.width - load.width - 1);
    carrier.y = load.height - 0.5;
    group->width = carrier.width;
    group->height = carrier.y + carrier.height;
    group->things[0] = carrier;
    group->things[1] = load;
    group->statement = (struct scenes_statement){0, 1, SCENES_SUPPORTING};
}

static void make_pair(struct group *group, struct scenes_draws *draws)
{
    static const enum scenes_relation choices[] = {
        SCENES_INSIDE,     SCENES_IN_FRONT_OF, SCENES_BEHIND,      SCENES_TOUCHING,
        SCENES_HOLDING,    SCENES_LOOKING_AT,  SCENES_FACING_AWAY, SCENES_SUPPORTING,
        SCENES_TALKING_TO, SCENES_SMILING_AT,  SCENES_FROWNING_AT};
    enum scenes_relation relation =
        choices[scenes_draw_below(draws, sizeof choices / sizeof choices[0])];
    bool chest = relation == SCENES_HOLDING || draw_chance(draws, 0.5);
    group->n_things = 2;
    switch (relation) {
    case SCENES_INSIDE: make_inside(group, draws); break;
    case SCENES_TOUCHING: make_touching(group, draws); break;
    case SCENES_SUPPORTING: make_supporting(group, draws); break;
    case SCENES_IN_FRONT_OF:
    case SCENES_BEHIND:
    case SCENES_HOLDING:
        if (chest)
            make_chest(group, draws, relation);
        else
            make_overlap(group, draws, relation);
        break;
    default: make_gaze(group, draws, relation); break;
    }
}

static void make_single(struct group *group, struct scenes_draws *draws)
{
    struct scenes_thing thing = draw_small(draws, 6, 36, 46);
    if (draw_chance(draws, 0.15)) {
        thing.name = SCENES_TABLE;
        thing.width = draw_between(draws, 50, 58);
        thing.height = draw_between(draws, 28, 38);
    }
    group->things[0] = thing;
    group->width = thing.width;
    group->height = thing.height;
    group->n_things = 1;
}

static void place(struct scenes_layout *layout, const struct group *group, int64_t cell,
                  struct scenes_draws *draws)
{
    double left = (double)(cell % 2) * CELL_SIDE + 1, top = (double)(cell / 2) * CELL_SIDE + 1;
    ASSERT(group->width <= CELL_ROOM && group->height <= CELL_ROOM, "a group of %g x %g",
           group->width, group->height);
    double x = left + draw_between(draws, 0, CELL_ROOM - group->width);
    double y = top + draw_between(draws, 0, CELL_ROOM - group->height);
    int64_t base = layout->n_things;
    for (int64_t i = 0; i < group->n_things; i++) {
        struct scenes_thing thing = group->things[i];
        thing.x += x;
        thing.y += y;
        for (int64_t k = 0; k < 4; k++) thing.hands[k] += k % 2 ? y : x;
        layout->cell[layout->n_things] = cell;
        layout->things[layout->n_things++] = thing;
    }
    if (group->n_things < 2) return;
    struct scenes_statement statement = group->statement;
    statement.subject += base;
    statement.object += base;
    layout->statements[layout->n_statements++] = statement;
}

void scenes_layout_draw(struct scenes_layout *layout, struct scenes_draws *draws,
                        const struct scenes_options *options)
{
    *layout = (struct scenes_layout){0};
    int64_t n = options->min_things +
                scenes_draw_below(draws, options->max_things - options->min_things + 1);
    int64_t n_pairs = n / 2;
    /* A quarter of the scenes has one pair less, if the singles then find room. */
    if (n_pairs > 1 && draw_chance(draws, 0.25)) n_pairs--;
    int64_t cells[N_CELLS] = {0, 1, 2, 3}, n_groups = n - n_pairs;
    ASSERT(n_groups <= N_CELLS, "%d groups", (int)n_groups);
    for (int64_t i = 0; i < n_groups; i++) {
        int64_t other = i + scenes_draw_below(draws, N_CELLS - i), cell = cells[other];
        cells[other] = cells[i];
        struct group group = {0};
        if (i < n_pairs)
            make_pair(&group, draws);
        else
            make_single(&group, draws);
        place(layout, &group, cell, draws);
    }
}
