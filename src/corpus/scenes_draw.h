/* A layout as pixels: for the other scenes_*.c. */
#ifndef ROBIN_CORPUS_SCENES_DRAW_H
#define ROBIN_CORPUS_SCENES_DRAW_H

#include "corpus/scenes_layout.h"
#include "image/image.h"

#define SCENES_NO_THING 255

struct scenes_picture { /* zeroed is releasable */
    struct image image; /* [size, size, 3] */
    uint8_t *owner;     /* [size, size]: index of the thing seen there, or SCENES_NO_THING */
};

/* A pixel belongs to the topmost thing that covers at least half of it. */
enum status scenes_picture_draw(struct scenes_picture *picture_out,
                                const struct scenes_layout *layout,
                                const struct scenes_options *options, struct random_stream noise);
void scenes_picture_release(struct scenes_picture *picture);

#endif
