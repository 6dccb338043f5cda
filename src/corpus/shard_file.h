/* One shard file: written whole by one process, read by any thread. A corpus is a folder of them
 * (shard.h); datasets/README.md is the schema. */
#ifndef ROBIN_CORPUS_SHARD_FILE_H
#define ROBIN_CORPUS_SHARD_FILE_H

#include <stdint.h>

#include "base/status.h"
#include "corpus/record.h"
#include "corpus/shard_schema.h"

struct shard;
struct shard_family { /* the shards of one corpus, in order; those that would not open are zeroed */
    const struct shard *shards;
    int64_t n;
};

struct shard { /* zeroed is closed */
    char *path;
    int fd;
    int64_t number;   /* its place in the corpus, from 0 */
    uint32_t version; /* of its schema */
    char corpus[SHARD_MAX_NAME_BYTES + 1];
    uint32_t records_crc; /* CRC-32C over the records' checksums (little-endian, in order) */
    uint64_t offset[N_SHARD_TABLES]; /* of the table's first byte in the file */
    uint64_t count[N_SHARD_TABLES];  /* rows; of strings and images, bytes; 0 without the table */
    /* Where pictures may be that it shares: number 0 its own corpus, then those of the index's
     * pictures_from. Borrowed, set by who opens them; without, such records cannot be read. */
    const struct shard_family *families;
    int64_t n_families;
};

/* Opens the file, checks its schema and remembers where its tables lie. HDF5 is used here alone,
 * so this may not run beside another HDF5 call of the process.
 * Errors  ERR_IO, ERR_FORMAT, ERR_LIMIT; the sentence names file and table */
enum status shard_open(struct shard *shard, const char *path);
void shard_close(struct shard *shard);

/* The same without HDF5, for a file of which all is known: `known` has number, version, corpus,
 * records_crc, offset and count as an index keeps them, and its path and fd are not looked at.
 * ERR_FORMAT when a table leaves the file or overlaps another, or the bytes outside the tables do
 * not have the checksum. */
enum status shard_open_known(struct shard *shard, const char *path, const struct shard *known,
                             uint32_t frame_crc);
/* CRC-32C of the bytes outside the tables, in order: HDF5's own, attributes included. */
enum status shard_frame_crc(const struct shard *shard, uint32_t *crc_out);

/* Reads, checks and parses record 0 .. count[TABLE_RECORDS]-1. Thread-safe: pread only. */
enum status shard_read(const struct shard *shard, int64_t record, struct record *record_out);

/* The record's id alone, to free(). */
enum status shard_read_id(const struct shard *shard, int64_t record, char **id_out);

/* Its table /pictures, [count[TABLE_PICTURES]] in new memory; NULL where it is empty. */
enum status shard_read_pictures(const struct shard *shard, struct row_picture **rows_out);

/* The stored checksums of all records give `records_crc`. Reads table /records. */
enum status shard_check_records(const struct shard *shard);

struct shard_writer;
struct picture_index;

/* A shard to be: rows gather in memory (about its size on disk) until commit writes PATH. Pictures
 * of `known` (NULL: none; borrowed) that are of another corpus or an earlier shard are not stored
 * again. */
enum status shard_writer_create(struct shard_writer **writer_out, const char *path,
                                const char *corpus, int64_t number,
                                const struct picture_index *known);
/* Checks the record and takes a copy. A picture whose bytes the shard holds already is shared.
 * Errors  those of record_check; ERR_LIMIT when the shard passes 16 GiB; ERR_MEMORY */
enum status shard_writer_add(struct shard_writer *writer, const struct record *record);
/* Bytes that the records take so far. */
uint64_t shard_writer_bytes(const struct shard_writer *writer);
/* Writes beside PATH, fsync, rename. The same records give the same bytes. */
enum status shard_writer_commit(struct shard_writer *writer);
void shard_writer_destroy(struct shard_writer *writer);

#endif
