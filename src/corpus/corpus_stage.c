/* See corpus_stage.h. */
#include "corpus/corpus_stage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "corpus/corpus_index.h"
#include "corpus/shard_file.h"

enum status corpus_stage_init(struct corpus_stage *stage, const char *directory, const char *name)
{
    enum status status = OK;
    *stage = (struct corpus_stage){0};
    size_t size = strlen(directory);
    while (size > 1 && directory[size - 1] == '/') size--;
    if (size == 0) FAIL(ERR_ARGUMENT, "a corpus needs a directory");
    if (!corpus_name_is_valid(name))
        FAIL(ERR_ARGUMENT,
             "'%s' cannot name a corpus: use letters, digits, '.', '_' and '-', 1 to 200 of them",
             name);
    stage->directory = text_format("%.*s", (int)size, directory);
    stage->partial = text_format("%s.partial", stage->directory);
    stage->name = text_copy(name);
out:
    return status;
}

void corpus_stage_release(struct corpus_stage *stage)
{
    free(stage->directory);
    free(stage->partial);
    free(stage->name);
    *stage = (struct corpus_stage){0};
}

enum status corpus_stage_begin(const struct corpus_stage *stage)
{
    enum status status = OK;
    char **names = NULL;
    size_t n = 0;
    char *parent = path_parent(stage->directory);
    if (file_exists(stage->directory)) TRY(directory_list(&names, &n, stage->directory));
    if (n > 0)
        FAIL(ERR_ARGUMENT, "%s is not empty; remove it or choose another directory",
             stage->directory);
    TRY(directory_create(parent));
    const int error = mkdir(stage->partial, 0777) == 0 ? 0 : errno;
    if (error == EEXIST)
        FAIL(ERR_ARGUMENT,
             "%s is there: another build is writing it, or one was killed; if none runs, remove it "
             "and try again",
             stage->partial);
    if (error != 0) FAIL(ERR_IO, "cannot create directory %s: %s", stage->partial, strerror(error));
out:
    names_free(names, n);
    free(parent);
    return status;
}

void corpus_stage_abandon(const struct corpus_stage *stage)
{
    char *cause = text_copy(status_message()); /* why we abandon matters more than what follows */
    if (directory_remove(stage->partial) != OK) {
        log_warn("%s", status_message());
        status_fail(ERR_IO, "%s", cause);
    }
    free(cause);
}

struct id_place { /* of one record */
    uint64_t hash;
    int64_t shard, record;
};

static int compare_ids(const void *a, const void *b)
{
    const struct id_place *left = a;
    const struct id_place *right = b;
    if (left->hash != right->hash) return left->hash < right->hash ? -1 : 1;
    if (left->shard != right->shard) return left->shard < right->shard ? -1 : 1;
    return left->record < right->record ? -1 : left->record > right->record;
}

static enum status compare_neighbours(const struct shard *shards, const struct id_place *places,
                                      int64_t n)
{
    enum status status = OK;
    char *id = NULL;
    char *other = NULL;
    for (int64_t i = 1; i < n; i++) {
        if (places[i].hash != places[i - 1].hash) continue;
        free(id);
        free(other);
        id = other = NULL;
        TRY(shard_read_id(&shards[places[i - 1].shard], places[i - 1].record, &id));
        TRY(shard_read_id(&shards[places[i].shard], places[i].record, &other));
        if (strcmp(id, other) == 0)
            FAIL(ERR_FORMAT,
                 "two records have the id '%s' (record %" PRId64 " of shard %" PRId64
                 " and record %" PRId64 " of shard %" PRId64 "); remove one from the input",
                 id, places[i - 1].record, places[i - 1].shard, places[i].record, places[i].shard);
    }
out:
    free(id);
    free(other);
    return status;
}

static enum status check_ids_unique(const struct shard *shards, const struct corpus_index *index)
{
    enum status status = OK;
    char *id = NULL;
    int64_t n = 0;
    struct id_place *places = malloc(((size_t)index->n_records + 1) * sizeof *places);
    if (places == NULL) FAIL(ERR_MEMORY, "no memory for %" PRId64 " ids", index->n_records);
    for (int64_t shard = 0; shard < index->n_shards; shard++) {
        for (int64_t record = 0; record < index->shards[shard].n_records; record++) {
            free(id);
            id = NULL;
            TRY(shard_read_id(&shards[shard], record, &id));
            places[n++] = (struct id_place){hash_fnv1a(id, strlen(id)), shard, record};
        }
    }
    qsort(places, (size_t)n, sizeof *places, compare_ids);
    TRY(compare_neighbours(shards, places, n));
out:
    free(id);
    free(places);
    return status;
}

static enum status look_at_shard(struct shard *shard, struct index_shard *entry,
                                 const struct corpus_stage *stage, int64_t number)
{
    enum status status = OK;
    struct stat about;
    char *path = corpus_shard_path(stage->partial, stage->name, number);
    TRY(shard_open(shard, path));
    TRY(shard_check_records(shard));
    if (stat(path, &about) != 0) FAIL(ERR_IO, "cannot look at %s: %s", path, strerror(errno));
    *entry = (struct index_shard){.bytes = about.st_size,
                                  .n_records = (int64_t)shard->count[TABLE_RECORDS],
                                  .n_regions = (int64_t)shard->count[TABLE_REGIONS],
                                  .n_objects = (int64_t)shard->count[TABLE_OBJECTS],
                                  .n_relations = (int64_t)shard->count[TABLE_RELATIONS],
                                  .n_texts = (int64_t)shard->count[TABLE_TEXTS],
                                  .records_crc = shard->records_crc};
out:
    free(path);
    return status;
}

enum status corpus_stage_commit(const struct corpus_stage *stage, int64_t n_shards)
{
    enum status status = OK;
    struct shard *shards = memory_new((size_t)n_shards + 1, sizeof *shards);
    struct corpus_index index = {.name = text_copy(stage->name), .n_shards = n_shards};
    char *parent = path_parent(stage->directory);
    index.shards = memory_new((size_t)n_shards + 1, sizeof *index.shards);
    for (int64_t i = 0; i < n_shards; i++) {
        TRY(look_at_shard(&shards[i], &index.shards[i], stage, i));
        index.n_records += index.shards[i].n_records;
    }
    TRY(check_ids_unique(shards, &index));
    TRY(corpus_index_write(&index, stage->partial));
    TRY(directory_sync(stage->partial));
    if (rename(stage->partial, stage->directory) != 0)
        FAIL(ERR_IO, "cannot rename %s to %s: %s", stage->partial, stage->directory,
             strerror(errno));
    TRY(directory_sync(parent));
out:
    for (int64_t i = 0; i < n_shards; i++) shard_close(&shards[i]);
    free(shards);
    free(parent);
    corpus_index_release(&index);
    return status;
}
