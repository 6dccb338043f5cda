/* See corpus_families.h. */
#include "corpus/corpus_families.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/text_buffer.h"

void corpus_families_close(struct corpus_families *families)
{
    for (int64_t i = 0; i < families->n; i++) {
        struct shard *shards = families->others[i];
        for (int64_t j = 0; shards != NULL && j < families->families[i].n; j++)
            shard_close(&shards[j]);
        free(shards);
    }
    free(families->families);
    free(families->others);
    *families = (struct corpus_families){0};
}

static enum status open_other(struct corpus_families *families, int64_t number, const char *path,
                              uint32_t crc)
{
    enum status status = OK;
    struct corpus_index index = {0};
    TRY(corpus_index_read(&index, path));
    if (index.crc != crc)
        FAIL(ERR_FORMAT,
             "it was made again since (its index has crc32c %08x, not %08x): bring back the one "
             "that was there, or build this corpus again",
             index.crc, crc);
    families->others[number] = memory_new((size_t)index.n_shards + 1, sizeof(struct shard));
    families->families[number].shards = families->others[number];
    for (int64_t i = 0; i < index.n_shards; i++) {
        TRY(corpus_index_open_shard(&families->others[number][i], &index, path, i));
        families->families[number].n = i + 1;
    }
out:
    corpus_index_release(&index);
    return status;
}

enum status corpus_families_open_all(struct corpus_families *families, struct shard **own_out,
                                     const struct corpus_index *index, const char *directory)
{
    struct shard *own = memory_new((size_t)index->n_shards + 1, sizeof *own);
    for (int64_t i = 0; i < index->n_shards; i++)
        if (corpus_index_open_shard(&own[i], index, directory, i) != OK) status_clear();
    *own_out = own;
    return corpus_families_open(families, index, directory, own, index->n_shards);
}

enum status corpus_families_open(struct corpus_families *families, const struct corpus_index *index,
                                 const char *directory, struct shard *own, int64_t n_own)
{
    enum status status = OK;
    char *path = NULL;
    const size_t n = (size_t)index->n_sources + 1;
    *families = (struct corpus_families){.families = memory_new(n, sizeof *families->families),
                                         .others = memory_new(n, sizeof *families->others),
                                         .n = (int64_t)n};
    families->families[0] = (struct shard_family){own, n_own};
    for (int64_t i = 0; i < index->n_sources; i++) {
        free(path);
        path = path_join(directory, index->sources[i].corpus);
        TRY_WHERE(open_other(families, i + 1, path, index->sources[i].crc),
                  "%s has pictures in corpus %s", directory, path);
    }
    for (int64_t i = 0; i < n_own; i++) {
        own[i].families = families->families;
        own[i].n_families = families->n;
    }
out:
    free(path);
    if (status != OK) corpus_families_close(families);
    return status;
}
