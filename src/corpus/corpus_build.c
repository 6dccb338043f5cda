/* See corpus_build.h. */
#include "corpus/corpus_build.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/thread_pool.h"
#include "corpus/corpus_index.h"
#include "corpus/shard_file.h"

#define NOTES_MAX_BYTES ((size_t)1 << 30)

void record_source_release(struct record_source *source)
{
    if (source->release != NULL) source->release(source->context);
    *source = (struct record_source){0};
}

void build_summary_release(struct build_summary *summary)
{
    text_release(&summary->reasons);
    *summary = (struct build_summary){0};
}

int64_t corpus_build_n_shards(const struct record_source *source,
                              const struct build_options *options)
{
    return (source->n_items + options->shard_items - 1) / options->shard_items;
}

/* One line of JSON; a text that is not UTF-8 is replaced, the line stays. */
static void notes_add(struct text_buffer *notes, int64_t item, const char *key, const char *value,
                      const char *why)
{
    json_t *line = json_pack("{sIssss*}", "item", (json_int_t)item, key, value, "why", why);
    if (line == NULL)
        line = json_pack("{sIssss}", "item", (json_int_t)item, key, value, "why",
                         "(a text that is not UTF-8)");
    char *text = json_dumps(line, JSON_COMPACT);
    text_append(notes, text);
    text_append_char(notes, '\n');
    free(text);
    json_decref(line);
}

/* Items made side by side, then written in order. */
#define BLOCK_ITEMS 64

struct block {
    const struct record_source *source;
    int64_t first; /* item */
    struct made_item {
        struct record record;
        struct item_note note;
        enum status status;
        char *message; /* why it failed */
    } items[BLOCK_ITEMS];
};

static void block_make_item(void *argument, int64_t index, int worker)
{
    struct block *block = argument;
    struct made_item *item = &block->items[index];
    (void)worker;
    *item = (struct made_item){0};
    item->status = block->source->make(block->source->context, block->first + index, &item->record,
                                       &item->note);
    if (item->status != OK) item->message = text_copy(status_message());
}

static enum status add_item(struct shard_writer *writer, const struct made_item *made, int64_t item,
                            struct text_buffer *notes)
{
    enum status status = OK;
    if (made->status != OK && (made->note.reason == NULL || made->status == ERR_MEMORY))
        FAIL(made->status, "%s", made->message);
    if (made->status != OK) {
        notes_add(notes, item, "skipped", made->note.reason, made->message);
        return OK;
    }
    if (made->note.n_cut_boxes > 0) {
        char *why = text_format("%" PRId64 " boxes stuck out of the picture and were cut to it",
                                made->note.n_cut_boxes);
        notes_add(notes, item, "changed", made->record.id, why);
        free(why);
    }
    TRY(shard_writer_add(writer, &made->record));
out:
    return status;
}

static enum status add_items(const struct record_source *source, struct shard_writer *writer,
                             int64_t first, int64_t n, struct thread_pool *pool,
                             struct text_buffer *notes)
{
    enum status status = OK;
    struct block *block = memory_new(1, sizeof *block);
    block->source = source;
    for (int64_t done = 0; done < n && status == OK; done += BLOCK_ITEMS) {
        const int64_t size = n - done < BLOCK_ITEMS ? n - done : BLOCK_ITEMS;
        block->first = first + done;
        thread_pool_run(pool, size, block_make_item, block);
        for (int64_t i = 0; i < size; i++) {
            struct made_item *made = &block->items[i];
            if (status == OK) status = add_item(writer, made, block->first + i, notes);
            record_release(&made->record);
            free(made->message);
        }
    }
    free(block);
    return status;
}

static char *notes_path(const struct corpus_stage *stage, int64_t shard)
{
    return text_format("%s/%s-%05" PRId64 ".notes", stage->partial, stage->name, shard);
}

enum status corpus_build_shard(const struct record_source *source, const struct corpus_stage *stage,
                               const struct build_options *options, int64_t shard)
{
    enum status status = OK;
    struct shard_writer *writer = NULL;
    struct thread_pool *pool = NULL;
    struct text_buffer notes = {0};
    char *path = corpus_shard_path(stage->partial, stage->name, shard);
    char *beside = notes_path(stage, shard);
    const int64_t first = shard * options->shard_items;
    const int64_t left = source->n_items - first;
    const int64_t n = left < options->shard_items ? left : options->shard_items;
    TRY(shard_writer_create(&writer, path, stage->name, shard));
    TRY(thread_pool_create(&pool, options->n_threads));
    TRY(add_items(source, writer, first, n, pool, &notes));
    TRY(shard_writer_commit(writer));
    if (notes.length > 0) TRY(file_write_atomic(beside, notes.text, notes.length));
out:
    thread_pool_destroy(pool);
    shard_writer_destroy(writer);
    text_release(&notes);
    free(beside);
    free(path);
    return status;
}

struct tally { /* of reasons, in order of appearance */
    char **words;
    int64_t *counts;
    int64_t n;
    char *first_why;
};

static void tally_release(struct tally *tally)
{
    for (int64_t i = 0; i < tally->n; i++) free(tally->words[i]);
    free(tally->words);
    free(tally->counts);
    free(tally->first_why);
}

static void tally_add(struct tally *tally, const char *word, const char *why)
{
    if (tally->first_why == NULL) tally->first_why = text_copy(why);
    for (int64_t i = 0; i < tally->n; i++) {
        if (strcmp(tally->words[i], word) == 0) {
            tally->counts[i]++;
            return;
        }
    }
    tally->words = memory_resize(tally->words, (size_t)tally->n + 1, sizeof *tally->words);
    tally->counts = memory_resize(tally->counts, (size_t)tally->n + 1, sizeof *tally->counts);
    tally->words[tally->n] = text_copy(word);
    tally->counts[tally->n++] = 1;
}

static enum status count_lines(const char *text, size_t size, const char *path, struct tally *tally,
                               struct build_summary *summary)
{
    enum status status = OK;
    json_t *line = NULL;
    int64_t number = 1;
    for (const char *at = text; at < text + size; number++) {
        const char *end = memchr(at, '\n', size - (size_t)(at - text));
        if (end == NULL) FAIL(ERR_FORMAT, "%s ends without a line end", path);
        json_decref(line);
        line = NULL;
        TRY(json_line_parse(&line, at, (size_t)(end - at), path, number));
        const char *word = json_string_value(json_object_get(line, "skipped"));
        const char *why = json_string_value(json_object_get(line, "why"));
        if (word != NULL) {
            summary->n_skipped++;
            tally_add(tally, word, why == NULL ? "" : why);
        } else {
            summary->n_changed++;
        }
        at = end + 1;
    }
out:
    json_decref(line);
    return status;
}

/* The notes of all shards in order; their own files go. */
static enum status gather_notes(const struct corpus_stage *stage, int64_t n_shards,
                                struct text_buffer *notes)
{
    enum status status = OK;
    char *path = NULL;
    for (int64_t shard = 0; shard < n_shards; shard++) {
        unsigned char *bytes = NULL;
        size_t size = 0;
        free(path);
        path = notes_path(stage, shard);
        if (!file_exists(path)) continue;
        TRY(file_read(&bytes, &size, path, NOTES_MAX_BYTES));
        text_append_bytes(notes, bytes, size);
        free(bytes);
        TRY(directory_remove(path));
    }
out:
    free(path);
    return status;
}

enum status corpus_build_finish(const struct record_source *source,
                                const struct corpus_stage *stage,
                                const struct build_options *options, struct build_summary *summary)
{
    enum status status = OK;
    struct text_buffer notes = {0};
    struct tally tally = {0};
    const int64_t n_shards = corpus_build_n_shards(source, options);
    char *list = text_format("%s.skipped.jsonl", stage->directory);
    char *path = path_join(stage->partial, "notes.jsonl");
    summary->n_items = source->n_items;
    TRY(gather_notes(stage, n_shards, &notes));
    TRY(count_lines(text_of(&notes), notes.length, "notes.jsonl", &tally, summary));
    for (int64_t i = 0; i < tally.n; i++)
        text_printf(&summary->reasons, "%s%s %" PRId64, i == 0 ? "" : ", ", tally.words[i],
                    tally.counts[i]);
    summary->n_records = summary->n_items - summary->n_skipped;
    if ((double)summary->n_skipped > options->max_skipped * (double)summary->n_items) {
        TRY(file_write_atomic(list, notes.text, notes.length));
        FAIL(ERR_FORMAT,
             "%" PRId64 " of %" PRId64 " records had to be skipped (%s), more than the %g %% that "
             "--max-skipped allows; all are listed in %s; the first: %s",
             summary->n_skipped, summary->n_items, text_of(&summary->reasons),
             100 * options->max_skipped, list, tally.first_why);
    }
    if (notes.length > 0) TRY(file_write_atomic(path, notes.text, notes.length));
    TRY(corpus_stage_commit(stage, n_shards));
out:
    tally_release(&tally);
    text_release(&notes);
    free(path);
    free(list);
    return status;
}

/* Every rank meets the others after each of its shards, so that a failure stops all soon. */
static enum status build_shards(struct comm *comm, const struct record_source *source,
                                const struct corpus_stage *stage,
                                const struct build_options *options)
{
    enum status status = OK;
    const int64_t n_shards = corpus_build_n_shards(source, options);
    for (int64_t first = 0; first < n_shards; first += comm_size(comm)) {
        const int64_t shard = first + comm_rank(comm);
        const enum status mine =
            shard < n_shards ? corpus_build_shard(source, stage, options, shard) : OK;
        TRY(comm_agree(comm, mine));
    }
out:
    return status;
}

enum status corpus_build(struct comm *comm, const struct record_source *source,
                         const struct corpus_stage *stage, const struct build_options *options,
                         struct build_summary *summary)
{
    enum status status = OK;
    const bool first = comm_rank(comm) == 0;
    TRY(comm_agree(comm, first ? corpus_stage_begin(stage) : OK));
    summary->begun = true;
    TRY(build_shards(comm, source, stage, options));
    TRY(comm_agree(comm, first ? corpus_build_finish(source, stage, options, summary) : OK));
out:
    if (status != OK && summary->begun && first) corpus_stage_abandon(stage);
    return status;
}
