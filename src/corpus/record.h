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

struct record_point {
    double x, y; /* pixels of the original image */
};

struct record_turn {
    char *question, *answer; /* raw text, but for the marks below */
    char **choices;          /* answers to choose from */
    int64_t n_choices;       /* 0: an open question */
    int64_t choice;          /* the right one: answer is choices[choice]; 0 without choices */
    int64_t *objects;        /* that the turn is about or rests on, in the order of the source */
    int64_t n_objects;
};

/* Sentences about the picture or one region of it. By `task`:
 *     "caption"      the picture, or a region, in words: the answer; the question may be ""
 *     "refexp"       an expression that fits one region only: the answer; the question is ""
 *     "description"  a region in a few sentences: the answer; the question is ""; objects, where
 *                    known, are the subject and then the others that were in mind
 *     "name"         another name of a region: the answer
 *     "summary"      the picture in words with marked phrases: the answer
 *     "vqa"          a question with a short answer; objects: what it takes to answer
 *     "grounded"     a caption with marked phrases: the answer
 *     "cot"          two turns: question and reasoning with marked phrases; "" and the answer
 *     "choice"       a question with choices
 *     "vcr"          two turns with choices: question and answer; "" and the reason
 *     "statement"    "<p>car</p> behind <p>suitcase</p>", "yes" or "no"
 *     "conversation" questions and answers as they are to be learnt
 *     "llava"        the same to the last byte of the source: nothing in it is a mark
 * Marks; N counts from 1 over regions or points:
 *     regionN                           a region by its number
 *     <regionN>, <pointN>               the place of a region or point in the sentence
 *     <p>phrase</p><regionN><regionM>   a phrase and its regions */
struct record_text {
    char *task;
    char *origin;   /* its id, split or order in the source; NULL or "": not known */
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
    struct record_point *points;
    int64_t n_points;
};

void record_release(struct record *record);

/* Everything a stored record must be: UTF-8 without NUL, sizes within the limits, indices in range,
 * boxes with area inside the picture, masks of its size whose runs sum to it and that hold a pixel,
 * kinds among the five or "", points inside the picture, the answer among the choices. Does not
 * look into the picture's bytes.
 * Errors  ERR_FORMAT, ERR_LIMIT; the sentence begins with "record ID: FIELD" */
enum status record_check(const struct record *record);

/* CRC-32C of every field in the serialisation of datasets/README.md ("The check of a record"). */
uint32_t record_checksum(const struct record *record);

/* How many choices, references to objects and origins its texts hold together. */
struct record_extras {
    int64_t n_choices, n_references, n_origins;
};
struct record_extras record_count_extras(const struct record *record);

#endif
