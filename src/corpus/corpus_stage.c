/* See corpus_stage.h. */
#include "corpus/corpus_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "corpus/shard_file.h"

#define IDENTITY_MAX_BYTES ((size_t)1 << 16)

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
    stage->working = text_format("%s.partial", stage->directory);
    stage->partial = path_join(stage->working, "corpus");
    stage->name = text_copy(name);
out:
    return status;
}

static void unlock(struct corpus_stage *stage)
{
    if (stage->lock > 0) close(stage->lock - 1);
    stage->lock = 0;
}

void corpus_stage_release(struct corpus_stage *stage)
{
    unlock(stage);
    free(stage->directory);
    free(stage->working);
    free(stage->partial);
    free(stage->name);
    *stage = (struct corpus_stage){0};
}

/* The file that says what the build is made of; locked while a process builds. Where the file
 * system has no locks, two builds of one directory are the user's to avoid. */
static enum status lock_identity(struct corpus_stage *stage, const char *path)
{
    enum status status = OK;
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) FAIL(ERR_IO, "cannot open %s: %s", path, strerror(errno));
    stage->lock = fd + 1;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return OK;
    if (errno == EWOULDBLOCK)
        FAIL(ERR_ARGUMENT, "%s is there: another build is writing it; wait for its end",
             stage->working);
    log_warn("cannot lock %s (%s): let no other build write %s", path, strerror(errno),
             stage->directory);
out:
    return status;
}

/* A file that was being written when its process was killed. */
static enum status remove_unfinished(const char *directory)
{
    enum status status = OK;
    char **names = NULL;
    size_t n = 0;
    char *path = NULL;
    TRY(directory_list(&names, &n, directory));
    for (size_t i = 0; i < n; i++) {
        if (strstr(names[i], ".tmp.") == NULL) continue;
        free(path);
        path = path_join(directory, names[i]);
        TRY(directory_remove(path));
    }
out:
    free(path);
    names_free(names, n);
    return status;
}

static enum status take_over(const struct corpus_stage *stage, const char *path,
                             const char *identity)
{
    enum status status = OK;
    unsigned char *found = NULL;
    size_t size = 0;
    TRY(file_read(&found, &size, path, IDENTITY_MAX_BYTES));
    if (size == 0) /* killed before it was written, and before any shard */
        TRY(file_pwrite(stage->lock - 1, identity, strlen(identity), 0, path));
    else if (strcmp((const char *)found, identity) != 0)
        FAIL(ERR_ARGUMENT,
             "%s is there: a build of other inputs or options was killed (%s; this one is %s); if "
             "that is not wanted any more, remove it and try again",
             stage->working, (const char *)found, identity);
    TRY(remove_unfinished(stage->working));
    TRY(remove_unfinished(stage->partial));
out:
    free(found);
    return status;
}

enum status corpus_stage_begin(struct corpus_stage *stage, const char *identity, bool *resumed_out)
{
    enum status status = OK;
    char **names = NULL;
    size_t n = 0;
    char *parent = path_parent(stage->directory);
    char *path = path_join(stage->working, "identity");
    if (file_exists(stage->directory)) TRY(directory_list(&names, &n, stage->directory));
    if (n > 0)
        FAIL(ERR_ARGUMENT, "%s is not empty; remove it or choose another directory",
             stage->directory);
    TRY(directory_create(parent));
    const int error = mkdir(stage->working, 0777) == 0 ? 0 : errno;
    if (error != 0 && error != EEXIST)
        FAIL(ERR_IO, "cannot create directory %s: %s", stage->working, strerror(error));
    if (error == EEXIST && (identity == NULL || !file_exists(path)))
        FAIL(ERR_ARGUMENT,
             "%s is there: another build is writing it, or one was killed; if none runs, remove it "
             "and try again",
             stage->working);
    TRY(directory_create(stage->partial));
    TRY(lock_identity(stage, path));
    *resumed_out = error == EEXIST;
    if (error == EEXIST)
        TRY(take_over(stage, path, identity));
    else if (identity != NULL)
        TRY(file_pwrite(stage->lock - 1, identity, strlen(identity), 0, path));
out:
    if (status != OK) unlock(stage);
    names_free(names, n);
    free(parent);
    free(path);
    return status;
}

void corpus_stage_abandon(struct corpus_stage *stage)
{
    char *cause = text_copy(status_message()); /* why we abandon matters more than what follows */
    unlock(stage);
    if (directory_remove(stage->working) != OK) {
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

static enum status look_at_shard(struct shard *shard, struct index_shard *entry, const char *path)
{
    enum status status = OK;
    TRY(shard_open(shard, path));
    TRY(shard_check_records(shard));
    TRY(corpus_index_count(entry, shard));
out:
    return status;
}

enum status corpus_shards_index(struct corpus_index *index_out, const char *directory,
                                const char *name, int64_t n_shards)
{
    enum status status = OK;
    struct shard *shards = memory_new((size_t)n_shards + 1, sizeof *shards);
    struct corpus_index index = {
        .name = text_copy(name), .version = SHARD_SCHEMA_VERSION, .n_shards = n_shards};
    index.shards = memory_new((size_t)n_shards + 1, sizeof *index.shards);
    for (int64_t i = 0; i < n_shards; i++) {
        char *path = corpus_shard_path(directory, name, i);
        status = look_at_shard(&shards[i], &index.shards[i], path);
        free(path);
        TRY(status);
        index.n_records += index.shards[i].n_records;
    }
    TRY(check_ids_unique(shards, &index));
    *index_out = index;
    index = (struct corpus_index){0};
out:
    for (int64_t i = 0; i < n_shards; i++) shard_close(&shards[i]);
    free(shards);
    corpus_index_release(&index);
    return status;
}

enum status corpus_stage_commit(struct corpus_stage *stage, const struct corpus_index *index)
{
    enum status status = OK;
    char *parent = path_parent(stage->directory);
    TRY(corpus_index_write(index, stage->partial));
    TRY(directory_sync(stage->partial));
    if (rename(stage->partial, stage->directory) != 0)
        FAIL(ERR_IO, "cannot rename %s to %s: %s", stage->partial, stage->directory,
             strerror(errno));
    TRY(directory_sync(parent));
    unlock(stage);
    TRY(directory_remove(stage->working));
out:
    free(parent);
    return status;
}
