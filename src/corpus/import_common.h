/* What the importers share: appending to a record, and leaving out what cannot be appended. */
#ifndef ROBIN_CORPUS_IMPORT_COMMON_H
#define ROBIN_CORPUS_IMPORT_COMMON_H

#include <jansson.h>
#include <stdint.h>

#include "base/json_file.h"
#include "base/status.h"
#include "corpus/corpus_build.h"
#include "corpus/record.h"

/* ---- a record grows ---- */

/* A region without box and mask yet; its index. */
int64_t import_add_region(struct record *record);
/* ERR_FORMAT for an empty name, ERR_LIMIT for one that no record may hold. */
enum status import_add_object(struct record *record, const char *name, int64_t region,
                              struct json_place place);
enum status import_add_attribute(struct record_object *object, const char *text,
                                 struct json_place place);
/* Its kind is "" and its predicate a copy. ERR_FORMAT for an empty predicate. */
enum status import_add_relation(struct record *record, int64_t subject, const char *predicate,
                                int64_t object, struct json_place place);

/* Where a record stood, to undo what was appended since. */
struct import_mark {
    int64_t n_regions, n_objects, n_relations, n_texts, n_points;
};
struct import_mark import_mark(const struct record *record);

/* The part begun at `mark` failed with `why`: it is taken out of the record, and this thread's
 * sentence noted under `reason` (one word). OK; ERR_MEMORY is passed on. */
enum status import_drop(struct record *record, struct import_mark mark, struct item_note *note,
                        enum status why, const char *reason);

/* ---- pictures and regions ---- */

/* Reads the picture DIRECTORY/NAME into the record and decodes it once to see that it is whole and
 * of the record's height and width; where those are 0 they are set. Sets note->reason to "image",
 * then "size". */
enum status import_picture(struct record *record, const char *directory, const char *name,
                           struct item_note *note);

/* DIRECTORY/NAME to free(); ERR_FORMAT for a name that is absolute or climbs out. */
enum status import_path(char **path_out, const char *directory, const char *name);

/* The box of a region, cut to the record's picture (counted in the note). ERR_FORMAT when nothing
 * of it is inside. */
enum status import_box(struct record_region *region, struct box box, const struct record *record,
                       struct item_note *note, struct json_place place);

/* The mask of a region from any COCO `segmentation`. ERR_FORMAT when it holds no pixel. */
enum status import_mask(struct record_region *region, const json_t *segmentation,
                        const struct record *record, struct json_place place);

/* ---- fields ---- */

/* Four numbers of an array. */
enum status import_four_numbers(double *four, const json_t *array, const char *what,
                                struct json_place place);

/* Element `index` of an array as an integer in 0 .. limit-1. */
enum status import_index(int64_t *index_out, const json_t *array, size_t index, int64_t limit,
                         const char *what, struct json_place place);

/* Copies a list of strings into the object's attributes; NULL is none. */
enum status import_attributes(struct record_object *object, const json_t *list,
                              struct json_place place);

/* "dir/name.jpg" -> "name", to free(). */
char *import_stem(const char *path);
const char *import_base_name(const char *path);

#endif
