/* See generate_output.h. */
#include "sgedit/generate_output.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/file.h"
#include "base/json_file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "corpus/corpus_build.h"
#include "sgedit/generate_report.h"
#include "sgedit/release_lines.h"

enum status generate_read_item(struct edit_graph *graph_out, struct record *record_out,
                               const struct generate_output *output, int64_t item)
{
    enum status status = OK;
    struct journal_frame frame = {0};
    json_t *json = NULL;
    struct edit_graph graph = {0};
    TRY(journal_read(output->journal, journal_last(output->journal, item), &frame));
    TRY(corpus_read(output->corpus, item, record_out));
    TRY(json_line_parse(&json, frame.payload, frame.size, "journal", item));
    TRY(edit_graph_from_json(&graph, json, (struct json_place){"journal", record_out->id}));
    if (graph.n_objects > record_out->n_regions)
        FAIL(ERR_FORMAT,
             "the journal has %" PRId64 " objects for %s, which has %" PRId64 " regions",
             graph.n_objects, record_out->id, record_out->n_regions);
    for (int64_t i = 0; i < graph.n_objects; i++) graph.objects[i].box = record_out->regions[i].box;
    *graph_out = graph;
    graph = (struct edit_graph){0};
out:
    edit_graph_release(&graph);
    json_decref(json);
    journal_frame_release(&frame);
    return status;
}

/* It failed, and what is left is not wanted. */
static bool is_left_out(const struct edit_graph *graph, const struct run_config *config)
{
    if (graph->failure == NULL) return false;
    return graph->n_objects == 0 || config->generate.unedited == CONFIG_UNEDITED_SKIP;
}

/* ---- records ---- */

/* "ball is red, round" -> the name and its attributes. */
static void set_name(struct record_object *object, const char *text)
{
    const char *is = strstr(text, " is ");
    if (is == NULL || is == text) {
        object->name = text_copy(text);
        return;
    }
    object->name = text_format("%.*s", (int)(is - text), text);
    for (const char *at = is + 4; *at != '\0';) {
        const char *comma = strstr(at, ", ");
        const size_t n = comma != NULL ? (size_t)(comma - at) : strlen(at);
        object->attributes = memory_resize(object->attributes, (size_t)object->n_attributes + 1,
                                           sizeof *object->attributes);
        object->attributes[object->n_attributes++] = text_format("%.*s", (int)n, at);
        at += n + (comma != NULL ? 2 : 0);
    }
}

static void set_objects(struct record *record, const struct edit_graph *graph, int64_t *number)
{
    record->objects = memory_new((size_t)graph->n_objects + 1, sizeof *record->objects);
    for (int64_t i = 0; i < graph->n_objects; i++) {
        number[i] = -1;
        if (graph->objects[i].dropped) continue;
        number[i] = record->n_objects;
        struct record_object *object = &record->objects[record->n_objects++];
        object->region = i;
        set_name(object, graph->objects[i].name);
    }
}

static void set_relations(struct record *record, const struct edit_graph *graph,
                          const int64_t *number)
{
    record->relations = memory_new((size_t)graph->n_relations + 1, sizeof *record->relations);
    for (int64_t i = 0; i < graph->n_relations; i++) {
        const struct edit_relation *from = &graph->relations[i];
        if (from->fate != EDGE_KEPT) continue;
        record->relations[record->n_relations++] =
            (struct record_relation){.subject = number[from->subject],
                                     .object = number[from->object],
                                     .predicate = text_copy(from->predicate),
                                     .kind = text_copy(from->kind)};
    }
}

static void add_turn(struct record_text *text, const char *question, char *answer)
{
    text->turns[text->n_turns++] =
        (struct record_turn){.question = text_copy(question), .answer = answer};
}

/* One word for each object and relation, in their order: who it is from. */
static void set_provenance(struct record *record, const struct edit_graph *graph,
                           const struct generate_output *output)
{
    struct text_buffer objects = {0}, relations = {0};
    struct record_text *text = &record->texts[record->n_texts++];
    for (int64_t i = 0; i < graph->n_objects; i++) {
        const struct edit_object *object = &graph->objects[i];
        if (object->dropped) continue;
        text_printf(&objects, "%s%s", objects.length > 0 ? " " : "",
                    strcmp(object->name, object->draft_name) == 0 ? "drafted" : "renamed");
    }
    for (int64_t i = 0; i < graph->n_relations; i++)
        if (graph->relations[i].fate == EDGE_KEPT)
            text_printf(&relations, "%s%s", relations.length > 0 ? " " : "",
                        edge_origin_names[graph->relations[i].origin]);
    *text = (struct record_text){.task = text_copy("provenance"), .region = -1};
    text->turns = memory_new(4, sizeof *text->turns);
    add_turn(text, "objects", text_take(&objects));
    add_turn(text, "relations", text_take(&relations));
    add_turn(text, "drafted by", text_copy(output->drafter));
    add_turn(text, "edited by", text_copy(graph->failure != NULL ? "" : output->teacher));
}

static void set_descriptions(struct record *record, const struct edit_graph *graph,
                             const int64_t *number)
{
    for (int64_t i = 0; i < graph->n_objects; i++) {
        if (number[i] < 0 || graph->objects[i].description[0] == '\0') continue;
        struct record_text *text = &record->texts[record->n_texts++];
        *text = (struct record_text){.task = text_copy("description"), .region = i};
        text->turns = memory_new(1, sizeof *text->turns);
        add_turn(text, "", text_copy(graph->objects[i].description));
        text->turns[0].objects = memory_new(1, sizeof(int64_t));
        text->turns[0].objects[0] = number[i];
        text->turns[0].n_objects = 1;
    }
}

/* The picture and its regions are the source's. */
static void move_picture(struct record *to, struct record *from)
{
    to->id = text_copy(from->id);
    to->height = from->height;
    to->width = from->width;
    to->image = from->image;
    to->image_size = from->image_size;
    to->regions = from->regions;
    to->n_regions = from->n_regions;
    from->image = NULL;
    from->image_size = 0;
    from->regions = NULL;
    from->n_regions = 0;
}

static enum status make_record(void *context, int64_t item, struct record *record,
                               struct item_note *note)
{
    enum status status = OK;
    const struct generate_output *output = context;
    struct edit_graph graph = {0};
    struct record source = {0};
    int64_t *number = NULL;
    TRY(generate_read_item(&graph, &source, output, item));
    note->reason = "failed";
    if (is_left_out(&graph, output->config)) FAIL(ERR_FORMAT, "%s: %s", source.id, graph.failure);
    note->reason = NULL;
    number = memory_new((size_t)graph.n_objects + 1, sizeof *number);
    record->source = text_format("generate:%s", corpus_name(output->corpus));
    record->texts = memory_new((size_t)graph.n_objects + 1, sizeof *record->texts);
    move_picture(record, &source);
    set_objects(record, &graph, number);
    set_relations(record, &graph, number);
    set_provenance(record, &graph, output);
    set_descriptions(record, &graph, number);
    TRY(record_check(record));
out:
    free(number);
    record_release(&source);
    edit_graph_release(&graph);
    return status;
}

/* ---- the corpus ---- */

static char *corpus_directory(const struct run_config *config)
{
    return config->generate.out[0] != '\0' ? text_copy(config->generate.out)
                                           : path_join(config->run_dir, "corpus");
}

static enum status build(const struct generate_output *output, const char *directory)
{
    enum status status = OK;
    const struct config_generate *config = &output->config->generate;
    struct corpus_stage stage = {0};
    struct build_summary summary = {0};
    struct record_source source = {
        .n_items = output->n_items, .context = (void *)(uintptr_t)output, .make = make_record};
    const char *share[1] = {config->corpus};
    const struct build_options options = {.shard_items = config->shard_records,
                                          .n_threads = (int)output->config->threads,
                                          .max_skipped = 1,
                                          .max_dropped = 1,
                                          .share = share,
                                          .n_share = config->share_pictures ? 1 : 0,
                                          .identity = output->identity};
    TRY(comm_agree(output->comm, corpus_stage_init(&stage, directory, config->name)));
    TRY(corpus_build(output->comm, &source, &stage, &options, &summary));
    log_info("wrote %s: %" PRId64 " records, %" PRId64 " pictures left out", directory,
             summary.n_records, summary.n_skipped);
out:
    build_summary_release(&summary);
    corpus_stage_release(&stage);
    return status;
}

/* One that an earlier start finished stays as it is. */
static enum status build_if_missing(const struct generate_output *output)
{
    enum status status = OK;
    char *directory = corpus_directory(output->config);
    char *index = path_join(directory, CORPUS_INDEX_FILE);
    int64_t there = comm_rank(output->comm) == 0 && file_exists(index);
    TRY(comm_max_int64(output->comm, &there, 1));
    if (!there) TRY(build(output, directory));
out:
    free(index);
    free(directory);
    return status;
}

/* ---- lines ---- */

static enum status write_lines(const char *folder, const struct generate_output *output,
                               int64_t shard, const struct text_buffer *lines)
{
    enum status status = OK;
    char *directory = path_join(output->config->run_dir, folder);
    char *path =
        text_format("%s/%s-%05" PRId64 ".jsonl", directory, output->config->generate.name, shard);
    TRY(directory_create(directory));
    TRY(file_write_atomic(path, text_of(lines), lines->length));
out:
    free(path);
    free(directory);
    return status;
}

static enum status add_item_lines(const struct generate_output *output, int64_t item,
                                  struct text_buffer *lines, struct text_buffer *ledger,
                                  struct generate_report *report)
{
    enum status status = OK;
    struct edit_graph graph = {0};
    struct record record = {0};
    TRY(generate_read_item(&graph, &record, output, item));
    const bool left_out = is_left_out(&graph, output->config);
    generate_report_add(report, &graph, &record, left_out);
    ledger_line(ledger, &record, &graph);
    if (left_out) goto out;
    if (output->config->generate.task == CONFIG_GENERATE_CURATE)
        TRY(relations_line(lines, &record, &graph));
    else
        TRY(graph_line(lines, &record, &graph));
out:
    record_release(&record);
    edit_graph_release(&graph);
    return status;
}

static enum status write_shard_lines(const struct generate_output *output, int64_t shard,
                                     struct generate_report *report)
{
    enum status status = OK;
    const struct config_generate *config = &output->config->generate;
    struct text_buffer lines = {0}, ledger = {0};
    const int64_t first = shard * config->shard_records;
    int64_t end = first + config->shard_records;
    if (end > output->n_items) end = output->n_items;
    for (int64_t item = first; item < end; item++)
        TRY(add_item_lines(output, item, &lines, &ledger, report));
    TRY(write_lines(config->task == CONFIG_GENERATE_CURATE ? "relations" : "sg", output, shard,
                    &lines));
    TRY(write_lines("ledger", output, shard, &ledger));
out:
    text_release(&lines);
    text_release(&ledger);
    return status;
}

static enum status write_all_lines(const struct generate_output *output,
                                   struct generate_report *report)
{
    enum status status = OK;
    const int64_t per = output->config->generate.shard_records;
    const int64_t n_shards = (output->n_items + per - 1) / per;
    for (int64_t shard = comm_rank(output->comm); shard < n_shards;
         shard += comm_size(output->comm))
        TRY(write_shard_lines(output, shard, report));
out:
    return status;
}

/* Before anything is written: a run that mostly failed is not an output. */
static enum status check_failures(const struct generate_output *output,
                                  const struct generate_report *report)
{
    enum status status = OK;
    const int64_t n = generate_report_failed(report);
    const double most = output->config->generate.max_failed * (double)output->n_items;
    if ((double)n > most)
        FAIL(ERR_LIMIT,
             "%" PRId64 " of %" PRId64 " pictures failed, more than the %g %% of "
             "generate.max_failed; %s/ledger lists them with the reason, the first: %s",
             n, output->n_items, 100 * output->config->generate.max_failed, output->config->run_dir,
             generate_report_first_failure(report));
out:
    return status;
}

static enum status write_report(const struct generate_report *report,
                                const struct generate_output *output)
{
    enum status status = OK;
    const struct graph_score score = generate_report_score(report);
    TRY(generate_report_write(report, output));
    TRY(graph_score_check(&score, &output->config->generate));
out:
    return status;
}

enum status generate_output(const struct generate_output *output)
{
    enum status status = OK;
    struct generate_report *report = generate_report_new();
    TRY(comm_agree(output->comm, write_all_lines(output, report)));
    TRY(generate_report_merge(report, output->comm));
    if (comm_rank(output->comm) == 0) status = check_failures(output, report);
    TRY(comm_agree(output->comm, status));
    TRY(build_if_missing(output));
    if (comm_rank(output->comm) == 0) status = write_report(report, output);
    TRY(comm_agree(output->comm, status));
out:
    generate_report_free(report);
    return status;
}
