/* What a shard file holds: ten one-dimensional tables. These rows are the bytes on disk, so this
 * header, the column lists of shard_schema.c and datasets/README.md change together, and
 * SHARD_SCHEMA_VERSION with them. HDF5 is called here, in shard_write.c and in shard_read.c. */
#ifndef ROBIN_CORPUS_SHARD_SCHEMA_H
#define ROBIN_CORPUS_SHARD_SCHEMA_H

#include <hdf5.h>
#include <stdint.h>

#include "base/status.h"

#define SHARD_FORMAT         "robin-corpus"
#define SHARD_SCHEMA_VERSION 1
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
    uint32_t reserved; /* 0 */
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

const char *shard_table_name(enum shard_table table);
size_t shard_table_row_bytes(enum shard_table table);

/* The table's type on disk, to H5Tclose; negative on failure. */
hid_t shard_table_type(enum shard_table table);

/* File access shared by reader and writer: no flock (file systems of clusters refuse it), library
 * format fixed at 1.8 (its metadata carries checksums, and the bytes stay the same under later
 * libraries). Negative on failure. */
hid_t shard_file_access(void);

/* HDF5's own text of the last failure goes into the sentence "cannot WHAT PATH: ..."; the library
 * prints nothing itself after shard_silence_hdf5. */
enum status shard_fail_hdf5(enum status code, const char *what, const char *path);
void shard_silence_hdf5(void);

#endif
