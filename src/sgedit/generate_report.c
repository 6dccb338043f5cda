/* Counts are a tree of JSON: ranks add theirs up by adding up every number in it. */
#include "sgedit/generate_report.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/file.h"
#include "base/json_file.h"
#include "base/text_buffer.h"
#include "sgedit/generate_output.h"
#include "sgedit/generate_page.h"

#define MAX_PREDICATES 1000 /* listed, the most frequent ones */

struct generate_report {
    json_t *counts; /* {images, objects, ..., predicates: {word: {drafted, ...}}} */
};

struct generate_report *generate_report_new(void)
{
    struct generate_report *report = memory_new(1, sizeof *report);
    report->counts = json_object();
    return report;
}

void generate_report_free(struct generate_report *report)
{
    if (report == NULL) return;
    json_decref(report->counts);
    free(report);
}

/* ---- counting ---- */

static void add_number(json_t *object, const char *key, double amount)
{
    json_t *value = json_object_get(object, key);
    if (value == NULL)
        json_object_set_new(object, key, json_real(amount));
    else
        json_real_set(value, json_real_value(value) + amount);
}

static json_t *child(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (value != NULL) return value;
    value = json_object();
    json_object_set_new(object, key, value);
    return value;
}

static double number(const json_t *object, const char *key)
{
    return json_real_value(json_object_get(object, key));
}

static void add_relation(struct generate_report *report, const struct edit_relation *relation)
{
    static const char *const words[N_EDGE_ORIGINS][N_EDGE_FATES] = {
        {"drafted_kept", "drafted_removed", "drafted_dropped"},
        {"added_kept", "added_removed", "added_dropped"}};
    const char *word = words[relation->origin][relation->fate];
    add_number(child(report->counts, "relations"), word, 1);
    add_number(child(child(report->counts, "predicates"), relation->predicate), word, 1);
    if (relation->fate != EDGE_KEPT) add_number(child(report->counts, "ended_by"), relation->by, 1);
}

/* Between the draft's triples and the final ones: 1 - shared / all of them. */
static double drift_of(const struct edit_graph *graph)
{
    double shared = 0, all = 0;
    for (int64_t i = 0; i < graph->n_relations; i++) {
        const struct edit_relation *relation = &graph->relations[i];
        const bool drafted = relation->origin == EDGE_DRAFTED, kept = relation->fate == EDGE_KEPT;
        shared += drafted && kept;
        all += drafted || kept;
    }
    return all > 0 ? 1 - shared / all : 0;
}

/* The fields of a score in the tree of counts. */
struct score_field {
    const char *name;
    size_t offset;
};
#define SCORE_FIELD(field)                                                                         \
    {                                                                                              \
#field, offsetof(struct graph_score, field)                                                \
    }
static const struct score_field score_fields[] = {
    SCORE_FIELD(annotated),     SCORE_FIELD(drafted),     SCORE_FIELD(drafted_right),
    SCORE_FIELD(final),         SCORE_FIELD(final_right), SCORE_FIELD(named),
    SCORE_FIELD(drafted_names), SCORE_FIELD(final_names),
};
#define N_SCORE_FIELDS (sizeof score_fields / sizeof score_fields[0])

static void add_score(struct generate_report *report, const struct edit_graph *graph,
                      const struct record *record)
{
    const struct graph_score score = graph_score_of(graph, record);
    for (size_t i = 0; i < N_SCORE_FIELDS; i++) {
        int64_t value;
        memcpy(&value, (const char *)&score + score_fields[i].offset, sizeof value);
        add_number(child(report->counts, "against_annotations"), score_fields[i].name,
                   (double)value);
    }
}

struct graph_score generate_report_score(const struct generate_report *report)
{
    struct graph_score score = {0};
    const json_t *counts = json_object_get(report->counts, "against_annotations");
    for (size_t i = 0; i < N_SCORE_FIELDS; i++) {
        const int64_t value = (int64_t)number(counts, score_fields[i].name);
        memcpy((char *)&score + score_fields[i].offset, &value, sizeof value);
    }
    return score;
}

void generate_report_add(struct generate_report *report, const struct edit_graph *graph,
                         const struct record *record, bool left_out)
{
    json_t *counts = report->counts;
    add_number(counts, "images", 1);
    add_number(counts, "truncated", graph->truncated);
    if (graph->failure != NULL) {
        add_number(counts, "failed", 1);
        add_number(child(counts, "failures"), graph->failure, 1);
    }
    if (left_out) return;
    add_number(counts, "images_written", 1);
    if (record->n_relations > 0) add_score(report, graph, record);
    add_number(counts, "drift_ppm", (double)llround(1e6 * drift_of(graph))); /* sums exactly */
    for (int64_t i = 0; i < graph->n_objects; i++) {
        const struct edit_object *object = &graph->objects[i];
        json_t *objects = child(counts, "objects");
        add_number(objects, object->dropped ? "dropped" : "kept", 1);
        if (strcmp(object->name, object->draft_name) != 0) add_number(objects, "renamed", 1);
    }
    if (graph->n_proposals > 0) {
        json_t *proposals = child(counts, "proposals");
        add_number(proposals, "all", (double)graph->n_proposals);
        add_number(proposals, "unannotated", (double)graph->n_unannotated);
    }
    for (int64_t i = 0; i < graph->n_relations; i++) add_relation(report, &graph->relations[i]);
    for (int64_t i = 0; i < graph->n_refusals; i++)
        add_number(child(counts, "refused"), graph->refusals[i].why, 1);
}

/* ---- over ranks ---- */

static void add_tree(json_t *to, const json_t *from)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)from, key, value)
    {
        if (json_is_object(value))
            add_tree(child(to, key), value);
        else
            add_number(to, key, json_number_value(value));
    }
}

/* By name at every level: which rank counted what leaves no trace. */
static enum status sort_counts(struct generate_report *report)
{
    enum status status = OK;
    json_t *sorted = NULL;
    char *text = json_dumps(report->counts, JSON_COMPACT | JSON_SORT_KEYS);
    ASSERT(text != NULL, "the counts could not be written");
    TRY(json_line_parse(&sorted, text, strlen(text), "counts", 0));
    json_decref(report->counts);
    report->counts = sorted;
out:
    free(text);
    return status;
}

enum status generate_report_merge(struct generate_report *report, struct comm *comm)
{
    enum status status = OK;
    char **texts = NULL;
    char *own = json_dumps(report->counts, JSON_COMPACT);
    ASSERT(own != NULL, "the counts could not be written");
    TRY(comm_gather_strings(comm, &texts, own));
    for (int rank = 1; texts != NULL && rank < comm_size(comm); rank++) {
        json_t *counts = NULL;
        TRY(json_line_parse(&counts, texts[rank], strlen(texts[rank]), "counts", rank));
        add_tree(report->counts, counts);
        json_decref(counts);
    }
    if (texts != NULL) TRY(sort_counts(report));
out:
    names_free(texts, texts == NULL ? 0 : (size_t)comm_size(comm));
    free(own);
    return status;
}

int64_t generate_report_failed(const struct generate_report *report)
{
    return (int64_t)number(report->counts, "failed");
}

const char *generate_report_first_failure(const struct generate_report *report)
{
    void *first = json_object_iter(json_object_get(report->counts, "failures"));
    return first != NULL ? json_object_iter_key(first) : "";
}

/* ---- writing ---- */

struct predicate_row {
    const char *word;
    double drafted_kept, drafted_removed, drafted_dropped, added_kept, added_dropped, all;
};

static int compare_rows(const void *a, const void *b)
{
    const struct predicate_row *x = a, *y = b;
    if (x->all != y->all) return x->all < y->all ? 1 : -1;
    return strcmp(x->word, y->word);
}

/* The most frequent predicates, to free(). */
static struct predicate_row *predicate_rows(const struct generate_report *report, int64_t *n_out)
{
    json_t *predicates = json_object_get(report->counts, "predicates");
    struct predicate_row *rows = memory_new(json_object_size(predicates) + 1, sizeof *rows);
    const char *word;
    json_t *value;
    *n_out = 0;
    json_object_foreach(predicates, word, value)
    {
        struct predicate_row *row = &rows[(*n_out)++];
        *row = (struct predicate_row){.word = word,
                                      .drafted_kept = number(value, "drafted_kept"),
                                      .drafted_removed = number(value, "drafted_removed"),
                                      .drafted_dropped = number(value, "drafted_dropped"),
                                      .added_kept = number(value, "added_kept"),
                                      .added_dropped = number(value, "added_dropped")};
        row->all = row->drafted_kept + row->drafted_removed + row->drafted_dropped +
                   row->added_kept + row->added_dropped;
    }
    qsort(rows, (size_t)*n_out, sizeof *rows, compare_rows);
    if (*n_out > MAX_PREDICATES) *n_out = MAX_PREDICATES;
    return rows;
}

static json_t *report_json(const struct generate_report *report)
{
    json_t *root = json_deep_copy(report->counts);
    json_t *list = json_array();
    int64_t n = 0;
    struct predicate_row *rows = predicate_rows(report, &n);
    for (int64_t i = 0; i < n; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:f, s:f, s:f, s:f, s:f}", "predicate", rows[i].word,
                                        "drafted_kept", rows[i].drafted_kept, "drafted_removed",
                                        rows[i].drafted_removed, "drafted_dropped",
                                        rows[i].drafted_dropped, "added_kept", rows[i].added_kept,
                                        "added_dropped", rows[i].added_dropped));
    json_object_set_new(root, "predicates", list);
    free(rows);
    return root;
}

static double share(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

static void append_list(struct text_buffer *out, const char *title, const json_t *list)
{
    const char *key;
    json_t *value;
    if (json_object_size(list) > 0) text_printf(out, "%s\n", title);
    json_object_foreach((json_t *)(uintptr_t)list, key, value)
        text_printf(out, "  %8.0f  %s\n", json_real_value(value), key);
}

static void append_proposals(struct text_buffer *out, const json_t *proposals, double pictures)
{
    const double all = number(proposals, "all"), unannotated = number(proposals, "unannotated");
    if (all == 0) return;
    text_printf(out,
                "proposed regions    %.2f a picture; %.0f of %.0f without annotation (%.1f %%)\n",
                all / pictures, unannotated, all, share(unannotated, all));
}

static char *report_text(const struct generate_report *report)
{
    struct text_buffer out = {0};
    const json_t *counts = report->counts;
    const json_t *objects = json_object_get(counts, "objects");
    const json_t *relations = json_object_get(counts, "relations");
    const double images = number(counts, "images_written");
    const double drafted_kept = number(relations, "drafted_kept");
    const double drafted =
        drafted_kept + number(relations, "drafted_removed") + number(relations, "drafted_dropped");
    const double added_kept = number(relations, "added_kept");
    const double added = added_kept + number(relations, "added_dropped");
    const double per = images > 0 ? images : 1;
    int64_t n = 0;
    struct predicate_row *rows = predicate_rows(report, &n);
    text_printf(&out,
                "pictures            %.0f, written %.0f, failed %.0f, drafts cut short %.0f\n"
                "objects a picture   %.2f (renamed %.1f %%, dropped %.0f)\n"
                "relations a picture %.2f drafted, %.2f final\n"
                "drafted relations   %.1f %% kept, %.1f %% removed by the teacher, %.1f %% "
                "dropped by filters\n"
                "added relations     %.2f a picture, %.1f %% dropped by filters\n"
                "drift               %.1f %% of draft and final relations are in one of both "
                "only, mean over pictures\n",
                number(counts, "images"), images, number(counts, "failed"),
                number(counts, "truncated"), number(objects, "kept") / per,
                share(number(objects, "renamed"), number(objects, "kept")),
                number(objects, "dropped"), drafted / per, (drafted_kept + added_kept) / per,
                share(drafted_kept, drafted), share(number(relations, "drafted_removed"), drafted),
                share(number(relations, "drafted_dropped"), drafted), added / per,
                share(added - added_kept, added), number(counts, "drift_ppm") / 1e4 / per);
    append_proposals(&out, json_object_get(counts, "proposals"), per);
    const struct graph_score score = generate_report_score(report);
    char *scored = score.annotated > 0 ? graph_score_text(&score) : NULL;
    if (scored != NULL) text_append(&out, scored);
    free(scored);
    append_list(&out, "relations ended by", json_object_get(counts, "ended_by"));
    append_list(&out, "edits refused because", json_object_get(counts, "refused"));
    append_list(&out, "pictures failed because", json_object_get(counts, "failures"));
    text_append(&out, "predicate                        kept removed dropped   added dropped\n");
    for (int64_t i = 0; i < n && i < 20; i++)
        text_printf(&out, "%-30.30s %6.0f  %6.0f  %6.0f  %6.0f  %6.0f\n", rows[i].word,
                    rows[i].drafted_kept, rows[i].drafted_removed, rows[i].drafted_dropped,
                    rows[i].added_kept, rows[i].added_dropped);
    free(rows);
    return text_take(&out);
}

static enum status write_file(const struct generate_output *output, const char *name,
                              const char *text, size_t size)
{
    enum status status = OK;
    char *path = path_join(output->config->run_dir, name);
    TRY(file_write_atomic(path, text, size));
out:
    free(path);
    return status;
}

enum status generate_report_write(const struct generate_report *report,
                                  const struct generate_output *output)
{
    enum status status = OK;
    json_t *json = report_json(report);
    char *numbers = json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(12) | JSON_SORT_KEYS);
    char *text = report_text(report);
    struct text_buffer page = {0};
    ASSERT(numbers != NULL, "the report could not be written");
    TRY(write_file(output, "report.json", numbers, strlen(numbers)));
    TRY(write_file(output, "report.txt", text, strlen(text)));
    TRY(generate_page(&page, output, text));
    TRY(write_file(output, "page.html", text_of(&page), page.length));
    printf("%s", text);
    fflush(stdout);
out:
    text_release(&page);
    json_decref(json);
    free(numbers);
    free(text);
    return status;
}
