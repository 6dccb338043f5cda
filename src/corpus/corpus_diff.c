/* See corpus_diff.h. A record becomes a list of named values; two lists are compared by name. */
#include "corpus/corpus_diff.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/rate_line.h"
#include "base/thread_pool.h"
#include "corpus/shard.h"

#define MOST_FIELDS   8
#define BLOCK_RECORDS 64

struct field {
    char *name, *value;
};

struct fields {
    struct field *items;
    size_t n, capacity;
};

static void fields_release(struct fields *fields)
{
    for (size_t i = 0; i < fields->n; i++) {
        free(fields->items[i].name);
        free(fields->items[i].value);
    }
    free(fields->items);
}

/* Takes both strings over. */
static void field_add(struct fields *fields, char *name, char *value)
{
    if (fields->n == fields->capacity) {
        fields->capacity = fields->capacity * 2 + 16;
        fields->items = memory_resize(fields->items, fields->capacity, sizeof *fields->items);
    }
    fields->items[fields->n++] = (struct field){name, value};
}

static void add_regions(struct fields *fields, const struct record *record)
{
    for (int64_t i = 0; i < record->n_regions; i++) {
        const struct record_region *region = &record->regions[i];
        const struct box box = region->box;
        field_add(fields, text_format("regions[%" PRId64 "].box", i),
                  text_format("(%.17g, %.17g, %.17g, %.17g)", box.x1, box.y1, box.x2, box.y2));
        if (region->mask.n_runs == 0) continue;
        const size_t size = (size_t)region->mask.n_runs * sizeof *region->mask.runs;
        field_add(fields, text_format("regions[%" PRId64 "].mask", i),
                  text_format("%" PRIu64 " pixels in %" PRId64 " runs, crc32c %08x",
                              rle_area(&region->mask), region->mask.n_runs,
                              crc32c(0, region->mask.runs, size)));
    }
    for (int64_t i = 0; i < record->n_points; i++)
        field_add(fields, text_format("points[%" PRId64 "]", i),
                  text_format("(%.17g, %.17g)", record->points[i].x, record->points[i].y));
}

static void add_graph(struct fields *fields, const struct record *record)
{
    for (int64_t i = 0; i < record->n_objects; i++) {
        const struct record_object *object = &record->objects[i];
        field_add(fields, text_format("objects[%" PRId64 "].name", i), text_copy(object->name));
        field_add(fields, text_format("objects[%" PRId64 "].region", i),
                  text_format("%" PRId64, object->region));
        for (int64_t j = 0; j < object->n_attributes; j++)
            field_add(fields, text_format("objects[%" PRId64 "].attributes[%" PRId64 "]", i, j),
                      text_copy(object->attributes[j]));
    }
    for (int64_t i = 0; i < record->n_relations; i++) {
        const struct record_relation *relation = &record->relations[i];
        field_add(fields, text_format("relations[%" PRId64 "]", i),
                  text_format("%" PRId64 " %s %" PRId64 " [%s]", relation->subject,
                              relation->predicate, relation->object, relation->kind));
    }
}

static void add_turn(struct fields *fields, const struct record_turn *turn, const char *where)
{
    field_add(fields, text_format("%s.question", where), text_copy(turn->question));
    field_add(fields, text_format("%s.answer", where), text_copy(turn->answer));
    for (int64_t i = 0; i < turn->n_choices; i++)
        field_add(fields, text_format("%s.choices[%" PRId64 "]", where, i),
                  text_copy(turn->choices[i]));
    if (turn->n_choices > 0)
        field_add(fields, text_format("%s.choice", where), text_format("%" PRId64, turn->choice));
    for (int64_t i = 0; i < turn->n_objects; i++)
        field_add(fields, text_format("%s.objects[%" PRId64 "]", where, i),
                  text_format("%" PRId64, turn->objects[i]));
}

static void add_texts(struct fields *fields, const struct record *record)
{
    for (int64_t i = 0; i < record->n_texts; i++) {
        const struct record_text *text = &record->texts[i];
        field_add(fields, text_format("texts[%" PRId64 "].task", i), text_copy(text->task));
        field_add(fields, text_format("texts[%" PRId64 "].region", i),
                  text_format("%" PRId64, text->region));
        if (text->origin != NULL && text->origin[0] != '\0')
            field_add(fields, text_format("texts[%" PRId64 "].origin", i), text_copy(text->origin));
        for (int64_t j = 0; j < text->n_turns; j++) {
            char *where = text_format("texts[%" PRId64 "].turns[%" PRId64 "]", i, j);
            add_turn(fields, &text->turns[j], where);
            free(where);
        }
    }
}

static int compare_fields(const void *a, const void *b)
{
    return strcmp(((const struct field *)a)->name, ((const struct field *)b)->name);
}

static struct fields fields_of(const struct record *record)
{
    struct fields fields = {0};
    field_add(&fields, text_copy("source"), text_copy(record->source));
    field_add(&fields, text_copy("size"),
              text_format("%" PRId64 " x %" PRId64, record->width, record->height));
    if (record->image_size > 0)
        field_add(&fields, text_copy("picture"),
                  text_format("%zu bytes, crc32c %08x", record->image_size,
                              crc32c(0, record->image, record->image_size)));
    add_regions(&fields, record);
    add_graph(&fields, record);
    add_texts(&fields, record);
    qsort(fields.items, fields.n, sizeof *fields.items, compare_fields);
    return fields;
}

/* One line, without what would move a terminal's cursor. */
static void append_line(struct text_buffer *out, const char *prefix, const struct field *old,
                        const struct field *new)
{
    const char *const parts[] = {prefix, old != NULL ? old->name : new->name,
                                 ": ",   old != NULL ? old->value : "(none)",
                                 " -> ", new != NULL ? new->value : "(none)"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        for (const char *at = parts[i]; *at != '\0'; at++) {
            const unsigned char c = (unsigned char)*at;
            text_append_char(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
        }
    text_append_char(out, '\n');
}

/* A line for each of the first MOST_FIELDS fields that differ; pictures and masks are shown by size
 * and checksum. */
static void append_difference(struct text_buffer *out, const char *prefix, const struct record *a,
                              const struct record *b)
{
    int64_t n_different = 0;
    struct fields old = fields_of(a);
    struct fields new = fields_of(b);
    for (size_t i = 0, j = 0; i < old.n || j < new.n;) {
        const int order = i == old.n   ? 1
                          : j == new.n ? -1
                                       : strcmp(old.items[i].name, new.items[j].name);
        const struct field *left = order <= 0 ? &old.items[i++] : NULL;
        const struct field *right = order >= 0 ? &new.items[j++] : NULL;
        if (order == 0 && strcmp(left->value, right->value) == 0) continue;
        if (n_different++ < MOST_FIELDS) append_line(out, prefix, left, right);
    }
    if (n_different > MOST_FIELDS)
        text_printf(out, "%sand %" PRId64 " more fields\n", prefix, n_different - MOST_FIELDS);
    fields_release(&old);
    fields_release(&new);
}

struct entry { /* a record of one corpus */
    char *id;
    int64_t index;
};

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->id, ((const struct entry *)b)->id);
}

static void entries_free(struct entry *entries, int64_t n)
{
    for (int64_t i = 0; entries != NULL && i < n; i++) free(entries[i].id);
    free(entries);
}

/* Every id with its place, sorted by id. */
static enum status entries_read(struct entry **entries_out, const struct corpus *corpus)
{
    enum status status = OK;
    const int64_t n = corpus_size(corpus);
    struct entry *entries = calloc((size_t)n + 1, sizeof *entries);
    if (entries == NULL) FAIL(ERR_MEMORY, "no memory for %" PRId64 " ids", n);
    for (int64_t i = 0; i < n; i++) {
        entries[i].index = i;
        TRY(corpus_read_id(corpus, i, &entries[i].id));
    }
    qsort(entries, (size_t)n, sizeof *entries, compare_entries);
    *entries_out = entries;
    entries = NULL;
out:
    entries_free(entries, n);
    return status;
}

struct pair { /* what one line or group of lines is about; -1: not there */
    const char *id;
    int64_t a, b;
};

struct diff_work {
    const struct corpus *a, *b;
    const struct pair *pairs;
    int64_t n_pairs;
    struct text_buffer *lines; /* [n_blocks] */
    int64_t *n_changed;        /* [n_blocks] */
    char **failures;           /* [n_blocks]; NULL: none */
    struct rate_line line;     /* worker 0's */
};

static enum status compare_pair(struct diff_work *work, int64_t block, const struct pair *pair)
{
    enum status status = OK;
    struct record a = {0};
    struct record b = {0};
    char *prefix = NULL;
    if (pair->a < 0 || pair->b < 0) {
        text_printf(&work->lines[block], "%c %s\n", pair->b < 0 ? '-' : '+', pair->id);
        return OK;
    }
    TRY(corpus_read(work->a, pair->a, &a));
    TRY(corpus_read(work->b, pair->b, &b));
    if (record_checksum(&a) == record_checksum(&b)) goto out;
    prefix = text_format("! %s: ", pair->id);
    append_difference(&work->lines[block], prefix, &a, &b);
    work->n_changed[block]++;
out:
    free(prefix);
    record_release(&a);
    record_release(&b);
    return status;
}

static void compare_block(void *argument, int64_t block, int worker)
{
    struct diff_work *work = argument;
    const int64_t first = block * BLOCK_RECORDS;
    if (worker == 0) rate_line_update(&work->line, first); /* blocks are taken in order */
    for (int64_t i = first; i < work->n_pairs && i < first + BLOCK_RECORDS; i++) {
        if (compare_pair(work, block, &work->pairs[i]) == OK) continue;
        work->failures[block] = text_copy(status_message());
        status_clear();
        return;
    }
}

/* All pairs over the threads; the lines come in the order of the pairs. */
static enum status compare_pairs(struct diff_result *result, struct diff_work *work, int n_threads)
{
    enum status status = OK;
    struct thread_pool *pool = NULL;
    const int64_t n_blocks = (work->n_pairs + BLOCK_RECORDS - 1) / BLOCK_RECORDS;
    const size_t room = (size_t)n_blocks + 1;
    work->lines = memory_new(room, sizeof *work->lines);
    work->n_changed = memory_new(room, sizeof *work->n_changed);
    work->failures = memory_new(room, sizeof *work->failures);
    TRY(thread_pool_create(&pool, n_threads));
    work->line = rate_line_begin("diff", "records", 0, work->n_pairs);
    thread_pool_run(pool, n_blocks, compare_block, work);
    rate_line_end(&work->line);
    for (int64_t i = 0; i < n_blocks; i++) {
        if (work->failures[i] != NULL) FAIL(ERR_FORMAT, "%s", work->failures[i]);
        text_append(&result->lines, text_of(&work->lines[i]));
        result->n_changed += work->n_changed[i];
    }
out:
    for (int64_t i = 0; i < n_blocks; i++) {
        text_release(&work->lines[i]);
        free(work->failures[i]);
    }
    free(work->lines);
    free(work->n_changed);
    free(work->failures);
    thread_pool_destroy(pool);
    return status;
}

static int compare_places(const void *a, const void *b)
{
    const struct pair *left = a;
    const struct pair *right = b;
    return left->a < right->a ? -1 : left->a > right->a;
}

/* Among the records of both, in the first one's order: those that come before one that they stood
 * behind. */
static int64_t count_moved(const struct pair *pairs, int64_t n_pairs)
{
    struct pair *common = memory_new((size_t)n_pairs + 1, sizeof *common);
    int64_t n = 0;
    int64_t n_moved = 0;
    for (int64_t i = 0; i < n_pairs; i++)
        if (pairs[i].a >= 0 && pairs[i].b >= 0) common[n++] = pairs[i];
    qsort(common, (size_t)n, sizeof *common, compare_places);
    int64_t last = -1;
    for (int64_t i = 0; i < n; i++) {
        if (common[i].b < last)
            n_moved++;
        else
            last = common[i].b;
    }
    free(common);
    return n_moved;
}

static int64_t pair_up(struct pair *pairs, struct diff_result *result, const struct entry *a,
                       int64_t n_a, const struct entry *b, int64_t n_b)
{
    int64_t n = 0;
    for (int64_t i = 0, j = 0; i < n_a || j < n_b;) {
        const int order = i == n_a ? 1 : j == n_b ? -1 : strcmp(a[i].id, b[j].id);
        pairs[n] = (struct pair){order <= 0 ? a[i].id : b[j].id, -1, -1};
        if (order <= 0) pairs[n].a = a[i++].index;
        if (order >= 0) pairs[n].b = b[j++].index;
        result->n_removed += order < 0;
        result->n_added += order > 0;
        n++;
    }
    return n;
}

enum status corpus_diff(struct diff_result *result, const char *directory_a,
                        const char *directory_b, int n_threads)
{
    enum status status = OK;
    struct corpus *a = NULL;
    struct corpus *b = NULL;
    struct entry *ids_a = NULL;
    struct entry *ids_b = NULL;
    struct pair *pairs = NULL;
    TRY(corpus_open(&a, directory_a));
    TRY(corpus_open(&b, directory_b));
    TRY(entries_read(&ids_a, a));
    TRY(entries_read(&ids_b, b));
    pairs = memory_new((size_t)(corpus_size(a) + corpus_size(b)) + 1, sizeof *pairs);
    struct diff_work work = {.a = a, .b = b, .pairs = pairs};
    work.n_pairs = pair_up(pairs, result, ids_a, corpus_size(a), ids_b, corpus_size(b));
    TRY(compare_pairs(result, &work, n_threads));
    result->n_same = work.n_pairs - result->n_removed - result->n_added - result->n_changed;
    result->n_moved = count_moved(pairs, work.n_pairs);
out:
    free(pairs);
    if (a != NULL) entries_free(ids_a, corpus_size(a));
    if (b != NULL) entries_free(ids_b, corpus_size(b));
    corpus_close(a);
    corpus_close(b);
    return status;
}
