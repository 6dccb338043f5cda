/* See corpus_build.h. */
#include "corpus/corpus_build.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/log.h"
#include "base/rate_line.h"
#include "base/thread_pool.h"
#include "corpus/corpus_index.h"
#include "corpus/shard_file.h"

#define NOTES_MAX_BYTES  ((size_t)1 << 30)
#define MAX_LISTED_DROPS 1000 /* of one item */

void record_source_release(struct record_source *source)
{
    if (source->release != NULL) source->release(source->context);
    *source = (struct record_source){0};
}

void build_summary_release(struct build_summary *summary)
{
    text_release(&summary->reasons);
    text_release(&summary->dropped);
    *summary = (struct build_summary){0};
}

void item_note_release(struct item_note *note)
{
    for (int64_t i = 0; i < note->n_drops; i++) free(note->drops[i].why);
    free(note->drops);
    *note = (struct item_note){0};
}

void item_note_drop(struct item_note *note, const char *reason, const char *why)
{
    for (int64_t i = note->n_drops - 1; note->n_drops >= MAX_LISTED_DROPS && i >= 0; i--) {
        if (strcmp(note->drops[i].reason, reason) != 0) continue;
        note->drops[i].count++;
        return;
    }
    const int64_t n = note->n_drops;
    if ((n & (n - 1)) == 0) /* grows at powers of two */
        note->drops = memory_resize(note->drops, n == 0 ? 1 : 2 * (size_t)n, sizeof *note->drops);
    note->drops[note->n_drops++] =
        (struct item_drop){.reason = reason, .why = text_copy(why), .count = 1};
}

int64_t corpus_build_n_shards(const struct record_source *source,
                              const struct build_options *options)
{
    return (source->n_items + options->shard_items - 1) / options->shard_items;
}

/* One line of JSON. */
static void notes_add(struct text_buffer *notes, json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT);
    text_append(notes, text);
    text_append_char(notes, '\n');
    free(text);
    json_decref(line);
}

/* A text that is not UTF-8 is replaced, the line stays. */
static json_t *note_text(const char *text)
{
    json_t *value = json_string(text);
    return value == NULL ? json_string("(a text that is not UTF-8)") : value;
}

static void notes_add_item(struct text_buffer *notes, int64_t item, const char *key,
                           const char *value, const char *why)
{
    notes_add(notes, json_pack("{sIsoso}", "item", (json_int_t)item, key, note_text(value), "why",
                               note_text(why)));
}

static void notes_add_drop(struct text_buffer *notes, int64_t item, const char *record,
                           const struct item_drop *drop)
{
    json_t *line = json_pack("{sIssso}", "item", (json_int_t)item, "dropped", drop->reason,
                             "record", note_text(record));
    if (drop->count > 1) json_object_set_new(line, "count", json_integer(drop->count));
    json_object_set_new(line, "why", note_text(drop->why));
    notes_add(notes, line);
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
    const struct item_note *note = &made->note;
    if (made->status != OK && (note->reason == NULL || made->status == ERR_MEMORY))
        FAIL(made->status, "%s", made->message);
    if (made->status != OK) {
        notes_add_item(notes, item, "skipped", note->reason, made->message);
        return OK;
    }
    for (int64_t i = 0; i < note->n_drops; i++)
        notes_add_drop(notes, item, made->record.id, &note->drops[i]);
    if (note->n_cut_boxes > 0) {
        char *why = text_format("%" PRId64 " boxes stuck out of the picture and were cut to it",
                                note->n_cut_boxes);
        notes_add_item(notes, item, "changed", made->record.id, why);
        free(why);
    }
    TRY(shard_writer_add(writer, &made->record));
out:
    return status;
}

/* Rank 0's view: what it has done itself stands for what every rank has done of this round. */
struct build_watch {
    struct rate_line line;
    int64_t before; /* items of all rounds before */
    int64_t n_ranks;
};

static void watch_update(struct build_watch *watch, int64_t done)
{
    if (watch == NULL) return;
    const int64_t items = watch->before + done * watch->n_ranks;
    rate_line_update(&watch->line, items < watch->line.total ? items : watch->line.total);
}

/* Items that an earlier build made do not count in the rate. */
static void watch_skip(struct build_watch *watch, int64_t n)
{
    if (watch != NULL) watch->line.first += n * watch->n_ranks;
}

struct item_range {
    int64_t first, n;
};

static enum status add_items(const struct record_source *source, struct shard_writer *writer,
                             struct item_range range, struct thread_pool *pool,
                             struct text_buffer *notes, struct build_watch *watch)
{
    enum status status = OK;
    struct block *block = memory_new(1, sizeof *block);
    block->source = source;
    for (int64_t done = 0; done < range.n && status == OK; done += BLOCK_ITEMS) {
        const int64_t size = range.n - done < BLOCK_ITEMS ? range.n - done : BLOCK_ITEMS;
        block->first = range.first + done;
        thread_pool_run(pool, size, block_make_item, block);
        for (int64_t i = 0; i < size; i++) {
            struct made_item *made = &block->items[i];
            if (status == OK) status = add_item(writer, made, block->first + i, notes);
            record_release(&made->record);
            item_note_release(&made->note);
            free(made->message);
        }
        watch_update(watch, done + size);
    }
    free(block);
    return status;
}

static char *notes_path(const struct corpus_stage *stage, int64_t shard)
{
    return text_format("%s/%s-%05" PRId64 ".notes", stage->working, stage->name, shard);
}

/* The notes first: a shard that is there has its notes. */
enum status corpus_build_shard(const struct record_source *source, const struct corpus_stage *stage,
                               const struct build_options *options, int64_t shard,
                               const struct picture_index *known, struct build_watch *watch)
{
    enum status status = OK;
    struct shard_writer *writer = NULL;
    struct thread_pool *pool = NULL;
    struct text_buffer notes = {0};
    char *path = corpus_shard_path(stage->partial, stage->name, shard);
    char *beside = notes_path(stage, shard);
    const int64_t first = shard * options->shard_items;
    const int64_t left = source->n_items - first;
    const struct item_range range = {first,
                                     left < options->shard_items ? left : options->shard_items};
    if (file_exists(path)) {
        watch_skip(watch, range.n);
        goto out;
    }
    TRY(directory_remove(beside));
    TRY(shard_writer_create(&writer, path, stage->name, shard, known));
    TRY(thread_pool_create(&pool, options->n_threads));
    TRY(add_items(source, writer, range, pool, &notes, watch));
    if (notes.length > 0) TRY(file_write_atomic(beside, notes.text, notes.length));
    TRY(shard_writer_commit(writer));
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
    int64_t n, sum;
    char *first_why;
};

static void tally_release(struct tally *tally)
{
    for (int64_t i = 0; i < tally->n; i++) free(tally->words[i]);
    free(tally->words);
    free(tally->counts);
    free(tally->first_why);
}

static void tally_add(struct tally *tally, const char *word, int64_t count, const char *why)
{
    if (tally->first_why == NULL) tally->first_why = text_copy(why);
    tally->sum += count;
    for (int64_t i = 0; i < tally->n; i++) {
        if (strcmp(tally->words[i], word) == 0) {
            tally->counts[i] += count;
            return;
        }
    }
    tally->words = memory_resize(tally->words, (size_t)tally->n + 1, sizeof *tally->words);
    tally->counts = memory_resize(tally->counts, (size_t)tally->n + 1, sizeof *tally->counts);
    tally->words[tally->n] = text_copy(word);
    tally->counts[tally->n++] = count;
}

/* "image 3, annotation 1" */
static void tally_say(struct text_buffer *text, const struct tally *tally)
{
    for (int64_t i = 0; i < tally->n; i++)
        text_printf(text, "%s%s %" PRId64, i == 0 ? "" : ", ", tally->words[i], tally->counts[i]);
}

struct tallies {
    struct tally skipped, dropped;
    int64_t n_changed;
};

static void count_line(const json_t *line, struct tallies *tallies)
{
    const char *skipped = json_string_value(json_object_get(line, "skipped"));
    const char *dropped = json_string_value(json_object_get(line, "dropped"));
    const char *why = json_string_value(json_object_get(line, "why"));
    const json_t *count = json_object_get(line, "count");
    if (why == NULL) why = "";
    if (skipped != NULL)
        tally_add(&tallies->skipped, skipped, 1, why);
    else if (dropped != NULL)
        tally_add(&tallies->dropped, dropped, count == NULL ? 1 : json_integer_value(count), why);
    else
        tallies->n_changed++;
}

static enum status count_lines(const struct text_buffer *notes, struct tallies *tallies)
{
    enum status status = OK;
    static const char path[] = "notes.jsonl";
    const char *text = text_of(notes);
    json_t *line = NULL;
    int64_t number = 1;
    for (const char *at = text; at < text + notes->length; number++) {
        const char *end = memchr(at, '\n', notes->length - (size_t)(at - text));
        if (end == NULL) FAIL(ERR_FORMAT, "%s ends without a line end", path);
        json_decref(line);
        line = NULL;
        TRY(json_line_parse(&line, at, (size_t)(end - at), path, number));
        count_line(line, tallies);
        at = end + 1;
    }
out:
    json_decref(line);
    return status;
}

/* The notes of all shards in order. */
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
    }
out:
    free(path);
    return status;
}

static bool too_many_skipped(const struct build_summary *summary,
                             const struct build_options *options)
{
    return (double)summary->n_skipped > options->max_skipped * (double)summary->n_items;
}

static bool too_much(const struct build_summary *summary, const struct build_options *options)
{
    const int64_t n_parts = summary->n_parts + summary->n_dropped;
    return too_many_skipped(summary, options) ||
           (double)summary->n_dropped > options->max_dropped * (double)n_parts;
}

static enum status refuse(const struct build_summary *summary, const struct build_options *options,
                          const struct tallies *tallies, const char *list)
{
    if (too_many_skipped(summary, options))
        return status_fail(ERR_FORMAT,
                           "%" PRId64 " of %" PRId64
                           " records had to be skipped (%s), more than the %g %% that "
                           "--max-skipped allows; all are listed in %s; the first: %s",
                           summary->n_skipped, summary->n_items, text_of(&summary->reasons),
                           100 * options->max_skipped, list, tallies->skipped.first_why);
    return status_fail(
        ERR_FORMAT,
        "%" PRId64 " of %" PRId64 " objects, relations and texts had to be dropped (%s), more than "
        "the %g %% that --max-dropped allows; all are listed in %s; the first: %s",
        summary->n_dropped, summary->n_parts + summary->n_dropped, text_of(&summary->dropped),
        100 * options->max_dropped, list, tallies->dropped.first_why);
}

static void summarise(struct build_summary *summary, const struct tallies *tallies,
                      const struct corpus_index *index)
{
    summary->n_records = index->n_records;
    summary->n_skipped = tallies->skipped.sum;
    summary->n_dropped = tallies->dropped.sum;
    summary->n_changed = tallies->n_changed;
    tally_say(&summary->reasons, &tallies->skipped);
    tally_say(&summary->dropped, &tallies->dropped);
    for (int64_t i = 0; i < index->n_shards; i++)
        summary->n_parts +=
            index->shards[i].n_objects + index->shards[i].n_relations + index->shards[i].n_texts;
}

/* They are relative to the folder that the corpus is in; the index says it from the corpus. */
static enum status name_sources(struct corpus_index *index, const struct corpus_index *sources)
{
    enum status status = OK;
    char *way = NULL;
    for (int64_t i = 0; i < sources->n_sources; i++) {
        free(way);
        way = text_format("../%s", sources->sources[i].corpus);
        TRY(corpus_index_add_source(index, way, sources->sources[i].crc));
    }
out:
    free(way);
    return status;
}

enum status corpus_build_finish(const struct record_source *source, struct corpus_stage *stage,
                                const struct build_options *options,
                                const struct corpus_share *share, struct build_summary *summary)
{
    enum status status = OK;
    struct text_buffer notes = {0};
    struct tallies tallies = {0};
    struct corpus_index index = {0};
    const int64_t n_shards = corpus_build_n_shards(source, options);
    char *list = text_format("%s.skipped.jsonl", stage->directory);
    char *path = path_join(stage->partial, "notes.jsonl");
    summary->n_items = source->n_items;
    TRY(gather_notes(stage, n_shards, &notes));
    TRY(count_lines(&notes, &tallies));
    TRY(corpus_shards_index(&index, stage->partial, stage->name, n_shards));
    summarise(summary, &tallies, &index);
    summary->refused = too_much(summary, options);
    if (summary->refused) {
        TRY(file_write_atomic(list, text_of(&notes), notes.length));
        TRY(refuse(summary, options, &tallies, list));
    }
    if (notes.length > 0) TRY(file_write_atomic(path, notes.text, notes.length));
    if (share != NULL) TRY(name_sources(&index, &share->sources));
    TRY(corpus_stage_commit(stage, &index));
out:
    corpus_index_release(&index);
    tally_release(&tallies.skipped);
    tally_release(&tallies.dropped);
    text_release(&notes);
    free(path);
    free(list);
    return status;
}

/* Every rank meets the others after each of its shards, so that a failure stops all soon. */
static enum status build_shards(struct comm *comm, const struct record_source *source,
                                const struct corpus_stage *stage,
                                const struct build_options *options,
                                const struct picture_index *known)
{
    enum status status = OK;
    const int64_t n_shards = corpus_build_n_shards(source, options);
    struct build_watch watch = {.line = rate_line_begin(stage->name, "records", 0, source->n_items),
                                .n_ranks = comm_size(comm)};
    struct build_watch *mine = comm_rank(comm) == 0 ? &watch : NULL;
    for (int64_t first = 0; first < n_shards; first += comm_size(comm)) {
        const int64_t shard = first + comm_rank(comm);
        watch.before = first * options->shard_items;
        TRY(comm_agree(comm, shard < n_shards
                                 ? corpus_build_shard(source, stage, options, shard, known, mine)
                                 : OK));
    }
out:
    rate_line_end(&watch.line);
    return status;
}

/* What is left of a build that failed. */
static void build_give_up(struct corpus_stage *stage, const struct build_options *options,
                          enum status status)
{
    if (options->identity != NULL && status == ERR_IO)
        log_info("%s is kept: the same command goes on from there", stage->working);
    else
        corpus_stage_abandon(stage);
}

/* The identity with what is shared: a corpus that was made again since is another input. NULL
 * stays. To free(). */
static char *whole_identity(const struct build_options *options, const struct corpus_share *share)
{
    struct text_buffer text = {0};
    if (options->identity == NULL) return NULL;
    text_append(&text, options->identity);
    for (int64_t i = 0; i < share->sources.n_sources; i++)
        text_printf(&text, ", pictures of %s (%08x)", share->sources.sources[i].corpus,
                    share->sources.sources[i].crc);
    return text_take(&text);
}

enum status corpus_build(struct comm *comm, const struct record_source *source,
                         struct corpus_stage *stage, const struct build_options *options,
                         struct build_summary *summary)
{
    enum status status = OK;
    const bool first = comm_rank(comm) == 0;
    const int64_t n_shards = corpus_build_n_shards(source, options);
    struct corpus_share share = {0};
    bool resumed = false;
    char *identity = NULL;
    TRY(comm_agree(comm, corpus_share_open(&share, stage, options->share, options->n_share)));
    identity = whole_identity(options, &share);
    TRY(comm_agree(comm, first ? corpus_stage_begin(stage, identity, &resumed) : OK));
    summary->begun = true;
    if (resumed) log_info("going on with %s, which was interrupted", stage->working);
    TRY(build_shards(comm, source, stage, options, &share.known));
    TRY(corpus_share_own(comm, &share, stage, n_shards));
    TRY(comm_agree(comm,
                   first ? corpus_build_finish(source, stage, options, &share, summary) : OK));
out:
    corpus_share_release(&share);
    free(identity);
    if (status != OK && summary->begun && first) build_give_up(stage, options, status);
    return status;
}
