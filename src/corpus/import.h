/* Public annotation files as sources of records, one row for each kind. Each item is checked on its
 * own; one that is not what it must be is skipped under a reason: "annotation" (fields, indices),
 * "image" (no file, or it does not decode), "size" (the picture is not of the size that the
 * annotation says), "masks" (panoptic PNG). A part of it that is not (an object, a relation, a
 * text) is dropped and the rest stays. datasets/README.md says where the files come from. */
#ifndef ROBIN_CORPUS_IMPORT_H
#define ROBIN_CORPUS_IMPORT_H

#include "base/status.h"
#include "corpus/corpus_build.h"

struct import_options {
    const char *annotations; /* the file or folder that the row's `file` describes */
    const char *images;      /* folder that its picture names are relative to */
    const char *masks;       /* folder of mask pictures; NULL: `images` */
    const char *with;        /* a second file; NULL without */
    const char *split;       /* one of the row's words */
    const char *variant;     /* one of the row's words */
};

enum import_option { /* bits */
                     IMPORT_IMAGES = 1,
                     IMPORT_MASKS = 2,
                     IMPORT_WITH = 4,
                     IMPORT_SPLIT = 8,
                     IMPORT_VARIANT = 16
};

struct importer {
    const char *kind;     /* the word on the command line, and the default name of the corpus */
    const char *purpose;  /* what the records hold */
    const char *file;     /* what FILE is */
    unsigned needs;       /* options that must be given */
    unsigned uses;        /* options that may be given */
    const char *splits;   /* "all|train|test", the default first; NULL without */
    const char *variants; /* in the same way */
    const char *source;   /* where a user gets the files */
    const char *licence;  /* of annotations and pictures */
    enum status (*open)(struct record_source *source_out, const struct import_options *options);
};

/* All kinds, in the order of the list that people see. */
extern const struct importer importers[];
extern const size_t n_importers;

const struct importer *import_find(const char *kind); /* NULL: there is none */

/* GQA scene graphs, in any of four shapes: GQA's own (an object of image ids; objects with x, y, w,
 * h), the same with `bbox` corners and COCO `segmentation`, rows of those with `file_name`, rows
 * of {data_path, annotation}. Objects without segmentation get a region without mask. */
enum status import_gqa(struct record_source *source_out, const struct import_options *options);

/* GQA questions over scene graphs, or with the reasoning written out. */
enum status import_gqa_cot(struct record_source *source_out, const struct import_options *options);

/* Visual Genome in its own files; `annotations` is their folder. */
enum status import_vg(struct record_source *source_out, const struct import_options *options);

/* Synthetic Visual Genome: relations in five categories; whole graphs. */
enum status import_svg_relations(struct record_source *source_out,
                                 const struct import_options *options);
enum status import_svg_graphs(struct record_source *source_out,
                              const struct import_options *options);

/* Panoptic scene graphs (psg.json): classes, relations and masks from panoptic PNGs. */
enum status import_psg(struct record_source *source_out, const struct import_options *options);

/* Visual Spatial Reasoning: a statement about a picture and whether it is true. */
enum status import_vsr(struct record_source *source_out, const struct import_options *options);

/* Visual Commonsense Reasoning: a question, four answers, four reasons; objects with masks. */
enum status import_vcr(struct record_source *source_out, const struct import_options *options);

/* PointQA: a question about what a box and a point show; variant "local" or "twice". */
enum status import_pointqa(struct record_source *source_out, const struct import_options *options);

/* Visual7W's pointing questions: which of four boxes. */
enum status import_v7w(struct record_source *source_out, const struct import_options *options);

/* Flickr30k Entities: sentences whose phrases have boxes, from the release or from rows. */
enum status import_flickr(struct record_source *source_out, const struct import_options *options);

/* Osprey-724K: conversations about regions, or a description of each. */
enum status import_osprey(struct record_source *source_out, const struct import_options *options);

/* LLaVA's conversations about one picture or none; variant "conversation" or "caption". */
enum status import_llava(struct record_source *source_out, const struct import_options *options);
/* The same of rows that hold the picture. */
enum status import_onevision(struct record_source *source_out,
                             const struct import_options *options);
/* Files of COCO's form; coco_record.h says what is read of them. PACO adds attributes and what a
 * part is part of, panoptic files take their masks from PNGs, RefCOCO has expressions. */
enum status import_coco(struct record_source *source_out, const struct import_options *options);
enum status import_lvis(struct record_source *source_out, const struct import_options *options);
enum status import_partimagenet(struct record_source *source_out,
                                const struct import_options *options);
enum status import_paco(struct record_source *source_out, const struct import_options *options);
enum status import_coco_panoptic(struct record_source *source_out,
                                 const struct import_options *options);
enum status import_ade20k_panoptic(struct record_source *source_out,
                                   const struct import_options *options);
enum status import_refcoco(struct record_source *source_out, const struct import_options *options);

/* Folders of one file a picture: MATLAB structs; JSON, or text and colours. */
enum status import_pascal_part(struct record_source *source_out,
                               const struct import_options *options);
enum status import_ade20k(struct record_source *source_out, const struct import_options *options);

#endif
