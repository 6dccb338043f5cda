/* See corpus_repair.h. The files of a folder are known by their names, NAME-00012.h5, and must say
 * the same of themselves. */
#include "corpus/corpus_repair.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/rate_line.h"
#include "base/text_buffer.h"
#include "corpus/corpus_families.h"
#include "corpus/corpus_index.h"
#include "corpus/corpus_stage.h"
#include "corpus/shard.h"

#define DIGITS      5
#define SHARD_BYTES (UINT64_C(256) << 20)
#define MAX_NUMBER  1000000

struct shard_files { /* of one corpus, by number */
    char *name;      /* of the corpus */
    int64_t *numbers;
    int64_t n;
};

static void shard_files_release(struct shard_files *files)
{
    free(files->name);
    free(files->numbers);
    *files = (struct shard_files){0};
}

/* "scenes-00012.h5": 6 and 12; false for another name. */
static bool split_name(const char *file, size_t *name_size_out, int64_t *number_out)
{
    const size_t size = strlen(file);
    if (size < DIGITS + 5 || strcmp(file + size - 3, ".h5") != 0) return false;
    const char *dash = strrchr(file, '-');
    if (dash == NULL || dash == file) return false;
    const size_t n_digits = strspn(dash + 1, "0123456789");
    if (n_digits < DIGITS || n_digits > 12 || dash + 1 + n_digits != file + size - 3) return false;
    *name_size_out = (size_t)(dash - file);
    *number_out = strtoll(dash + 1, NULL, 10);
    return true;
}

static int compare_numbers(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a;
    const int64_t right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

static enum status shard_files_find(struct shard_files *files_out, const char *directory)
{
    enum status status = OK;
    struct shard_files files = {0};
    char **names = NULL;
    size_t n = 0;
    TRY(directory_list(&names, &n, directory));
    files.numbers = memory_new(n + 1, sizeof *files.numbers);
    for (size_t i = 0; i < n; i++) {
        size_t name_size;
        int64_t number;
        if (!split_name(names[i], &name_size, &number)) continue;
        if (files.name == NULL) files.name = text_format("%.*s", (int)name_size, names[i]);
        if (strlen(files.name) != name_size || strncmp(files.name, names[i], name_size) != 0)
            FAIL(ERR_FORMAT, "%s holds shards of two corpora, '%s' and '%.*s': part them first",
                 directory, files.name, (int)name_size, names[i]);
        files.numbers[files.n++] = number;
    }
    if (files.n == 0)
        FAIL(ERR_FORMAT, "%s holds no shard file (NAME-00000.h5): there is nothing to repair",
             directory);
    if (!corpus_name_is_valid(files.name))
        FAIL(ERR_FORMAT, "%s: '%s' cannot be the name of a corpus", directory, files.name);
    qsort(files.numbers, (size_t)files.n, sizeof *files.numbers, compare_numbers);
    *files_out = files;
    files = (struct shard_files){0};
out:
    names_free(names, n);
    shard_files_release(&files);
    return status;
}

/* Opens the file and compares what it says of itself with its name. */
static enum status open_file(struct shard *shard, const char *directory, const char *name,
                             int64_t number)
{
    enum status status = OK;
    char *path = corpus_shard_path(directory, name, number);
    TRY(shard_open(shard, path));
    if (strcmp(shard->corpus, name) != 0 || shard->number != number)
        FAIL(ERR_FORMAT, "%s says that it is shard %" PRId64 " of corpus '%s': it was renamed",
             path, shard->number, shard->corpus);
out:
    free(path);
    return status;
}

/* The files opened by number, so that records find pictures that another file holds. */
struct open_files {
    struct shard *shards; /* [n] zeroed where there is none or it does not open */
    int64_t n;
    struct corpus_index sources;
    struct corpus_families families;
};

static void open_files_release(struct open_files *open)
{
    corpus_families_close(&open->families);
    corpus_index_release(&open->sources);
    for (int64_t i = 0; i < open->n; i++) shard_close(&open->shards[i]);
    free(open->shards);
}

/* With a corpus missing that holds pictures of this one, the records without those remain. */
static enum status open_all(struct open_files *open, const char *directory,
                            const struct shard_files *files)
{
    enum status status = OK;
    const int64_t last = files->numbers[files->n - 1];
    if (last > MAX_NUMBER) FAIL(ERR_LIMIT, "%s: there is no shard %" PRId64, directory, last);
    open->n = last + 1;
    open->shards = memory_new((size_t)open->n, sizeof *open->shards);
    for (int64_t i = 0; i < files->n; i++) {
        struct shard *shard = &open->shards[files->numbers[i]];
        if (open_file(shard, directory, files->name, files->numbers[i]) != OK) shard_close(shard);
    }
    corpus_index_read_sources(&open->sources, directory);
    if (corpus_families_open(&open->families, &open->sources, directory, open->shards, open->n) ==
        OK)
        return OK;
    log_warn("%s", status_message());
    struct corpus_index none = {0};
    TRY(corpus_families_open(&open->families, &none, directory, open->shards, open->n));
out:
    return status;
}

static enum status check_whole(const struct open_files *open, const char *directory,
                               const struct shard_files *files, int64_t number)
{
    enum status status = OK;
    struct shard again = {0};
    const struct shard *shard = &open->shards[number];
    if (shard->path == NULL) TRY(open_file(&again, directory, files->name, number));
    for (int64_t i = 0; i < (int64_t)shard->count[TABLE_RECORDS]; i++) {
        struct record record = {0};
        TRY(shard_read(shard, i, &record));
        record_release(&record);
    }
out:
    shard_close(&again);
    return status;
}

enum status corpus_repair_index(struct repair_result *result, const char *directory)
{
    enum status status = OK;
    struct shard_files files = {0};
    struct corpus_index index = {0};
    struct open_files open = {0};
    TRY(shard_files_find(&files, directory));
    TRY(open_all(&open, directory, &files));
    for (int64_t i = 0; i < files.n; i++) {
        if (files.numbers[i] != i)
            FAIL(ERR_FORMAT,
                 "%s: shard %" PRId64
                 " is missing: copy it again, or use --out to keep what is there",
                 directory, i);
        TRY_WHERE(check_whole(&open, directory, &files, i), "the index alone cannot be repaired");
    }
    TRY(corpus_shards_index(&index, directory, files.name, files.n));
    for (int64_t i = 0; i < open.sources.n_sources; i++)
        TRY(corpus_index_add_source(&index, open.sources.sources[i].corpus,
                                    open.sources.sources[i].crc));
    TRY(corpus_index_write(&index, directory));
    result->n_shards = files.n;
    result->n_records = index.n_records;
    result->name = text_copy(files.name);
out:
    open_files_release(&open);
    corpus_index_release(&index);
    shard_files_release(&files);
    return status;
}

/* Notes what is left behind, with the sentence of the failure. */
static void add_dropped(struct text_buffer *dropped, struct repair_result *result, int64_t shard,
                        int64_t record)
{
    json_t *line =
        json_pack("{s:I,s:I,s:s#}", "shard", (json_int_t)shard, "record", (json_int_t)record,
                  "sentence", status_message(), (int)strlen(status_message()));
    char *text = line != NULL ? json_dumps(line, JSON_COMPACT) : NULL;
    if (text != NULL)
        text_printf(dropped, "%s\n", text);
    else /* a sentence with bytes that are no text */
        text_printf(dropped, "{\"shard\":%" PRId64 ",\"record\":%" PRId64 ",\"sentence\":\"\"}\n",
                    shard, record);
    free(text);
    json_decref(line);
    result->n_dropped++;
    status_clear();
}

static enum status copy_shard(struct corpus_writer *writer, struct repair_result *result,
                              struct text_buffer *dropped, const struct shard *shard)
{
    enum status status = OK;
    for (int64_t i = 0; i < (int64_t)shard->count[TABLE_RECORDS]; i++) {
        struct record record = {0};
        if (shard_read(shard, i, &record) != OK) {
            add_dropped(dropped, result, shard->number, i);
            continue;
        }
        status = corpus_writer_add(writer, &record);
        record_release(&record);
        TRY(status);
        result->n_records++;
    }
out:
    return status;
}

enum status corpus_repair_copy(struct repair_result *result, const char *directory, const char *out)
{
    enum status status = OK;
    struct shard_files files = {0};
    struct corpus_writer *writer = NULL;
    struct text_buffer dropped = {0};
    struct open_files open = {0};
    char *list = text_format("%s.dropped.jsonl", out);
    TRY(shard_files_find(&files, directory));
    TRY(open_all(&open, directory, &files));
    TRY(corpus_writer_create(&writer, out, files.name, SHARD_BYTES));
    struct rate_line line = rate_line_begin("repair", "files", 0, files.n);
    for (int64_t i = 0; i < files.n; i++) {
        const int64_t number = files.numbers[i];
        struct shard again = {0};
        rate_line_update(&line, i);
        if (open.shards[number].path != NULL) {
            TRY(copy_shard(writer, result, &dropped, &open.shards[number]));
            continue;
        }
        (void)open_file(&again, directory, files.name, number); /* for the sentence */
        shard_close(&again);
        add_dropped(&dropped, result, number, -1);
    }
    rate_line_end(&line);
    if (result->n_records == 0)
        FAIL(ERR_FORMAT, "%s: no record of its %" PRId64 " files is whole", directory, files.n);
    TRY(file_write_atomic(list, text_of(&dropped), dropped.length));
    TRY(corpus_writer_commit(writer));
    result->n_shards = files.n;
    result->name = text_copy(files.name);
out:
    open_files_release(&open);
    corpus_writer_destroy(writer);
    text_release(&dropped);
    shard_files_release(&files);
    free(list);
    return status;
}
