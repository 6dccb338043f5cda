/* See item_run.h. */
#include "sgedit/item_run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/json_file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "sgedit/complete_request.h"
#include "sgedit/edit_reply.h"
#include "sgedit/filters.h"

#define REPLY_HEAD_BYTES (JOURNAL_KEY_BYTES + 1) /* key, outcome */

void item_release(struct item *item)
{
    for (int64_t i = 0; i < item->n_stored; i++) free(item->stored[i].raw);
    free(item->stored);
    record_release(&item->record);
    edit_graph_release(&item->graph);
    proposals_release(&item->proposals);
    free(item->decided);
    free(item->judged);
    teacher_call_release(&item->call);
    *item = (struct item){0};
}

/* The picture cannot be done: the sentence stays with it. */
static void fail_item(struct item *item, const char *why)
{
    free(item->graph.failure);
    item->graph.failure = text_copy(why);
    item->stage = ITEM_ENDED;
    item->need = ITEM_IS_DONE;
}

/* Errors that say nothing about this picture end the run. */
static enum status keep_or_fail(struct item *item, enum status status)
{
    if (status == OK || status == ERR_MEMORY || status == ERR_COMM) return status;
    fail_item(item, status_message());
    status_clear();
    return OK;
}

/* The edit could not be had: the picture ends here, or goes on as drafted. */
static void give_up_edit(struct item *item, const struct item_tools *tools, const char *why)
{
    free(item->graph.failure);
    item->graph.failure = text_copy(why);
    const bool keeps = tools->config->generate.unedited == CONFIG_UNEDITED_KEEP;
    item->stage = keeps && item->stage == ITEM_EDITING ? ITEM_FILTERING : ITEM_ENDED;
}

/* ---- going on ---- */

static struct filtering filtering_of(struct item *item, const struct item_tools *tools)
{
    return (struct filtering){.record = &item->record,
                              .graph = &item->graph,
                              .config = &tools->config->generate,
                              .proposals = item->proposals.masks,
                              .n_proposals = item->proposals.n,
                              .decided = item->decided};
}

static const struct stored_reply *find_stored(const struct item *item)
{
    for (int64_t i = 0; i < item->n_stored; i++)
        if (memcmp(item->stored[i].key, item->key, JOURNAL_KEY_BYTES) == 0) return &item->stored[i];
    return NULL;
}

static bool completes(const struct item_tools *tools)
{
    return tools->config->generate.task == CONFIG_GENERATE_CURATE;
}

/* Asks: what an earlier run was answered counts; else the call waits for who runs the items. */
static enum status ask(struct item *item, const struct item_tools *tools, struct teacher *whom)
{
    enum status status = OK;
    struct edit_request request = {0};
    const struct config_teacher *config = &tools->config->teacher;
    const struct edit_request_options options = {
        .min_added = tools->config->generate.min_added,
        .image_side = config->image_side,
        .pictures = whom->paid,
    };
    if (item->stage == ITEM_EDITING && completes(tools))
        TRY(complete_request_make(&request, &item->record, &item->graph,
                                  tools->config->generate.min_subjects, &options));
    else if (item->stage == ITEM_EDITING)
        TRY(edit_request_make(&request, &item->record, &item->graph, &options));
    else
        TRY(judge_request_make(&request, &item->record, &item->graph, item->judged, item->n_judged,
                               &options));
    request.request.item = item->number;
    request.request.attempt = item->attempt;
    TRY(whom->prepare(whom->context, &item->call, &request.request));
    memcpy(item->key, item->call.key, JOURNAL_KEY_BYTES);
    item->asked = whom;
    item->need = ITEM_NEEDS_CALL;
    const struct stored_reply *stored = find_stored(item);
    if (stored == NULL) goto out;
    struct teacher_reply reply = {0};
    teacher_reply_read(&reply, stored->raw, stored->size);
    if (stored->outcome == TEACHER_FAILED) reply.outcome = TEACHER_FAILED;
    teacher_call_release(&item->call);
    item->need = ITEM_NEEDS_REPLY;
    status = item_take_reply(item, &reply, tools);
    teacher_reply_release(&reply);
out:
    edit_request_release(&request);
    return status;
}

/* One filter, or a question to the verifier. */
static enum status filter_next(struct item *item, const struct item_tools *tools)
{
    enum status status = OK;
    const struct config_generate *config = &tools->config->generate;
    if (item->decided == NULL)
        item->decided = memory_new((size_t)item->graph.n_relations + 1, sizeof *item->decided);
    const struct filtering filtering = filtering_of(item, tools);
    if (item->filter >= config->n_filters) {
        item->stage = ITEM_ENDED;
        return OK;
    }
    const int kind = config->filters[item->filter].kind;
    if (kind != CONFIG_FILTER_JUDGE) { /* regions were judged before anybody edited */
        if (kind != CONFIG_FILTER_REGION_IOU) TRY(filter_apply(&filtering, item->filter));
        item->filter++;
        return OK;
    }
    if (item->judged == NULL)
        item->judged = filter_to_judge(&filtering, item->filter, &item->n_judged);
    if (item->n_judged > 0) return ask(item, tools, tools->verifier);
    free(item->judged);
    item->judged = NULL;
    item->filter++;
out:
    return status;
}

/* As far as it goes without others. */
static enum status advance(struct item *item, const struct item_tools *tools)
{
    enum status status = OK;
    item->need = ITEM_IS_DONE;
    while (item->need == ITEM_IS_DONE && item->stage != ITEM_ENDED) {
        if (item->stage == ITEM_DRAFTING) {
            item->need = ITEM_NEEDS_DRAFT;
        } else if (item->stage == ITEM_EDITING &&
                   (tools->teacher == NULL || item->graph.n_objects == 0)) {
            item->stage = ITEM_FILTERING; /* nobody edits, or there is nothing to */
        } else if (item->stage == ITEM_EDITING) {
            status = ask(item, tools, tools->teacher);
        } else {
            status = filter_next(item, tools);
        }
        status = keep_or_fail(item, status);
        if (status != OK) return status;
    }
    return status;
}

/* ---- what comes ---- */

/* Nobody is asked about things that no proposal supports. */
static enum status filter_regions_first(struct item *item, const struct item_tools *tools)
{
    enum status status = OK;
    const struct config_generate *config = &tools->config->generate;
    const struct filtering filtering = filtering_of(item, tools);
    for (int64_t i = 0; i < config->n_filters; i++)
        if (config->filters[i].kind == CONFIG_FILTER_REGION_IOU) TRY(filter_apply(&filtering, i));
out:
    return status;
}

static enum status begin_graph(struct item *item, const struct draft *draft,
                               const struct item_tools *tools)
{
    enum status status = OK;
    struct record *record = &item->record;
    struct box *boxes = memory_new((size_t)record->n_regions + 1, sizeof *boxes);
    for (int64_t i = 0; i < record->n_regions; i++) boxes[i] = record->regions[i].box;
    edit_graph_begin(&item->graph, &draft->graph, boxes, record->n_regions);
    item->graph.truncated = draft->truncated;
    free(boxes);
    if (tools->config->generate.proposals[0] != '\0')
        TRY(proposals_read(&item->proposals, tools->config->generate.proposals, record));
    const struct filtering filtering = filtering_of(item, tools);
    filter_count_proposals(&filtering);
    TRY(filter_regions_first(item, tools));
    item->stage = ITEM_EDITING;
out:
    return status;
}

enum status item_take_draft(struct item *item, const struct draft *draft,
                            const struct item_tools *tools)
{
    enum status status = OK;
    TRY(keep_or_fail(item, begin_graph(item, draft, tools)));
    if (item->stage != ITEM_ENDED) TRY(advance(item, tools));
out:
    return status;
}

/* ERR_FORMAT: not an answer to what was asked. */
static enum status use_answer(struct item *item, const struct teacher_reply *reply,
                              const struct item_tools *tools)
{
    enum status status = OK;
    int *answers = NULL;
    if (item->stage == ITEM_EDITING) {
        if (completes(tools))
            TRY(complete_reply_apply(&item->graph, reply->content,
                                     tools->config->generate.min_subjects));
        else
            TRY(edit_reply_apply(&item->graph, reply->content, item->asked->name));
        item->stage = ITEM_FILTERING;
        goto out;
    }
    answers = memory_new((size_t)item->n_judged + 1, sizeof *answers);
    TRY(judge_reply_read(answers, item->n_judged, reply->content));
    for (int64_t i = 0; i < item->n_judged; i++)
        if (answers[i] < 0)
            FAIL(ERR_FORMAT, "statement %" PRId64 " of %" PRId64 " was not answered", i + 1,
                 item->n_judged);
    for (int64_t i = 0; i < item->n_judged; i++)
        if (answers[i] == 0)
            edit_relation_end(&item->graph.relations[item->judged[i]], EDGE_DROPPED,
                              filter_names[CONFIG_FILTER_JUDGE], "the verifier said no");
    free(item->judged);
    item->judged = NULL;
    item->filter++;
out:
    free(answers);
    return status;
}

static void judge_reply(struct item *item, const struct teacher_reply *reply,
                        const struct item_tools *tools)
{
    const char *why = reply->why;
    if (reply->outcome == TEACHER_ANSWERED) {
        if (use_answer(item, reply, tools) == OK) {
            item->attempt = 0;
            return;
        }
        why = status_message();
    }
    const bool again = reply->outcome == TEACHER_ANSWERED || reply->outcome == TEACHER_UNUSABLE;
    item->refused = item->refused || reply->outcome == TEACHER_REFUSED;
    item->attempt++;
    if (again && item->attempt < tools->config->teacher.answers) {
        log_debug("%s: asking again: %s", item->record.id, why);
        return;
    }
    char *text = text_format("%s: %s", item->stage == ITEM_EDITING ? "edit" : "verifier",
                             why != NULL ? why : "no answer");
    give_up_edit(item, tools, text);
    item->attempt = 0;
    free(text);
}

enum status item_take_reply(struct item *item, const struct teacher_reply *reply,
                            const struct item_tools *tools)
{
    judge_reply(item, reply, tools);
    status_clear();
    return advance(item, tools);
}

/* ---- from the journal ---- */

static enum status take_stored_reply(struct item *item, const struct journal_frame *frame)
{
    enum status status = OK;
    const unsigned char *bytes = frame->payload;
    if (frame->size < REPLY_HEAD_BYTES || bytes[JOURNAL_KEY_BYTES] > TEACHER_FAILED)
        FAIL(ERR_FORMAT, "a reply in the journal of item %" PRId64 " is none", item->number);
    item->stored = memory_resize(item->stored, (size_t)item->n_stored + 1, sizeof *item->stored);
    struct stored_reply *stored = &item->stored[item->n_stored++];
    *stored = (struct stored_reply){.size = frame->size - REPLY_HEAD_BYTES,
                                    .outcome = (enum teacher_outcome)bytes[JOURNAL_KEY_BYTES]};
    memcpy(stored->key, bytes, JOURNAL_KEY_BYTES);
    stored->raw = memory_new(stored->size + 1, 1);
    memcpy(stored->raw, bytes + REPLY_HEAD_BYTES, stored->size);
out:
    return status;
}

static enum status read_stored_draft(struct draft *draft, const struct item *item,
                                     const struct journal_frame *frame)
{
    enum status status = OK;
    json_t *json = NULL;
    TRY(json_line_parse(&json, frame->payload, frame->size, "journal", item->number));
    TRY(draft_from_json(draft, json, item->record.n_regions,
                        (struct json_place){"journal", item->record.id}));
out:
    json_decref(json);
    return status;
}

/* All frames of the item, the last first. */
static enum status read_frames(struct item *item, const struct journal *journal,
                               struct draft *draft, bool *has_draft)
{
    enum status status = OK;
    struct journal_frame frame = {0};
    for (journal_place at = journal_last(journal, item->number); at != 0;) {
        journal_frame_release(&frame);
        TRY(journal_read(journal, at, &frame));
        if (frame.item != item->number)
            FAIL(ERR_FORMAT, "the journal leads from item %" PRId64 " to item %" PRId64,
                 item->number, frame.item);
        if (frame.kind == JOURNAL_REPLY) TRY(take_stored_reply(item, &frame));
        if (frame.kind == JOURNAL_DRAFT && !*has_draft) {
            TRY(read_stored_draft(draft, item, &frame));
            *has_draft = true;
        }
        at = frame.previous;
    }
out:
    journal_frame_release(&frame);
    return status;
}

enum status item_begin(struct item *item, int64_t number, const struct item_tools *tools)
{
    enum status status = OK;
    struct draft draft = {0};
    bool has_draft = false;
    *item = (struct item){.number = number, .need = ITEM_NEEDS_DRAFT};
    TRY(keep_or_fail(item, corpus_read(tools->corpus, number, &item->record)));
    if (item->stage == ITEM_ENDED) goto out;
    TRY(read_frames(item, tools->journal, &draft, &has_draft));
    if (has_draft) TRY(item_take_draft(item, &draft, tools));
out:
    draft_release(&draft);
    return status;
}

char *item_result(const struct item *item)
{
    json_t *json = edit_graph_to_json(&item->graph);
    char *text = json_dumps(json, JSON_COMPACT);
    ASSERT(text != NULL, "a graph could not be written");
    json_decref(json);
    return text;
}

char *item_reply_payload(const struct item *item, const struct teacher_reply *reply,
                         size_t *size_out)
{
    char *payload = memory_new(REPLY_HEAD_BYTES + reply->raw_size + 1, 1);
    memcpy(payload, item->key, JOURNAL_KEY_BYTES);
    payload[JOURNAL_KEY_BYTES] = (char)reply->outcome;
    if (reply->raw_size > 0) memcpy(payload + REPLY_HEAD_BYTES, reply->raw, reply->raw_size);
    *size_out = REPLY_HEAD_BYTES + reply->raw_size;
    return payload;
}
