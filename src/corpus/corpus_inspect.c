/* See corpus_inspect.h. */
#include "corpus/corpus_inspect.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/rate_line.h"

#define COMMONEST 15

/* How often each string came: an object of integers. */
static void count_add(json_t *counts, const char *key)
{
    const int64_t before = json_integer_value(json_object_get(counts, key));
    json_object_set_new(counts, key, json_integer(before + 1));
}

struct count {
    const char *key;
    int64_t n;
};

static int compare_counts(const void *a, const void *b)
{
    const struct count *left = a;
    const struct count *right = b;
    if (left->n != right->n) return left->n > right->n ? -1 : 1;
    return strcmp(left->key, right->key);
}

static void append_printable(struct text_buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        text_append_char(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
}

static void append_counts(struct text_buffer *out, const char *title, json_t *counts)
{
    const size_t n = json_object_size(counts);
    if (n == 0) return;
    struct count *sorted = memory_new(n, sizeof *sorted);
    const char *key;
    json_t *value;
    size_t i = 0;
    json_object_foreach(counts, key, value)
    {
        sorted[i++] = (struct count){key, json_integer_value(value)};
    }
    qsort(sorted, n, sizeof *sorted, compare_counts);
    text_printf(out, "%s (%zu different)\n", title, n);
    for (i = 0; i < n && i < COMMONEST; i++) {
        text_printf(out, "  %8" PRId64 "  ", sorted[i].n);
        append_printable(out, sorted[i].key[0] == '\0' ? "(none)" : sorted[i].key);
        text_append_char(out, '\n');
    }
    if (n > COMMONEST) text_printf(out, "            and %zu more\n", n - COMMONEST);
    free(sorted);
}

struct summary {
    int64_t n_pictures, n_regions, n_masks, n_objects, n_attributes, n_relations, n_texts, n_turns;
    int64_t least_height, most_height, least_width, most_width, most_regions, most_relations;
    uint64_t image_bytes;
    json_t *predicates, *kinds, *names, *tasks;
};

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void summary_add_picture(struct summary *summary, const struct record *record)
{
    if (record->image_size == 0) return;
    const bool first = summary->n_pictures == 0;
    if (first || record->height < summary->least_height) summary->least_height = record->height;
    if (first || record->width < summary->least_width) summary->least_width = record->width;
    summary->most_height = larger(summary->most_height, record->height);
    summary->most_width = larger(summary->most_width, record->width);
    summary->image_bytes += record->image_size;
    summary->n_pictures++;
}

static void summary_add(struct summary *summary, const struct record *record)
{
    summary_add_picture(summary, record);
    summary->n_regions += record->n_regions;
    summary->n_objects += record->n_objects;
    summary->n_relations += record->n_relations;
    summary->n_texts += record->n_texts;
    summary->most_regions = larger(summary->most_regions, record->n_regions);
    summary->most_relations = larger(summary->most_relations, record->n_relations);
    for (int64_t i = 0; i < record->n_regions; i++)
        summary->n_masks += record->regions[i].mask.n_runs != 0;
    for (int64_t i = 0; i < record->n_objects; i++) {
        summary->n_attributes += record->objects[i].n_attributes;
        count_add(summary->names, record->objects[i].name);
    }
    for (int64_t i = 0; i < record->n_relations; i++) {
        count_add(summary->predicates, record->relations[i].predicate);
        count_add(summary->kinds, record->relations[i].kind);
    }
    for (int64_t i = 0; i < record->n_texts; i++) {
        summary->n_turns += record->texts[i].n_turns;
        count_add(summary->tasks, record->texts[i].task);
    }
}

static void append_summary(struct text_buffer *out, const struct summary *summary)
{
    text_printf(out, "pictures    %" PRId64, summary->n_pictures);
    if (summary->n_pictures > 0)
        text_printf(out,
                    ", %.1f MB, %" PRId64 " .. %" PRId64 " wide, %" PRId64 " .. %" PRId64 " high",
                    (double)summary->image_bytes / 1e6, summary->least_width, summary->most_width,
                    summary->least_height, summary->most_height);
    text_printf(out,
                "\nregions     %" PRId64 ", %" PRId64 " with a mask, at most %" PRId64
                " in a record\nobjects     %" PRId64 " with %" PRId64
                " attributes\nrelations   %" PRId64 ", at most %" PRId64
                " in a record\ntexts       %" PRId64 " with %" PRId64 " turns\n",
                summary->n_regions, summary->n_masks, summary->most_regions, summary->n_objects,
                summary->n_attributes, summary->n_relations, summary->most_relations,
                summary->n_texts, summary->n_turns);
    append_counts(out, "\npredicates", summary->predicates);
    append_counts(out, "\nkinds of relations", summary->kinds);
    append_counts(out, "\nnames", summary->names);
    append_counts(out, "\ntasks of texts", summary->tasks);
}

enum status corpus_summarise(struct text_buffer *out, const struct corpus *corpus)
{
    enum status status = OK;
    struct summary summary = {.predicates = json_object(),
                              .kinds = json_object(),
                              .names = json_object(),
                              .tasks = json_object()};
    struct rate_line line = rate_line_begin("inspect", "records", 0, corpus_size(corpus));
    for (int64_t i = 0; i < corpus_size(corpus); i++) {
        struct record record = {0};
        TRY(corpus_read(corpus, i, &record));
        summary_add(&summary, &record);
        record_release(&record);
        rate_line_update(&line, i + 1);
    }
    rate_line_end(&line);
    text_printf(out, "corpus      %s\nrecords     %" PRId64 "\n", corpus_name(corpus),
                corpus_size(corpus));
    append_summary(out, &summary);
out:
    json_decref(summary.predicates);
    json_decref(summary.kinds);
    json_decref(summary.names);
    json_decref(summary.tasks);
    return status;
}

static void describe_region(struct text_buffer *out, const struct record *record, int64_t index)
{
    const struct record_region *region = &record->regions[index];
    text_printf(out, "  region%" PRId64 " (%g, %g, %g, %g)", index + 1, region->box.x1,
                region->box.y1, region->box.x2, region->box.y2);
    if (region->mask.n_runs > 0)
        text_printf(out, ", mask of %" PRIu64 " pixels", rle_area(&region->mask));
    text_append_char(out, '\n');
}

static void describe_objects(struct text_buffer *out, const struct record *record)
{
    if (record->n_objects > 0) text_append(out, "objects\n");
    for (int64_t i = 0; i < record->n_objects; i++) {
        const struct record_object *object = &record->objects[i];
        text_printf(out, "  %3" PRId64 "  ", i);
        append_printable(out, object->name);
        for (int64_t j = 0; j < object->n_attributes; j++) {
            text_append(out, j == 0 ? " (" : ", ");
            append_printable(out, object->attributes[j]);
        }
        if (object->n_attributes > 0) text_append_char(out, ')');
        describe_region(out, record, object->region);
    }
}

/* Regions that no object has, and points. */
static void describe_places(struct text_buffer *out, const struct record *record)
{
    bool *taken = memory_new((size_t)record->n_regions + 1, sizeof *taken);
    bool first = true;
    for (int64_t i = 0; i < record->n_objects; i++) taken[record->objects[i].region] = true;
    for (int64_t i = 0; i < record->n_regions; i++) {
        if (taken[i]) continue;
        text_append(out, first ? "regions\n     " : "     ");
        describe_region(out, record, i);
        first = false;
    }
    if (record->n_points > 0) text_append(out, "points\n");
    for (int64_t i = 0; i < record->n_points; i++)
        text_printf(out, "       point%" PRId64 " (%g, %g)\n", i + 1, record->points[i].x,
                    record->points[i].y);
    free(taken);
}

static void describe_relations(struct text_buffer *out, const struct record *record)
{
    if (record->n_relations > 0) text_append(out, "relations\n");
    for (int64_t i = 0; i < record->n_relations; i++) {
        const struct record_relation *relation = &record->relations[i];
        text_printf(out, "  %3" PRId64 " ", relation->subject);
        append_printable(out, record->objects[relation->subject].name);
        text_append(out, " - ");
        append_printable(out, relation->predicate);
        text_printf(out, " - %" PRId64 " ", relation->object);
        append_printable(out, record->objects[relation->object].name);
        if (relation->kind[0] != '\0') text_printf(out, "  [%s]", relation->kind);
        text_append_char(out, '\n');
    }
}

static void describe_turn(struct text_buffer *out, const struct record *record,
                          const struct record_turn *turn)
{
    text_append(out, "    Q: ");
    append_printable(out, turn->question);
    for (int64_t i = 0; i < turn->n_choices; i++) {
        text_printf(out, "\n       %s ", i == turn->choice ? "*" : "-");
        append_printable(out, turn->choices[i]);
    }
    text_append(out, "\n    A: ");
    append_printable(out, turn->answer);
    for (int64_t i = 0; i < turn->n_objects; i++) {
        text_append(out, i == 0 ? "\n       about " : ", ");
        append_printable(out, record->objects[turn->objects[i]].name);
    }
    text_append_char(out, '\n');
}

static void describe_texts(struct text_buffer *out, const struct record *record)
{
    if (record->n_texts > 0) text_append(out, "texts\n");
    for (int64_t i = 0; i < record->n_texts; i++) {
        const struct record_text *text = &record->texts[i];
        text_append(out, "  ");
        append_printable(out, text->task);
        if (text->region >= 0) text_printf(out, " about region%" PRId64, text->region + 1);
        if (text->origin != NULL && text->origin[0] != '\0') {
            text_append(out, "  (");
            append_printable(out, text->origin);
            text_append_char(out, ')');
        }
        text_append_char(out, '\n');
        for (int64_t j = 0; j < text->n_turns; j++) describe_turn(out, record, &text->turns[j]);
    }
}

void record_describe(struct text_buffer *out, const struct record *record)
{
    text_append(out, "id          ");
    append_printable(out, record->id);
    text_append(out, "\nsource      ");
    append_printable(out, record->source);
    if (record->image_size > 0)
        text_printf(out,
                    "\npicture     %" PRId64 " x %" PRId64 " (width x height), %zu bytes of %s\n",
                    record->width, record->height, record->image_size,
                    record->image[0] == 0xff ? "JPEG" : "PNG");
    else
        text_append(out, "\npicture     none\n");
    describe_objects(out, record);
    describe_places(out, record);
    describe_relations(out, record);
    describe_texts(out, record);
}
