/* Statements about a scene. Directions are measured on what is seen, and only where they are
 * clear. */
#include "corpus/scenes_relations.h"

#include <math.h>

void scenes_measure(struct scenes_extent extents[SCENES_MAX_CROWD],
                    const struct scenes_picture *picture, int64_t n_things)
{
    int64_t size = picture->image.width;
    for (int64_t i = 0; i < n_things; i++)
        extents[i] = (struct scenes_extent){.x1 = size, .y1 = size};
    for (int64_t y = 0; y < size; y++)
        for (int64_t x = 0; x < size; x++) {
            uint8_t owner = picture->owner[y * size + x];
            if (owner == SCENES_NO_THING) continue;
            struct scenes_extent *extent = &extents[owner];
            extent->area++;
            extent->x += (double)x;
            extent->y += (double)y;
            if (x < extent->x1) extent->x1 = x;
            if (y < extent->y1) extent->y1 = y;
            if (x >= extent->x2) extent->x2 = x + 1;
            if (y >= extent->y2) extent->y2 = y + 1;
        }
    for (int64_t i = 0; i < n_things; i++) {
        if (extents[i].area == 0) {
            extents[i] = (struct scenes_extent){0};
            continue;
        }
        extents[i].x /= (double)extents[i].area;
        extents[i].y /= (double)extents[i].area;
    }
}

/* The direction of `subject` from `object`; false where a person might say another one: unless
 * it is 1.5 times as far along one axis as along the other, with `gap` pixels free between them. */
static bool direction(enum scenes_relation *relation_out, const struct scenes_extent *subject,
                      const struct scenes_extent *object, double gap)
{
    const double clear = 1.5;
    double dx = object->x - subject->x, dy = object->y - subject->y;
    if (subject->area == 0 || object->area == 0) return false;
    if (fabs(dx) > clear * fabs(dy)) {
        int64_t free = dx > 0 ? object->x1 - subject->x2 : subject->x1 - object->x2;
        *relation_out = dx > 0 ? SCENES_LEFT_OF : SCENES_RIGHT_OF;
        return (double)free >= gap;
    }
    if (fabs(dy) > clear * fabs(dx)) {
        int64_t free = dy > 0 ? object->y1 - subject->y2 : subject->y1 - object->y2;
        *relation_out = dy > 0 ? SCENES_ABOVE : SCENES_BELOW;
        return (double)free >= gap;
    }
    return false;
}

int64_t scenes_statements(struct scenes_statement *statements, const struct scenes_layout *layout,
                          const struct scenes_extent *extents, const int64_t *order, int64_t size)
{
    int64_t n = 0;
    double unit = (double)size / SCENES_UNITS;
    for (int64_t i = 0; i < layout->n_statements; i++) statements[n++] = layout->statements[i];
    for (int64_t k = 0; k < layout->n_things; k++) {
        for (int64_t l = k + 1; l < layout->n_things; l++) {
            struct scenes_statement statement = {.subject = order[k], .object = order[l]};
            if (layout->cell[statement.subject] == layout->cell[statement.object]) continue;
            /* Nearer than this, things might be said to touch, or a character to look at its
             * neighbour. */
            bool faces = layout->things[statement.subject].facing != 0 ||
                         layout->things[statement.object].facing != 0;
            if (direction(&statement.relation, &extents[statement.subject],
                          &extents[statement.object], unit * (faces ? 10 : 4)))
                statements[n++] = statement;
        }
    }
    return n;
}
