/* A jittered grid of small things. */
#include "corpus/scenes_crowd.h"

#include <math.h>

#include "base/text_buffer.h"

/* Of the logarithm of the number of things, and of relations a thing. */
#define OBJECTS_SIGMA   0.6
#define RELATIONS_SIGMA 0.35

static double log_normal(struct random_stream stream, uint64_t index, double mean, double sigma)
{
    return mean * exp(sigma * random_normal(stream, index) - sigma * sigma / 2);
}

static double draw_share(struct scenes_draws *draws, double low, double high)
{
    return low + (high - low) * random_uniform(draws->stream, draws->n++);
}

static struct scenes_thing draw_in_cell(struct scenes_draws *draws, double left, double top,
                                        double side)
{
    static const enum scenes_name names[] = {SCENES_CIRCLE,   SCENES_SQUARE, SCENES_CUP,
                                             SCENES_TRIANGLE, SCENES_STAR,   SCENES_BOX};
    struct scenes_thing thing = {
        .name = names[scenes_draw_below(draws, sizeof names / sizeof names[0])]};
    thing.colour = scenes_draw_below(draws, SCENES_COLOURS);
    thing.width = thing.height = side * draw_share(draws, 0.55, 0.85);
    thing.x = left + (side - thing.width) * draw_share(draws, 0, 1);
    thing.y = top + (side - thing.height) * draw_share(draws, 0, 1);
    return thing;
}

void scenes_crowd_draw(struct scenes_layout *layout, struct scenes_draws *draws,
                       const struct scenes_options *options)
{
    *layout = (struct scenes_layout){0};
    const double drawn =
        log_normal(draws->stream, draws->n++, options->crowd_objects, OBJECTS_SIGMA);
    const int64_t n = drawn < 2 ? 2 : drawn > SCENES_MAX_CROWD ? SCENES_MAX_CROWD : llround(drawn);
    const int64_t n_side = (int64_t)ceil(sqrt((double)n));
    const struct random_stream cells = random_substream(draws->stream, draws->n++);
    const double side = (double)SCENES_UNITS / (double)n_side;
    for (int64_t i = 0; i < n; i++) {
        const int64_t cell =
            (int64_t)random_permute(cells, (uint64_t)i, (uint64_t)(n_side * n_side));
        layout->things[i] = draw_in_cell(draws, (double)(cell % n_side) * side,
                                         (double)(cell / n_side) * side, side);
        layout->cell[i] = i;
    }
    layout->n_things = n;
}

static struct scenes_statement opposite(struct scenes_statement statement)
{
    enum scenes_relation relation = statement.relation;
    switch (statement.relation) {
    case SCENES_LEFT_OF: relation = SCENES_RIGHT_OF; break;
    case SCENES_RIGHT_OF: relation = SCENES_LEFT_OF; break;
    case SCENES_ABOVE: relation = SCENES_BELOW; break;
    case SCENES_BELOW: relation = SCENES_ABOVE; break;
    default: break; /* a crowd has directions only */
    }
    return (struct scenes_statement){statement.object, statement.subject, relation};
}

struct scenes_statement *scenes_crowd_choose(int64_t *n_out,
                                             const struct scenes_statement *statements, int64_t n,
                                             int64_t n_things, struct random_stream stream,
                                             const struct scenes_options *options)
{
    const double mean = options->crowd_relations / options->crowd_objects * (double)n_things;
    int64_t n_chosen = llround(log_normal(stream, 0, mean, RELATIONS_SIGMA));
    if (n_chosen > 2 * n) n_chosen = 2 * n;
    struct scenes_statement *chosen = memory_new((size_t)n_chosen + 1, sizeof *chosen);
    const struct random_stream order = random_substream(stream, 1);
    for (int64_t i = 0; i < n_chosen; i++) {
        const int64_t k = (int64_t)random_permute(order, (uint64_t)i, (uint64_t)(2 * n));
        chosen[i] = k < n ? statements[k] : opposite(statements[k - n]);
    }
    *n_out = n_chosen;
    return chosen;
}
