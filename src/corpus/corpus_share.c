/* See corpus_share.h. */
#include "corpus/corpus_share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rate_line.h"
#include "base/text_buffer.h"
#include "corpus/corpus_families.h"

void corpus_share_release(struct corpus_share *share)
{
    corpus_index_release(&share->sources);
    picture_index_release(&share->known);
    free(share->parent);
    *share = (struct corpus_share){0};
}

static enum status real_path(char **real_out, const char *path)
{
    enum status status = OK;
    char *real = realpath(path, NULL);
    if (real == NULL) FAIL(ERR_IO, "cannot find %s: %s", path, strerror(errno));
    *real_out = real;
out:
    return status;
}

/* The way from the folder `from` to the folder `to`, both absolute and without links. To free(). */
static char *way_between(const char *from, const char *to)
{
    struct text_buffer way = {0};
    size_t common = 0; /* up to a '/' that both have, or to the end of one */
    for (size_t i = 0;; i++) {
        const bool from_ends = from[i] == '/' || from[i] == '\0';
        const bool to_ends = to[i] == '/' || to[i] == '\0';
        if (from_ends && to_ends) common = i;
        if (from[i] == '\0' || from[i] != to[i]) break;
    }
    for (const char *at = from + common; *at != '\0'; at++)
        if (*at == '/' && at[1] != '\0') text_append(&way, "../");
    text_append(&way, to[common] == '/' ? to + common + 1 : to + common);
    if (way.length == 0) text_append(&way, ".");
    return text_take(&way);
}

static enum status add_folder(struct corpus_share *share, const char *real_parent,
                              const char *folder)
{
    enum status status = OK;
    struct corpus_index index = {0};
    char *real = NULL;
    char *way = NULL;
    TRY(real_path(&real, folder));
    TRY(corpus_index_read(&index, real));
    way = way_between(real_parent, real);
    TRY(corpus_index_add_source(&share->sources, way, index.crc));
out:
    corpus_index_release(&index);
    free(real);
    free(way);
    return status;
}

enum status corpus_share_open(struct corpus_share *share, const struct corpus_stage *stage,
                              const char *const *folders, int64_t n)
{
    enum status status = OK;
    struct corpus_families families = {0};
    char *real_parent = NULL;
    share->parent = path_parent(stage->directory);
    if (n > 0) {
        TRY(directory_create(share->parent));
        TRY(real_path(&real_parent, share->parent));
    }
    for (int64_t i = 0; i < n; i++) TRY(add_folder(share, real_parent, folders[i]));
    TRY(corpus_families_open(&families, &share->sources, share->parent, NULL, 0));
    for (int64_t i = 1; i < families.n; i++)
        TRY(picture_index_add_corpus(&share->known, families.families[i], (uint32_t)i));
out:
    corpus_families_close(&families);
    free(real_parent);
    return status;
}

/* All records of the shard into a new file in its place, pictures where `known` says. */
static enum status rewrite_shard(const struct shard *shard, const struct corpus_stage *stage,
                                 const struct picture_index *known)
{
    enum status status = OK;
    struct shard_writer *writer = NULL;
    struct record record = {0};
    TRY(shard_writer_create(&writer, shard->path, stage->name, shard->number, known));
    for (uint64_t i = 0; i < shard->count[TABLE_RECORDS]; i++) {
        TRY(shard_read(shard, (int64_t)i, &record));
        TRY(shard_writer_add(writer, &record));
        record_release(&record);
    }
    TRY(shard_writer_commit(writer));
out:
    record_release(&record);
    shard_writer_destroy(writer);
    return status;
}

struct own_shards { /* of the partial folder */
    struct shard *shards;
    int64_t n;
    struct corpus_families families;
    bool *spare; /* [n] stores a picture that an earlier one has */
};

static enum status own_open(struct own_shards *own, struct corpus_share *share,
                            const struct corpus_stage *stage)
{
    enum status status = OK;
    char *path = NULL;
    for (int64_t i = 0; i < own->n; i++) {
        free(path);
        path = corpus_shard_path(stage->partial, stage->name, i);
        TRY(shard_open(&own->shards[i], path));
    }
    TRY(corpus_families_open(&own->families, &share->sources, share->parent, own->shards, own->n));
    TRY(picture_index_add_own(&share->known, own->families.families[0], own->spare));
out:
    free(path);
    return status;
}

enum status corpus_share_own(struct comm *comm, struct corpus_share *share,
                             const struct corpus_stage *stage, int64_t n_shards)
{
    enum status status = OK;
    struct own_shards own = {.shards = memory_new((size_t)n_shards + 1, sizeof *own.shards),
                             .spare = memory_new((size_t)n_shards + 1, sizeof *own.spare),
                             .n = n_shards};
    int64_t number = 0; /* of those to be rewritten */
    int64_t n_spare = 0;
    struct rate_line line = {0};
    enum status mine = OK;
    TRY(comm_agree(comm, own_open(&own, share, stage)));
    for (int64_t i = 0; i < n_shards; i++) n_spare += own.spare[i];
    line = rate_line_begin("equal pictures", "shards", 0, n_spare);
    for (int64_t i = 0; i < n_shards && mine == OK; i++) {
        if (!own.spare[i] || number++ % comm_size(comm) != comm_rank(comm)) continue;
        rate_line_update(&line, number - 1);
        mine = rewrite_shard(&own.shards[i], stage, &share->known);
    }
    TRY(comm_agree(comm, mine));
out:
    rate_line_end(&line);
    corpus_families_close(&own.families);
    for (int64_t i = 0; i < n_shards; i++) shard_close(&own.shards[i]);
    free(own.shards);
    free(own.spare);
    return status;
}
