/* What the importers of COCO's family share: from an entry of `images` and its annotations to the
 * beginnings of a record. */
#ifndef ROBIN_CORPUS_COCO_RECORD_H
#define ROBIN_CORPUS_COCO_RECORD_H

#include <jansson.h>
#include <stdint.h>

#include "base/status.h"
#include "corpus/coco_file.h"
#include "corpus/corpus_build.h"
#include "corpus/record.h"

struct coco_part { /* an annotation of the picture */
    json_t *entry;
    int64_t index;  /* in `annotations` of the file */
    int64_t object; /* of the record that it became; -1: dropped */
};

struct coco_picture {        /* zeroed is empty and releasable */
    json_t *entry;           /* of `images` */
    struct coco_part *parts; /* by increasing index */
    int64_t n_parts;
};
void coco_picture_release(struct coco_picture *picture);

/* Items of a source over the file: its pictures, then each annotation whose picture is not there,
 * which is an item that always fails, so that it is counted and listed. */
int64_t coco_n_items(const struct coco_file *file);

/* Parses picture `item` and its annotations; id ("KIND/ID"), source, height and width of the
 * record. Sets note->reason to "annotation" once the entries are JSON. */
enum status coco_begin(struct coco_picture *picture_out, const struct coco_file *file, int64_t item,
                       const char *kind, struct record *record, struct item_note *note);

/* The annotation of the picture that has this id; NULL: none has. */
const struct coco_part *coco_find_part(const struct coco_picture *picture,
                                       const struct coco_file *file, int64_t id);

/* A region and an object for each annotation: the name of its category, `bbox` [x, y, width,
 * height], `segmentation` (without that field the box alone). Crowd regions are objects like
 * others. What cannot be one is dropped under "object", "box" or "mask", what has `ignore` set
 * under "ignore". */
enum status coco_add_objects(struct record *record, struct coco_picture *picture,
                             const struct coco_file *file, struct item_note *note);

/* Reads the picture, which is looked for below `directory` as: file_name; the same without a
 * "COCO_train2014_" in front; the last two parts of coco_url; the last part; for file names
 * "n01440764_1.JPEG" also in the folder "n01440764". Then checks the record. */
enum status coco_finish(struct record *record, const struct coco_picture *picture,
                        const struct coco_file *file, const char *directory,
                        struct item_note *note);

/* Corners of `bbox`, which is [x, y, width, height]. */
enum status coco_box(struct box *box_out, const json_t *annotation, struct json_place place);

#endif
