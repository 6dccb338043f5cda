/* See corpus_verify.h. */
#include "corpus/corpus_verify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/rate_line.h"
#include "base/thread_pool.h"
#include "corpus/corpus_families.h"
#include "corpus/corpus_index.h"
#include "image/image.h"

#define BLOCK_RECORDS     64
#define JOURNAL_MAX_BYTES (256u << 20)

/* Blocks of records, in any order on any thread; what they found is joined in theirs. */
struct shard_work {
    const struct shard *shard;
    bool pictures;
    struct text_buffer *lines; /* [n_blocks] */
    int64_t *n_damaged;        /* [n_blocks] */
};

static enum status check_record(const struct shard_work *work, int64_t index)
{
    enum status status = OK;
    struct record record = {0};
    struct image picture = {0};
    TRY(shard_read(work->shard, index, &record));
    if (!work->pictures || record.image_size == 0) goto out;
    TRY_WHERE(image_decode(&picture, record.image, record.image_size, "its picture"),
              "%s: record %" PRId64 " '%s'", work->shard->path, index, record.id);
    if (picture.height != record.height || picture.width != record.width)
        FAIL(ERR_FORMAT,
             "%s: record %" PRId64 " '%s': its picture is %" PRId64 " x %" PRId64
             ", the record says %" PRId64 " x %" PRId64 " (width x height)",
             work->shard->path, index, record.id, picture.width, picture.height, record.width,
             record.height);
out:
    image_release(&picture);
    record_release(&record);
    return status;
}

static void check_block(void *argument, int64_t block, int worker)
{
    const struct shard_work *work = argument;
    const int64_t n = (int64_t)work->shard->count[TABLE_RECORDS];
    const int64_t first = block * BLOCK_RECORDS;
    (void)worker;
    for (int64_t i = first; i < n && i < first + BLOCK_RECORDS; i++) {
        if (check_record(work, i) == OK) continue;
        text_printf(&work->lines[block], "%s\n", status_message());
        work->n_damaged[block]++;
        status_clear();
    }
}

static void add_damaged(struct verify_result *result)
{
    text_printf(&result->lines, "%s\n", status_message());
    result->n_damaged++;
    status_clear();
}

static void verify_shard(struct verify_result *result, const struct shard *shard,
                         struct thread_pool *pool, bool pictures)
{
    const int64_t n = (int64_t)shard->count[TABLE_RECORDS];
    const int64_t n_blocks = (n + BLOCK_RECORDS - 1) / BLOCK_RECORDS;
    const int64_t damaged_before = result->n_damaged;
    struct shard_work work = {.shard = shard,
                              .pictures = pictures,
                              .lines = memory_new((size_t)n_blocks + 1, sizeof *work.lines),
                              .n_damaged = memory_new((size_t)n_blocks + 1, sizeof(int64_t))};
    thread_pool_run(pool, n_blocks, check_block, &work);
    for (int64_t i = 0; i < n_blocks; i++) {
        text_append(&result->lines, text_of(&work.lines[i]));
        result->n_damaged += work.n_damaged[i];
        text_release(&work.lines[i]);
    }
    free(work.lines);
    free(work.n_damaged);
    result->n_records += n;
    /* what no record shows: its stored checksum changed together with its contents */
    if (result->n_damaged == damaged_before && shard_check_records(shard) != OK)
        add_damaged(result);
}

void verify_journal_release(struct verify_journal *journal)
{
    free(journal->done);
    text_release(&journal->lines);
    *journal = (struct verify_journal){0};
}

/* What tells this file from another or a later one of its name; zeros when it is not there. */
static void shard_signature(int64_t signature[2], const struct corpus_index *index,
                            const char *directory, int64_t shard)
{
    struct stat about = {0};
    char *path = corpus_shard_path(directory, index->name, shard);
    if (stat(path, &about) != 0) about = (struct stat){0};
    signature[0] = about.st_size;
    signature[1] = (int64_t)about.st_mtim.tv_sec * 1000000000 + about.st_mtim.tv_nsec;
    free(path);
}

/* One line of a journal; nothing when it speaks of another file. */
static void journal_take(struct verify_journal *journal, const json_t *line,
                         const struct corpus_index *index, const char *directory)
{
    json_int_t shard, bytes, time, records, damaged;
    const char *lines = NULL;
    int64_t signature[2];
    json_error_t error;
    if (json_unpack_ex((json_t *)line, &error, 0, "{s:I,s:I,s:I,s:I,s:I,s:s}", "shard", &shard,
                       "bytes", &bytes, "changed", &time, "records", &records, "damaged", &damaged,
                       "lines", &lines) != 0)
        return;
    if (shard < 0 || shard >= journal->n_shards || journal->done[shard]) return;
    shard_signature(signature, index, directory, shard);
    if (signature[0] != bytes || signature[1] != time) return;
    journal->done[shard] = true;
    journal->n_done++;
    journal->n_records += records;
    journal->n_damaged += damaged;
    text_append(&journal->lines, lines);
}

static enum status journal_read_file(struct verify_journal *journal, const char *path,
                                     const struct corpus_index *index, const char *directory)
{
    enum status status = OK;
    unsigned char *bytes = NULL;
    size_t size = 0;
    TRY(file_read(&bytes, &size, path, JOURNAL_MAX_BYTES));
    const char *at = (const char *)bytes;
    for (const char *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        json_t *line = json_loadb(at, (size_t)(end - at), JSON_REJECT_DUPLICATES, NULL);
        if (line != NULL) journal_take(journal, line, index, directory);
        json_decref(line);
    }
out:
    free(bytes);
    return status;
}

/* Paths of JOURNAL.0, JOURNAL.1, ...; the folder need not be there. */
static enum status journal_files(char ***paths_out, size_t *n_out, const char *journal)
{
    enum status status = OK;
    char *folder = path_parent(journal);
    const char *slash = strrchr(journal, '/');
    const char *base = slash != NULL ? slash + 1 : journal;
    const size_t size = strlen(base);
    char **names = NULL;
    size_t n = 0;
    size_t n_paths = 0;
    TRY(directory_list(&names, &n, folder));
    char **paths = memory_new(n + 1, sizeof *paths);
    for (size_t i = 0; i < n; i++) {
        if (strncmp(names[i], base, size) != 0 || names[i][size] != '.') continue;
        const char *number = names[i] + size + 1;
        if (*number == '\0' || number[strspn(number, "0123456789")] != '\0') continue;
        paths[n_paths++] = path_join(folder, names[i]);
    }
    *paths_out = paths;
    *n_out = n_paths;
out:
    names_free(names, n);
    free(folder);
    return status;
}

enum status verify_journal_read(struct verify_journal *journal_out, const char *directory,
                                const char *journal)
{
    enum status status = OK;
    struct corpus_index index = {0};
    struct verify_journal found = {0};
    char **paths = NULL;
    size_t n = 0;
    TRY(corpus_index_read(&index, directory));
    TRY(journal_files(&paths, &n, journal));
    found.n_shards = index.n_shards;
    found.done = memory_new((size_t)index.n_shards + 1, sizeof *found.done);
    for (size_t i = 0; i < n; i++) TRY(journal_read_file(&found, paths[i], &index, directory));
    *journal_out = found;
    found = (struct verify_journal){0};
out:
    names_free(paths, n);
    verify_journal_release(&found);
    corpus_index_release(&index);
    return status;
}

enum status verify_journal_remove(const char *journal)
{
    enum status status = OK;
    char **paths = NULL;
    size_t n = 0;
    TRY(journal_files(&paths, &n, journal));
    for (size_t i = 0; i < n; i++) TRY(directory_remove(paths[i]));
out:
    names_free(paths, n);
    return status;
}

/* Appends the line of a shard: one write, so that a killed run leaves at most half a last line. */
static enum status journal_note(int fd, const char *path, int64_t shard, const int64_t signature[2],
                                const struct verify_result *result)
{
    enum status status = OK;
    json_t *line = json_pack("{s:I,s:I,s:I,s:I,s:I,s:s}", "shard", (json_int_t)shard, "bytes",
                             (json_int_t)signature[0], "changed", (json_int_t)signature[1],
                             "records", (json_int_t)result->n_records, "damaged",
                             (json_int_t)result->n_damaged, "lines", text_of(&result->lines));
    char *text = json_dumps(line, JSON_COMPACT);
    /* a newline first: behind half a line of a killed run a whole one begins */
    char *whole = text_format("\n%s\n", text == NULL ? "" : text);
    const size_t size = strlen(whole);
    if (write(fd, whole, size) != (ssize_t)size)
        FAIL(ERR_IO, "cannot append to %s: %s", path, strerror(errno));
out:
    free(whole);
    free(text);
    json_decref(line);
    return status;
}

/* Shard `number` of the open ones; one that did not open is opened again, for the sentence. */
static void verify_one(struct verify_result *result, const struct corpus_index *index,
                       const char *directory, int64_t number, const struct shard *shards)
{
    struct shard again = {0};
    if (shards[number].path == NULL &&
        corpus_index_open_shard(&again, index, directory, number) != OK)
        add_damaged(result);
    shard_close(&again);
}

enum status corpus_verify(struct verify_result *result, const char *directory,
                          const struct verify_options *options,
                          const struct verify_journal *journal)
{
    enum status status = OK;
    struct corpus_index index = {0};
    struct corpus_families families = {0};
    struct shard *shards = NULL;
    struct thread_pool *pool = NULL;
    struct rate_line line = {0};
    char *path = NULL;
    int fd = -1;
    TRY(corpus_index_read(&index, directory));
    TRY(corpus_families_open_all(&families, &shards, &index, directory));
    TRY(thread_pool_create(&pool, options->n_threads));
    if (options->journal != NULL) {
        path = text_format("%s.%d", options->journal, options->rank);
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (fd < 0) FAIL(ERR_IO, "cannot write %s: %s", path, strerror(errno));
    }
    int64_t to_do = 0;
    line = rate_line_begin("verify", "records", journal == NULL ? 0 : journal->n_records,
                           index.n_records);
    for (int64_t i = 0; i < index.n_shards; i++) {
        if (journal != NULL && journal->done[i]) continue;
        if (to_do++ % options->n_ranks != options->rank) continue;
        struct verify_result found = {0};
        int64_t signature[2];
        shard_signature(signature, &index, directory, i);
        verify_one(&found, &index, directory, i, shards);
        if (shards[i].path != NULL) verify_shard(&found, &shards[i], pool, options->pictures);
        status = fd < 0 ? OK : journal_note(fd, path, i, signature, &found);
        result->n_records += found.n_records;
        result->n_damaged += found.n_damaged;
        text_append(&result->lines, text_of(&found.lines));
        text_release(&found.lines);
        TRY(status);
        /* what this rank has done stands for what every one has */
        const int64_t done = line.first + result->n_records * options->n_ranks;
        rate_line_update(&line, done < line.total ? done : line.total);
    }
out:
    rate_line_end(&line);
    if (fd >= 0) close(fd);
    free(path);
    thread_pool_destroy(pool);
    corpus_families_close(&families);
    for (int64_t i = 0; shards != NULL && i < index.n_shards; i++) shard_close(&shards[i]);
    free(shards);
    corpus_index_release(&index);
    return status;
}
