/* index.json, the one file that makes a folder of shards a corpus. */
#ifndef ROBIN_CORPUS_CORPUS_INDEX_H
#define ROBIN_CORPUS_CORPUS_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "corpus/shard_file.h"

#define CORPUS_INDEX_FILE "index.json"

struct index_shard {
    int64_t bytes; /* of the file */
    int64_t n_records, n_regions, n_objects, n_relations, n_texts;
    uint32_t records_crc; /* as in the shard */
    /* not in schema 1: what makes HDF5 needless */
    uint32_t version; /* of the file's schema */
    uint32_t frame_crc;
    uint64_t offset[N_SHARD_TABLES], count[N_SHARD_TABLES];
};

struct index_source { /* another corpus that holds pictures of this one */
    char *corpus;     /* its folder, relative to this one's */
    uint32_t crc;     /* of its index */
};

struct corpus_index { /* zeroed is empty and releasable */
    char *name;
    int64_t version; /* of its own schema */
    int64_t n_records;
    int64_t n_shards;
    struct index_shard *shards;
    int64_t n_sources;
    struct index_source *sources;
    uint32_t crc; /* of an index that was read: its own checksum */
};

void corpus_index_release(struct corpus_index *index);

/* Errors  ERR_IO without the file, ERR_FORMAT when a field is not what it must be or the text is
 * not byte for byte what corpus_index_write makes of those fields (its own checksum among them) */
enum status corpus_index_read(struct corpus_index *index_out, const char *directory);
/* What a damaged index says of sources, as far as it is JSON; nothing otherwise. */
void corpus_index_read_sources(struct corpus_index *index, const char *directory);
enum status corpus_index_write(const struct corpus_index *index, const char *directory);

/* `corpus` as the folder of a source: relative, of printable characters without quotes and
 * backslashes; ERR_ARGUMENT otherwise. */
enum status corpus_index_add_source(struct corpus_index *index, const char *corpus, uint32_t crc);

/* Letters, digits, '.', '_', '-', not beginning with '.': a corpus name goes into file names. */
bool corpus_name_is_valid(const char *name);

/* What an index says of an open shard. */
enum status corpus_index_count(struct index_shard *entry_out, const struct shard *shard);

/* Opens shard `number` and compares it with what the index says: a file of another size or build is
 * refused. Without HDF5, but for an index of schema 1. *shard is zeroed before and after a failure.
 * Errors  as shard_open */
enum status corpus_index_open_shard(struct shard *shard, const struct corpus_index *index,
                                    const char *directory, int64_t number);

/* "DIRECTORY/NAME-00012.h5", to free(). */
char *corpus_shard_path(const char *directory, const char *name, int64_t shard);

#endif
