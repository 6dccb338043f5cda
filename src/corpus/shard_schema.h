/* What a shard file holds: one-dimensional tables, ten of schema 1 and six more of schema 2. These
 * rows are the bytes on disk, so this header, the column lists of shard_schema.c and
 * datasets/README.md change together, and SHARD_SCHEMA_VERSION with them. HDF5 is called here, in
 * shard_write.c and in shard_read.c. */
#ifndef ROBIN_CORPUS_SHARD_SCHEMA_H
#define ROBIN_CORPUS_SHARD_SCHEMA_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/content_hash.h"
#include "base/status.h"

#define SHARD_FORMAT         "robin-corpus"
#define SHARD_SCHEMA_VERSION 2
#define SHARD_SCHEMA_OLDEST  1 /* the oldest that is read */
#define SHARD_MAX_NAME_BYTES 200

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "rows are read as they lie on disk, which is little-endian");

enum shard_table {
    TABLE_RECORDS,
    TABLE_REGIONS,
    TABLE_RUNS,
    TABLE_OBJECTS,
    TABLE_ATTRIBUTES,
    TABLE_RELATIONS,
    TABLE_TEXTS,
    TABLE_TURNS,
    TABLE_STRINGS, /* bytes */
    TABLE_IMAGES,  /* bytes */
    TABLE_MORE,    /* from here on: not in schema 1 */
    TABLE_POINTS,
    TABLE_CHOICES,
    TABLE_REFERENCES,
    TABLE_ORIGINS,
    TABLE_PICTURES,
    N_SHARD_TABLES
};

/* FIRST and COUNT are rows of the named table; of `string`, bytes. */
struct row_record {
    uint64_t image_offset, image_size;
    uint64_t region_first, region_count;
    uint64_t run_first, run_count;
    uint64_t object_first, object_count;
    uint64_t attribute_first, attribute_count;
    uint64_t relation_first, relation_count;
    uint64_t text_first, text_count;
    uint64_t turn_first, turn_count;
    uint64_t string_first, string_count;
    uint64_t id_offset, source_offset;
    uint32_t id_size, source_size;
    uint32_t height, width;
    uint32_t crc32c;
    uint32_t more; /* row of /more, counted from 1; 0: the record has none. Schema 1: reserved, 0 */
};

struct row_region {
    double x1, y1, x2, y2;
    uint64_t run_first, run_count;
};

struct row_object {
    uint64_t name_offset;
    uint64_t attribute_first;
    uint32_t name_size;
    uint32_t attribute_count;
    uint64_t region;
};

struct row_attribute {
    uint64_t text_offset, text_size;
};

struct row_relation {
    uint64_t predicate_offset, kind_offset;
    uint32_t predicate_size, kind_size;
    uint32_t subject, object;
};

struct row_text {
    uint64_t task_offset;
    uint64_t turn_first;
    uint32_t task_size, turn_count;
    int64_t region;
};

struct row_turn {
    uint64_t question_offset, answer_offset;
    uint32_t question_size, answer_size;
};

/* What only some records have. Rows of the three below stand in the order of turns and texts. */
struct row_more {
    uint64_t point_first, point_count;
    uint64_t choice_first, choice_count;
    uint64_t reference_first, reference_count;
    uint64_t origin_first, origin_count;
    uint64_t picture; /* row of /pictures, counted from 1: its bytes are another file's; 0: they are
                         this file's, as the record says */
};

struct row_point {
    double x, y;
};

struct row_choice {
    uint64_t text_offset;
    uint32_t text_size;
    uint32_t turn;     /* of the record's turns, from 0 */
    uint32_t is_right; /* 1 for one choice of a turn */
    uint32_t reserved; /* 0 */
};

struct row_reference {
    uint32_t turn; /* of the record's turns, from 0 */
    uint32_t object;
};

struct row_origin {
    uint64_t text_offset;
    uint32_t text_size;
    uint32_t text; /* of the record's texts, from 0 */
};

/* A picture that records of this shard have, each once: where its bytes are. */
struct row_picture {
    struct content_hash hash; /* of the bytes */
    uint64_t offset, size;    /* in /images of that shard */
    uint32_t corpus;          /* 0: this one; k: number k of the index's `pictures_from` */
    uint32_t shard;
};

const char *shard_table_name(enum shard_table table);
size_t shard_table_row_bytes(enum shard_table table);

/* The table is part of that schema. */
bool shard_table_exists(enum shard_table table, uint32_t version);

/* The table's type on disk in that schema, to H5Tclose; negative on failure. */
hid_t shard_table_type(enum shard_table table, uint32_t version);

/* File access shared by reader and writer: no flock (file systems of clusters refuse it), library
 * format fixed at 1.8 (its metadata carries checksums, and the bytes stay the same under later
 * libraries). Negative on failure. */
hid_t shard_file_access(void);

/* HDF5's own text of the last failure goes into the sentence "cannot WHAT PATH: ..."; the library
 * prints nothing itself after shard_silence_hdf5. */
enum status shard_fail_hdf5(enum status code, const char *what, const char *path);
void shard_silence_hdf5(void);

#endif
