/* The index is written by hand rather than through a JSON library so that its bytes are ours: equal
 * fields give equal bytes, and reading can compare all of them. */
#include "corpus/corpus_index.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/json_file.h"
#include "base/text_buffer.h"

#define INDEX_MAX_BYTES (64u << 20)
#define CRC_LINE_BYTES  (sizeof "  \"crc32c\": \"01234567\"\n}\n" - 1)

void corpus_index_release(struct corpus_index *index)
{
    for (int64_t i = 0; i < index->n_sources; i++) free(index->sources[i].corpus);
    free(index->sources);
    free(index->name);
    free(index->shards);
    *index = (struct corpus_index){0};
}

bool corpus_name_is_valid(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const size_t size = strlen(name);
    return size >= 1 && size <= SHARD_MAX_NAME_BYTES && name[0] != '.' && name[0] != '-' &&
           strspn(name, allowed) == size;
}

char *corpus_shard_path(const char *directory, const char *name, int64_t shard)
{
    return text_format("%s/%s-%05" PRId64 ".h5", directory, name, shard);
}

enum status corpus_index_add_source(struct corpus_index *index, const char *corpus, uint32_t crc)
{
    enum status status = OK;
    bool plain = corpus[0] != '\0' && corpus[0] != '/';
    for (const char *at = corpus; *at != '\0'; at++)
        plain = plain && (unsigned char)*at >= ' ' && *at != '"' && *at != '\\' && *at != 0x7f;
    if (!plain)
        FAIL(ERR_ARGUMENT,
             "'%s' cannot name a corpus to share pictures with: a relative path without quotes, "
             "backslashes and control characters is needed",
             corpus);
    const size_t n = (size_t)index->n_sources;
    index->sources = memory_resize(index->sources, n + 1, sizeof *index->sources);
    index->sources[index->n_sources++] =
        (struct index_source){.corpus = text_copy(corpus), .crc = crc};
out:
    return status;
}

/* What only an index has whose pictures are partly another corpus's. */
static void serialise_sources(struct text_buffer *text, const struct corpus_index *index)
{
    if (index->n_sources == 0) return;
    text_append(text, "  \"pictures_from\": [");
    for (int64_t i = 0; i < index->n_sources; i++)
        text_printf(text, "%s\n    {\"corpus\": \"%s\", \"crc32c\": \"%08x\"}", i == 0 ? "" : ",",
                    index->sources[i].corpus, index->sources[i].crc);
    text_append(text, "\n  ],\n");
}

/* Where the file's tables are: an index of schema 1 leaves it to HDF5. */
static void serialise_tables(struct text_buffer *text, const struct index_shard *shard)
{
    text_printf(text, ",\n     \"schema_version\": %u, \"frame_crc32c\": \"%08x\", \"tables\": {",
                shard->version, shard->frame_crc);
    const char *between = "";
    for (int i = 0; i < N_SHARD_TABLES; i++) {
        if (!shard_table_exists((enum shard_table)i, shard->version)) continue;
        text_printf(text, "%s\"%s\": [%" PRIu64 ", %" PRIu64 "]", between,
                    shard_table_name((enum shard_table)i), shard->offset[i], shard->count[i]);
        between = ", ";
    }
    text_append(text, "}");
}

static void serialise(struct text_buffer *text, const struct corpus_index *index)
{
    text_printf(text,
                "{\n  \"format\": \"" SHARD_FORMAT "\",\n  \"schema_version\": %" PRId64 ",\n"
                "  \"name\": \"%s\",\n  \"records\": %" PRId64 ",\n  \"shards\": [",
                index->version, index->name, index->n_records);
    for (int64_t i = 0; i < index->n_shards; i++) {
        const struct index_shard *shard = &index->shards[i];
        text_printf(
            text,
            "%s\n    {\"file\": \"%s-%05" PRId64 ".h5\", \"bytes\": %" PRId64
            ", \"records\": %" PRId64 ", \"regions\": %" PRId64 ", \"objects\": %" PRId64
            ", \"relations\": %" PRId64 ", \"texts\": %" PRId64 ", \"records_crc32c\": \"%08x\"",
            i == 0 ? "" : ",", index->name, i, shard->bytes, shard->n_records, shard->n_regions,
            shard->n_objects, shard->n_relations, shard->n_texts, shard->records_crc);
        if (index->version > 1) serialise_tables(text, shard);
        text_append(text, "}");
    }
    text_append(text, index->n_shards == 0 ? "],\n" : "\n  ],\n");
    serialise_sources(text, index);
    /* CRC_LINE_BYTES */
    text_printf(text, "  \"crc32c\": \"%08x\"\n}\n", crc32c(0, text->text, text->length));
}

enum status corpus_index_write(const struct corpus_index *index, const char *directory)
{
    enum status status = OK;
    struct text_buffer text = {0};
    char *path = path_join(directory, CORPUS_INDEX_FILE);
    serialise(&text, index);
    TRY(file_write_atomic(path, text.text, text.length));
out:
    free(path);
    text_release(&text);
    return status;
}

static enum status read_tables(struct index_shard *shard, const json_t *entry,
                               struct json_place place)
{
    enum status status = OK;
    const char *crc = NULL;
    int64_t version;
    json_t *tables = NULL;
    TRY(json_field_integer(&version, entry, "schema_version", SHARD_SCHEMA_OLDEST,
                           SHARD_SCHEMA_VERSION, place));
    shard->version = (uint32_t)version;
    TRY(json_field_string(&crc, entry, "frame_crc32c", place));
    shard->frame_crc = (uint32_t)strtoul(crc, NULL, 16);
    TRY(json_field(&tables, entry, "tables", JSON_OBJECT, place));
    for (int i = 0; i < N_SHARD_TABLES; i++) {
        const char *name = shard_table_name((enum shard_table)i);
        json_t *pair = NULL;
        if (!shard_table_exists((enum shard_table)i, shard->version)) continue;
        TRY(json_field(&pair, tables, name, JSON_ARRAY, place));
        const json_int_t offset = json_integer_value(json_array_get(pair, 0));
        const json_int_t count = json_integer_value(json_array_get(pair, 1));
        if (offset < 0 || count < 0)
            FAIL(ERR_FORMAT, "%s: %s: tables: %s is not [offset, rows]", place.file, place.record,
                 name);
        shard->offset[i] = (uint64_t)offset;
        shard->count[i] = (uint64_t)count;
    }
out:
    return status;
}

static enum status read_shard(struct index_shard *shard, const json_t *entry, int64_t version,
                              struct json_place place)
{
    enum status status = OK;
    const char *crc = NULL;
    const struct {
        const char *key;
        int64_t *value;
    } fields[] = {{"bytes", &shard->bytes},           {"records", &shard->n_records},
                  {"regions", &shard->n_regions},     {"objects", &shard->n_objects},
                  {"relations", &shard->n_relations}, {"texts", &shard->n_texts}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        TRY(json_field_integer(fields[i].value, entry, fields[i].key, 0, INT64_MAX / 2, place));
    TRY(json_field_string(&crc, entry, "records_crc32c", place));
    shard->records_crc = (uint32_t)strtoul(crc, NULL, 16);
    if (version > 1) TRY(read_tables(shard, entry, place));
out:
    return status;
}

static enum status read_sources(struct corpus_index *index, const json_t *root, const char *path)
{
    enum status status = OK;
    const json_t *sources = json_object_get(root, "pictures_from");
    for (size_t i = 0; i < json_array_size(sources); i++) {
        const struct json_place place = {path, "pictures_from"};
        const json_t *source = json_array_get(sources, i);
        const char *corpus = NULL;
        const char *crc = NULL;
        TRY(json_field_string(&corpus, source, "corpus", place));
        TRY(json_field_string(&crc, source, "crc32c", place));
        TRY(corpus_index_add_source(index, corpus, (uint32_t)strtoul(crc, NULL, 16)));
    }
out:
    return status;
}

static enum status read_fields(struct corpus_index *index, const json_t *root, const char *path)
{
    enum status status = OK;
    const struct json_place place = {path, ""};
    char where[32] = "";
    int64_t version;
    const char *name = NULL;
    json_t *shards = NULL;
    TRY(json_field_integer(&version, root, "schema_version", 0, INT32_MAX, place));
    if (version < SHARD_SCHEMA_OLDEST || version > SHARD_SCHEMA_VERSION)
        FAIL(ERR_FORMAT,
             "%s: schema_version is %" PRId64
             "; this program reads %d to %d: build the corpus again",
             path, version, SHARD_SCHEMA_OLDEST, SHARD_SCHEMA_VERSION);
    index->version = version;
    TRY(json_field_string(&name, root, "name", place));
    if (!corpus_name_is_valid(name))
        FAIL(ERR_FORMAT, "%s: '%s' cannot be the name of a corpus", path, name);
    index->name = text_copy(name);
    TRY(json_field_integer(&index->n_records, root, "records", 0, INT64_MAX / 2, place));
    TRY(json_field(&shards, root, "shards", JSON_ARRAY, place));
    index->n_shards = (int64_t)json_array_size(shards);
    index->shards = memory_new((size_t)index->n_shards + 1, sizeof *index->shards);
    int64_t total = 0;
    for (int64_t i = 0; i < index->n_shards; i++) {
        snprintf(where, sizeof where, "shards[%" PRId64 "]", i);
        TRY(read_shard(&index->shards[i], json_array_get(shards, (size_t)i), version,
                       (struct json_place){path, where}));
        if (index->shards[i].n_records > index->n_records - total)
            FAIL(ERR_FORMAT, "%s: the shards hold more than its %" PRId64 " records", path,
                 index->n_records);
        total += index->shards[i].n_records;
    }
    TRY(read_sources(index, root, path));
    if (total != index->n_records)
        FAIL(ERR_FORMAT, "%s: the shards hold %" PRId64 " records, field 'records' says %" PRId64,
             path, total, index->n_records);
out:
    return status;
}

void corpus_index_read_sources(struct corpus_index *index, const char *directory)
{
    char *path = path_join(directory, CORPUS_INDEX_FILE);
    json_t *root = NULL;
    if (json_file_read(&root, path, INDEX_MAX_BYTES) != OK || read_sources(index, root, path) != OK)
        status_clear();
    json_decref(root);
    free(path);
}

enum status corpus_index_read(struct corpus_index *index_out, const char *directory)
{
    enum status status = OK;
    struct corpus_index index = {0};
    struct text_buffer text = {0};
    char *path = path_join(directory, CORPUS_INDEX_FILE);
    unsigned char *bytes = NULL;
    size_t size = 0;
    json_t *root = NULL;
    if (!file_exists(path))
        FAIL(ERR_IO,
             "%s is no corpus: it has no %s; make one with 'robin-dist data build' or "
             "'robin-dist data import'",
             directory, CORPUS_INDEX_FILE);
    TRY(file_read(&bytes, &size, path, INDEX_MAX_BYTES));
    TRY(json_line_parse(&root, (const char *)bytes, size, path, 1));
    TRY(read_fields(&index, root, path));
    serialise(&text, &index);
    if (text.length != size || memcmp(text.text, bytes, size) != 0)
        FAIL(ERR_FORMAT,
             "%s: its fields and its crc32c do not agree: damaged or edited; copy it again", path);
    index.crc = crc32c(0, text.text, text.length - CRC_LINE_BYTES);
    *index_out = index;
    index = (struct corpus_index){0};
out:
    json_decref(root);
    free(bytes);
    free(path);
    text_release(&text);
    corpus_index_release(&index);
    return status;
}

enum status corpus_index_count(struct index_shard *entry_out, const struct shard *shard)
{
    enum status status = OK;
    struct stat about;
    struct index_shard entry = {.n_records = (int64_t)shard->count[TABLE_RECORDS],
                                .n_regions = (int64_t)shard->count[TABLE_REGIONS],
                                .n_objects = (int64_t)shard->count[TABLE_OBJECTS],
                                .n_relations = (int64_t)shard->count[TABLE_RELATIONS],
                                .n_texts = (int64_t)shard->count[TABLE_TEXTS],
                                .records_crc = shard->records_crc,
                                .version = shard->version};
    if (fstat(shard->fd, &about) != 0)
        FAIL(ERR_IO, "cannot look at %s: %s", shard->path, strerror(errno));
    entry.bytes = about.st_size;
    memcpy(entry.offset, shard->offset, sizeof entry.offset);
    memcpy(entry.count, shard->count, sizeof entry.count);
    TRY(shard_frame_crc(shard, &entry.frame_crc));
    *entry_out = entry;
out:
    return status;
}

/* The shard is the one that the index counted: a file of another build is refused. */
static enum status compare_with_index(const struct shard *shard, const struct corpus_index *index,
                                      int64_t number)
{
    enum status status = OK;
    const struct index_shard *entry = &index->shards[number];
    const struct {
        const char *field;
        uint64_t found, wanted;
    } pairs[] = {
        {"shard", (uint64_t)shard->number, (uint64_t)number},
        {"records_crc32c", shard->records_crc, entry->records_crc},
        {"records", shard->count[TABLE_RECORDS], (uint64_t)entry->n_records},
        {"regions", shard->count[TABLE_REGIONS], (uint64_t)entry->n_regions},
        {"objects", shard->count[TABLE_OBJECTS], (uint64_t)entry->n_objects},
        {"relations", shard->count[TABLE_RELATIONS], (uint64_t)entry->n_relations},
        {"texts", shard->count[TABLE_TEXTS], (uint64_t)entry->n_texts},
    };
    if (strcmp(shard->corpus, index->name) != 0)
        FAIL(ERR_FORMAT, "%s belongs to corpus '%s', the index to '%s': files of two corpora mixed",
             shard->path, shard->corpus, index->name);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (pairs[i].found != pairs[i].wanted)
            FAIL(ERR_FORMAT,
                 "%s: %s is %" PRIu64 ", the index says %" PRIu64
                 ": the file is damaged or of another build; copy the corpus again",
                 shard->path, pairs[i].field, pairs[i].found, pairs[i].wanted);
    }
out:
    return status;
}

/* By what the index says of it. */
static enum status open_known(struct shard *shard, const struct corpus_index *index,
                              const char *path, int64_t number)
{
    const struct index_shard *entry = &index->shards[number];
    struct shard known = {
        .number = number, .version = entry->version, .records_crc = entry->records_crc};
    memcpy(known.offset, entry->offset, sizeof known.offset);
    memcpy(known.count, entry->count, sizeof known.count);
    memcpy(known.corpus, index->name, strlen(index->name) + 1);
    return shard_open_known(shard, path, &known, entry->frame_crc);
}

enum status corpus_index_open_shard(struct shard *shard, const struct corpus_index *index,
                                    const char *directory, int64_t number)
{
    enum status status = OK;
    struct stat about;
    char *path = corpus_shard_path(directory, index->name, number);
    if (stat(path, &about) != 0)
        FAIL(ERR_IO, "cannot open %s, which the index names: %s; copy the corpus again", path,
             strerror(errno));
    if (about.st_size != index->shards[number].bytes)
        FAIL(ERR_FORMAT,
             "%s has %lld bytes, the index says %" PRId64
             ": cut short or of another build; copy the corpus again",
             path, (long long)about.st_size, index->shards[number].bytes);
    if (index->version > 1)
        TRY(open_known(shard, index, path, number));
    else
        TRY(shard_open(shard, path));
    TRY(compare_with_index(shard, index, number));
out:
    if (status != OK) shard_close(shard);
    free(path);
    return status;
}
