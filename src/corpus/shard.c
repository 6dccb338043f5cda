/* A corpus as one sequence of records: the shards that its index names, opened once. */
#include "corpus/shard.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/text_buffer.h"
#include "corpus/corpus_families.h"
#include "corpus/corpus_index.h"
#include "corpus/corpus_stage.h"
#include "corpus/shard_file.h"

struct corpus {
    struct corpus_index index;
    struct shard *shards;
    struct corpus_families families;
    int64_t *first; /* [n_shards + 1] index of the shard's first record */
};

void corpus_close(struct corpus *corpus)
{
    if (corpus == NULL) return;
    for (int64_t i = 0; i < corpus->index.n_shards; i++) shard_close(&corpus->shards[i]);
    corpus_families_close(&corpus->families);
    free(corpus->shards);
    free(corpus->first);
    corpus_index_release(&corpus->index);
    free(corpus);
}

enum status corpus_open(struct corpus **corpus_out, const char *directory)
{
    enum status status = OK;
    struct corpus *corpus = memory_new(1, sizeof *corpus);
    TRY(corpus_index_read(&corpus->index, directory));
    const int64_t n_shards = corpus->index.n_shards;
    corpus->shards = memory_new((size_t)n_shards + 1, sizeof *corpus->shards);
    corpus->first = memory_new((size_t)n_shards + 1, sizeof *corpus->first);
    for (int64_t i = 0; i < n_shards; i++) {
        TRY(corpus_index_open_shard(&corpus->shards[i], &corpus->index, directory, i));
        corpus->first[i + 1] = corpus->first[i] + corpus->index.shards[i].n_records;
    }
    TRY(corpus_families_open(&corpus->families, &corpus->index, directory, corpus->shards,
                             n_shards));
    *corpus_out = corpus;
    corpus = NULL;
out:
    corpus_close(corpus);
    return status;
}

int64_t corpus_size(const struct corpus *corpus)
{
    return corpus->index.n_records;
}

const char *corpus_name(const struct corpus *corpus)
{
    return corpus->index.name;
}

/* The shard that holds record `index`; *within_out is the record's number in it. */
static enum status find_shard(const struct shard **shard_out, int64_t *within_out,
                              const struct corpus *corpus, int64_t index)
{
    if (index < 0 || index >= corpus->index.n_records)
        return status_fail(ERR_ARGUMENT, "corpus '%s' has no record %" PRId64 "; it has %" PRId64,
                           corpus->index.name, index, corpus->index.n_records);
    int64_t low = 0; /* first[low] <= index < first[high] */
    int64_t high = corpus->index.n_shards;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (corpus->first[middle] <= index)
            low = middle;
        else
            high = middle;
    }
    *shard_out = &corpus->shards[low];
    *within_out = index - corpus->first[low];
    return OK;
}

enum status corpus_read(const struct corpus *corpus, int64_t index, struct record *record_out)
{
    enum status status = OK;
    const struct shard *shard = NULL;
    int64_t within = 0;
    TRY(find_shard(&shard, &within, corpus, index));
    TRY(shard_read(shard, within, record_out));
out:
    return status;
}

enum status corpus_read_id(const struct corpus *corpus, int64_t index, char **id_out)
{
    enum status status = OK;
    const struct shard *shard = NULL;
    int64_t within = 0;
    TRY(find_shard(&shard, &within, corpus, index));
    TRY(shard_read_id(shard, within, id_out));
out:
    return status;
}

struct corpus_writer {
    struct corpus_stage stage;
    uint64_t shard_bytes;
    int64_t n_shards; /* begun, the open one included */
    struct shard_writer *shard;
};

enum status corpus_writer_create(struct corpus_writer **writer_out, const char *directory,
                                 const char *name, uint64_t shard_bytes)
{
    enum status status = OK;
    struct corpus_writer *writer = memory_new(1, sizeof *writer);
    writer->shard_bytes = shard_bytes;
    bool resumed;
    TRY(corpus_stage_init(&writer->stage, directory, name));
    TRY(corpus_stage_begin(&writer->stage, NULL, &resumed));
    *writer_out = writer;
    writer = NULL;
out:
    if (writer != NULL) corpus_stage_release(&writer->stage);
    free(writer);
    return status;
}

static enum status finish_shard(struct corpus_writer *writer)
{
    enum status status = OK;
    if (writer->shard == NULL) return OK;
    TRY(shard_writer_commit(writer->shard));
    shard_writer_destroy(writer->shard);
    writer->shard = NULL;
out:
    return status;
}

enum status corpus_writer_add(struct corpus_writer *writer, const struct record *record)
{
    enum status status = OK;
    char *path = NULL;
    if (writer->shard != NULL && shard_writer_bytes(writer->shard) >= writer->shard_bytes)
        TRY(finish_shard(writer));
    if (writer->shard == NULL) {
        path = corpus_shard_path(writer->stage.partial, writer->stage.name, writer->n_shards);
        TRY(shard_writer_create(&writer->shard, path, writer->stage.name, writer->n_shards, NULL));
        writer->n_shards++;
    }
    TRY(shard_writer_add(writer->shard, record));
out:
    free(path);
    return status;
}

enum status corpus_writer_commit(struct corpus_writer *writer)
{
    enum status status = OK;
    struct corpus_index index = {0};
    TRY(finish_shard(writer));
    TRY(corpus_shards_index(&index, writer->stage.partial, writer->stage.name, writer->n_shards));
    TRY(corpus_stage_commit(&writer->stage, &index));
    corpus_stage_release(&writer->stage);
out:
    corpus_index_release(&index);
    return status;
}

void corpus_writer_destroy(struct corpus_writer *writer)
{
    if (writer == NULL) return;
    shard_writer_destroy(writer->shard);
    if (writer->stage.partial != NULL) {
        corpus_stage_abandon(&writer->stage);
        corpus_stage_release(&writer->stage);
    }
    free(writer);
}
