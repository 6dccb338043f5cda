/* The index of a file of COCO's form, {images, annotations, categories}: which annotations belong
 * to which picture. Of the two large arrays only ids are looked at when it is opened; entries are
 * parsed when a record needs them. Of this form are COCO's instances and panoptic files, LVIS,
 * PACO, PartImageNet and the instances.json of RefCOCO. About 60 bytes of memory an annotation. */
#ifndef ROBIN_CORPUS_COCO_FILE_H
#define ROBIN_CORPUS_COCO_FILE_H

#include <jansson.h>
#include <stdint.h>

#include "base/json_file.h"
#include "base/status.h"
#include "corpus/json_spans.h"

struct coco_id {
    int64_t id; /* of a string: a negative hash */
    int64_t index;
};

struct coco_ids { /* by increasing id, each once; zeroed is empty and releasable */
    struct coco_id *rows;
    int64_t n;
};

struct coco_file { /* zeroed is empty and releasable */
    struct json_text text;
    struct json_spans members; /* of the root */
    struct json_spans images, annotations;
    struct coco_ids image_ids, annotation_ids, category_ids;
    char **category_names; /* [category_ids.n], as the file has them */
    /* Annotations of image i: order[first[i]] .. order[first[i + 1] - 1], as they follow each other
     * in the file. Behind those of the last image: annotations of a picture that is not there. */
    int64_t *first; /* [images.n + 1] */
    int64_t *order; /* [annotations.n] */
};

/* Errors  ERR_IO; ERR_FORMAT: a member is missing or no array, an id is there twice, a category is
 * not {id, name} */
enum status coco_open(struct coco_file *file_out, const char *path);
void coco_release(struct coco_file *file);

/* -1: no such id. */
int64_t coco_find(const struct coco_ids *ids, int64_t id);
void coco_ids_release(struct coco_ids *ids);

/* The name of a category; ERR_FORMAT for a number that the file does not define. */
enum status coco_category(const char **name_out, const struct coco_file *file,
                          const json_t *annotation, struct json_place place);

/* {id, name} entries of a small array of the file (categories, attributes), the names by position,
 * to free with names_free(names, ids.n). */
enum status coco_read_names(struct coco_ids *ids_out, char ***names_out,
                            const struct coco_file *file, const char *member);

#endif
