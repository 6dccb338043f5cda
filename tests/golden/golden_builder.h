/* Small steps in building a record from a JSON annotation. */
#ifndef ROBIN_TESTS_GOLDEN_BUILDER_H
#define ROBIN_TESTS_GOLDEN_BUILDER_H

#include <jansson.h>
#include <stdint.h>

#include "base/status.h"
#include "golden_records.h"

/* What a reader gets: the case, and where its records go. */
struct golden_reading {
    struct golden_records *records;
    const json_t *row, *files; /* files: image path -> [width, height], or a document */
    const char *directory;
};

/* A record with a stand-in of one byte for its picture; sizes from `from`, or of the file `image`
 * (NULL: id). */
struct record *golden_add_record(const struct golden_reading *reading, const char *id,
                                 const json_t *from, const char *image);
struct box golden_box(const json_t *list);         /* x1, y1, x2, y2 */
struct box golden_box_by_size(const json_t *list); /* x, y, width, height */
int64_t golden_add_region(struct record *record, struct box box);
enum status golden_add_mask(struct record *record, int64_t region, const json_t *segmentation);
struct record_object *golden_add_object(struct record *record, const char *name, int64_t region);
void golden_add_attribute(struct record_object *object, const char *attribute);
void golden_add_relation(struct record *record, int64_t subject, int64_t object,
                         const char *predicate, const char *kind);
void golden_add_text(struct record *record, const char *task, int64_t region, const char *question,
                     const char *answer);
/* Place of a key in an object, as the file lists them; -1: it is not there. */
int64_t golden_place_of(json_t *objects, const char *wanted);

/* Readers by the reference's dataset classes; each adds the records of the whole case. */
enum status golden_read_graphs(const struct golden_reading *reading); /* SG, detection, PSG */
enum status golden_read_refexp(const struct golden_reading *reading);
enum status golden_read_imported(const struct golden_reading *reading); /* by an importer */

/* sampling.json of that folder. */
struct golden_report;
enum status golden_check_sampling(const char *directory, struct golden_report *report);

#endif
