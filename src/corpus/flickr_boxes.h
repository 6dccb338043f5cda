/* The box files of Flickr30k Entities: one XML file a picture, objects with the ids of the phrases
 * that mean them. */
#ifndef ROBIN_CORPUS_FLICKR_BOXES_H
#define ROBIN_CORPUS_FLICKR_BOXES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "image/rle.h"

struct flickr_object {
    char **ids;
    size_t n_ids;
    bool has_box;
    struct box box; /* pixels as in the file: counted from 1, x2 and y2 inside */
};

struct flickr_boxes { /* zeroed is releasable */
    int64_t height, width;
    struct flickr_object *objects;
    size_t n_objects;
};

/* Errors  ERR_FORMAT naming file and line: no XML, a document type or entities, sizes or corners
 * that are no numbers, a box with less than four corners, an object without id. */
enum status flickr_boxes_read(struct flickr_boxes *boxes_out, const char *path);
void flickr_boxes_release(struct flickr_boxes *boxes);

#endif
