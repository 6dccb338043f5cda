/* Shards: HDF5 files of records, written once, read by pread past HDF5's lock. datasets/README.md
 * has the schema. */
#ifndef ROBIN_CORPUS_SHARD_H
#define ROBIN_CORPUS_SHARD_H

#include <stdint.h>

#include "base/status.h"
#include "corpus/record.h"

struct corpus;

/* Opens every shard of the folder and reads its index (offsets, sizes, CRCs): O(shards). ERR_FORMAT
 * names shard and field. */
enum status corpus_open(struct corpus **corpus_out, const char *directory);
void corpus_close(struct corpus *corpus);
int64_t corpus_size(const struct corpus *corpus); /* records */
const char *corpus_name(const struct corpus *corpus);

/* Reads, checks (CRC32C, limits) and parses one record. Thread-safe. The sentence names shard,
 * record and field. */
enum status corpus_read(const struct corpus *corpus, int64_t index, struct record *record_out);
/* The record's id alone, to free(). Thread-safe. */
enum status corpus_read_id(const struct corpus *corpus, int64_t index, char **id_out);

/* Writes records into DIRECTORY as shards of about `shard_bytes`; nothing appears under its name
 * until commit. */
struct corpus_writer;
enum status corpus_writer_create(struct corpus_writer **writer_out, const char *directory,
                                 const char *name, uint64_t shard_bytes);
enum status corpus_writer_add(struct corpus_writer *writer, const struct record *record);
enum status corpus_writer_commit(struct corpus_writer *writer);
void corpus_writer_destroy(
    struct corpus_writer *writer); /* without commit: removes what was written */

#endif
