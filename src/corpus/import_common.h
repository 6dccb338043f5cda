/* What the importers share. */
#ifndef ROBIN_CORPUS_IMPORT_COMMON_H
#define ROBIN_CORPUS_IMPORT_COMMON_H

#include <jansson.h>
#include <stdint.h>

#include "base/json_file.h"
#include "base/status.h"
#include "corpus/corpus_build.h"
#include "corpus/record.h"

/* Reads the picture DIRECTORY/NAME into the record and decodes it once to see that it is whole and
 * of the record's height and width. Sets note->reason to "image", then "size". */
enum status import_picture(struct record *record, const char *directory, const char *name,
                           struct item_note *note);

/* DIRECTORY/NAME to free(); ERR_FORMAT for a name that is absolute or climbs out. */
enum status import_path(char **path_out, const char *directory, const char *name);

/* The box of a region, cut to the record's picture (counted in the note). ERR_FORMAT when nothing
 * of it is inside. */
enum status import_box(struct record_region *region, struct box box, const struct record *record,
                       struct item_note *note, struct json_place place);

/* Four numbers of an array. */
enum status import_four_numbers(double *four, const json_t *array, const char *what,
                                struct json_place place);

/* Element `index` of an array as an integer in 0 .. limit-1. */
enum status import_index(int64_t *index_out, const json_t *array, size_t index, int64_t limit,
                         const char *what, struct json_place place);

/* Room for `n` more; ERR_LIMIT beyond RECORD_MAX_ITEMS. Objects and regions are made in pairs, the
 * region of object i being i. */
enum status import_make_objects(struct record *record, size_t n, struct json_place place);
struct record_relation *import_add_relation(struct record *record);

/* Copies a list of strings into the object's attributes; NULL is none. */
enum status import_attributes(struct record_object *object, const json_t *list,
                              struct json_place place);

/* "dir/name.jpg" -> "name", to free(). */
char *import_stem(const char *path);
const char *import_base_name(const char *path);

#endif
