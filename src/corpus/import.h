/* Public annotation files as sources of records. Each item is checked on its own; one that is not
 * what it must be is skipped under a reason: "annotation" (fields, indices, boxes), "image" (no
 * file, or it does not decode), "size" (the picture is not of the size that the annotation says),
 * "masks" (panoptic PNG). datasets/README.md says where the files come from. */
#ifndef ROBIN_CORPUS_IMPORT_H
#define ROBIN_CORPUS_IMPORT_H

#include "base/status.h"
#include "corpus/corpus_build.h"

struct import_options {
    const char *annotations; /* the JSON file */
    const char *images;      /* folder that its picture names are relative to */
    const char *masks;       /* psg: folder of the panoptic PNGs; NULL: `images` */
    const char *split;       /* psg: "train", "test" or "all" */
};

/* GQA and Visual Genome scene graphs, in any of three shapes: GQA's own (an object of image ids;
 * objects with x, y, w, h), the same with `bbox` corners and COCO `segmentation`, and a list of
 * {data_path, annotation}. Objects without segmentation get a region without mask. */
enum status import_gqa(struct record_source *source_out, const struct import_options *options);

/* Panoptic scene graphs (psg.json): classes, relations and masks from panoptic PNGs. */
enum status import_psg(struct record_source *source_out, const struct import_options *options);

#endif
