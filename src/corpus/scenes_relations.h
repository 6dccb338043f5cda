/* Where things are seen, and the directions between them: for the other scenes_*.c. */
#ifndef ROBIN_CORPUS_SCENES_RELATIONS_H
#define ROBIN_CORPUS_SCENES_RELATIONS_H

#include "corpus/scenes_draw.h"

/* What is seen of a thing, in pixels. */
struct scenes_extent {
    int64_t area;
    double x, y;            /* mean of its pixels */
    int64_t x1, y1, x2, y2; /* x2, y2 exclusive; all 0 if nothing is seen */
};
void scenes_measure(struct scenes_extent extents[SCENES_MAX_CROWD],
                    const struct scenes_picture *picture, int64_t n_things);

#define SCENES_MAX_STATEMENTS (SCENES_MAX_CROWD * (SCENES_MAX_CROWD - 1) / 2)

/* Every statement of a scene drawn `size` pixels a side: those of the layout, and for things in
 * different quarters their direction, the subject being the one that comes first in `order`.
 * `statements` has room for SCENES_MAX_STATEMENTS; the number of them is returned. */
int64_t scenes_statements(struct scenes_statement *statements, const struct scenes_layout *layout,
                          const struct scenes_extent *extents, const int64_t *order, int64_t size);

#endif
