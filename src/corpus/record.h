/* One picture with all that is known of it, as a shard stores it: the neutral form between
 * importers and tasks. datasets/README.md is the schema on disk; this is the same in memory. */
#ifndef ROBIN_CORPUS_RECORD_H
#define ROBIN_CORPUS_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "image/rle.h"

/* What a record may hold; more is refused with ERR_LIMIT on writing and on reading. */
#define RECORD_MAX_IMAGE_BYTES  (256u << 20)
#define RECORD_MAX_STRING_BYTES (1u << 20)
#define RECORD_MAX_ITEMS        1000000 /* of each kind: regions, objects, ... */

struct record_region {
    struct rle mask; /* n_runs 0: no mask, the box alone */
    struct box box;  /* pixels of the original image, x2, y2 exclusive */
};

struct record_object {
    char *name;
    char **attributes;
    int64_t n_attributes;
    int64_t region; /* index into regions */
};

struct record_relation {
    int64_t subject, object; /* indices into objects */
    char *predicate;
    char
        *kind; /* "spatial", "interactional", "functional", "social", "emotional" or "" (unknown) */
};

struct record_turn {
    char *question, *answer; /* `regionN` in them counts from 1 over regions */
};

/* Sentences about the picture or one region of it. By `task`:
 *     "caption"      the picture, or a region, in words: the answer; the question may be ""
 *     "refexp"       an expression that fits one region only: the answer; the question is ""
 *     "description"  a region in a few sentences: the answer; the question is ""
 *     "vqa"          a question with a short answer
 *     "conversation" questions and answers as they are to be learnt */
struct record_text {
    char *task;
    int64_t region; /* what it is about; -1: the whole picture */
    struct record_turn *turns;
    int64_t n_turns;
};

struct record {            /* zeroed is empty and releasable; owns everything */
    char *id;              /* unique in its corpus, e.g. "gqa/2370799" */
    char *source;          /* provenance: importer and file, e.g. "psg:psg.json" */
    int64_t height, width; /* of the picture; both 0 without one */
    uint8_t *image;        /* the original JPEG or PNG bytes; NULL: a record of text alone */
    size_t image_size;
    struct record_region *regions;
    int64_t n_regions;
    struct record_object *objects;
    int64_t n_objects;
    struct record_relation *relations;
    int64_t n_relations;
    struct record_text *texts;
    int64_t n_texts;
};

void record_release(struct record *record);

/* Everything a stored record must be: UTF-8 without NUL, sizes within the limits, indices in range,
 * boxes with area inside the picture, masks of its size whose runs sum to it and that hold a pixel,
 * kinds among the five or "". Does not look into the picture's bytes.
 * Errors  ERR_FORMAT, ERR_LIMIT; the sentence begins with "record ID: FIELD" */
enum status record_check(const struct record *record);

/* CRC-32C of every field in the serialisation of datasets/README.md ("The check of a record"). */
uint32_t record_checksum(const struct record *record);

#endif
