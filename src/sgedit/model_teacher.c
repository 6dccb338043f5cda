/* See model_teacher.h. A request's tag is a number into `asked`. */
#include "sgedit/model_teacher.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "corpus/region_mask.h"
#include "sgedit/chat_body.h"

struct asked { /* of the engine, until it answers */
    bool used, is_draft;
    int64_t item; /* draft: the item; else the ticket */
    char *id;
    int64_t n_regions, height, width;
};

struct done { /* an answer not yet collected */
    struct draft draft;
    struct teacher_reply reply;
    struct done *next;
};

struct model_teacher {
    struct model_teacher_options options;
    struct asked *asked; /* [n_asked] */
    int64_t n_asked;
    struct done *drafts, *replies;
};

enum status model_teacher_create(struct model_teacher **model_out,
                                 const struct model_teacher_options *options)
{
    *model_out = memory_new(1, sizeof **model_out);
    (*model_out)->options = *options;
    return OK;
}

static void done_release(struct done *done)
{
    while (done != NULL) {
        struct done *next = done->next;
        draft_release(&done->draft);
        teacher_reply_release(&done->reply);
        free(done);
        done = next;
    }
}

void model_teacher_destroy(struct model_teacher *model)
{
    if (model == NULL) return;
    done_release(model->drafts);
    done_release(model->replies);
    for (int64_t i = 0; i < model->n_asked; i++) free(model->asked[i].id);
    free(model->asked);
    free(model);
}

/* ---- asking ---- */

static int64_t take_tag(struct model_teacher *model)
{
    for (int64_t i = 0; i < model->n_asked; i++)
        if (!model->asked[i].used) return i;
    model->asked = memory_resize(model->asked, (size_t)model->n_asked + 1, sizeof *model->asked);
    model->asked[model->n_asked] = (struct asked){0};
    return model->n_asked++;
}

struct ask_questions {
    const char *const *texts;
    int64_t n;
};

/* Hands the picture with its masks to the engine. */
static enum status submit(struct model_teacher *model, const struct record *record,
                          const struct asked *what, const struct ask_questions *questions,
                          int64_t *tag_out)
{
    enum status status = OK;
    const int64_t n_regions = record->n_regions;
    struct rle *masks = memory_new((size_t)n_regions + 1, sizeof *masks);
    struct box *boxes = memory_new((size_t)n_regions + 1, sizeof *boxes);
    const struct ask_options *options =
        what->is_draft ? &model->options.draft : &model->options.judge;
    for (int64_t i = 0; i < n_regions; i++) {
        boxes[i] = record->regions[i].box;
        TRY(region_mask(&masks[i], record, i, (enum region_mode)model->options.region_mode));
    }
    const int64_t tag = take_tag(model);
    const struct ask ask = {.id = record->id,
                            .tag = (uint64_t)tag,
                            .picture = {record->image, record->image_size, record->id},
                            .height = record->height,
                            .width = record->width,
                            .masks = masks,
                            .n_regions = n_regions,
                            .boxes = boxes,
                            .questions = questions->texts,
                            .n_questions = questions->n};
    TRY(ask_submit(model->options.engine, model->options.tokenizer, &ask, options));
    struct asked *asked = &model->asked[tag];
    *asked = *what;
    asked->used = true;
    asked->id = text_copy(record->id);
    asked->n_regions = n_regions;
    asked->height = record->height;
    asked->width = record->width;
    *tag_out = tag;
out:
    for (int64_t i = 0; i < n_regions; i++) rle_release(&masks[i]);
    free(masks);
    free(boxes);
    return status;
}

/* ---- answers ---- */

static enum status read_draft(struct model_teacher *model, const struct asked *asked,
                              const struct engine_result *result)
{
    enum status status = OK;
    struct ask_graph graph = {0};
    const struct ask ask = {.id = asked->id,
                            .n_regions = asked->n_regions,
                            .height = asked->height,
                            .width = asked->width};
    TRY(ask_read_graph(&graph, result, &ask, &model->options.draft));
    struct done *done = memory_new(1, sizeof *done);
    done->draft = (struct draft){.item = asked->item,
                                 .graph = graph.graph,
                                 .truncated = graph.truncated,
                                 .n_tokens = result->answer_tokens};
    graph.graph = (struct scene_graph){0};
    done->next = model->drafts;
    model->drafts = done;
out:
    ask_graph_release(&graph);
    return status;
}

/* As a chat completion, so that the journal and who reads it know one form of reply. */
static enum status read_verdicts(struct model_teacher *model, const struct asked *asked,
                                 const struct engine_result *result)
{
    json_t *answers = json_array();
    for (int64_t i = 0; i < result->n_branches; i++) {
        const double yes = result->branches[i].answers[0].yes;
        json_array_append_new(answers, json_pack("{s:I, s:b}", "statement", (json_int_t)(i + 1),
                                                 "yes", (int)(yes >= model->options.least_yes)));
    }
    json_t *root = json_pack("{s:o}", "answers", answers);
    char *content = json_dumps(root, JSON_COMPACT);
    ASSERT(content != NULL, "verdicts could not be written");
    struct done *done = memory_new(1, sizeof *done);
    done->reply.raw = teacher_reply_write(content, model->options.name);
    done->reply.raw_size = strlen(done->reply.raw);
    teacher_reply_read(&done->reply, done->reply.raw, done->reply.raw_size);
    done->reply.ticket = asked->item;
    done->next = model->replies;
    model->replies = done;
    free(content);
    json_decref(root);
    return OK;
}

static enum status take_results(struct model_teacher *model)
{
    enum status status = OK;
    struct engine_result result = {0};
    while (engine_take(model->options.engine, &result)) {
        struct asked *asked = &model->asked[result.tag];
        TRY(asked->is_draft ? read_draft(model, asked, &result)
                            : read_verdicts(model, asked, &result));
        free(asked->id);
        *asked = (struct asked){0};
        engine_result_release(&result);
    }
out:
    engine_result_release(&result);
    return status;
}

/* One pass through the model, unless something is there to collect. */
static enum status work(struct model_teacher *model, const struct done *wanted)
{
    enum status status = OK;
    if (wanted != NULL || engine_is_idle(model->options.engine)) return OK;
    TRY(engine_step(model->options.engine));
    TRY(take_results(model));
out:
    return status;
}

/* ---- as a drafter ---- */

static bool has_room(void *context)
{
    const struct model_teacher *model = context;
    return engine_has_room(model->options.engine);
}

static enum status submit_draft(void *context, int64_t item, const struct record *record)
{
    struct model_teacher *model = context;
    const struct asked what = {.is_draft = true, .item = item};
    int64_t tag = 0;
    return submit(model, record, &what, &(struct ask_questions){0}, &tag);
}

static enum status collect_draft(void *context, struct draft *draft_out, bool *got)
{
    enum status status = OK;
    struct model_teacher *model = context;
    TRY(work(model, model->drafts));
    struct done *done = model->drafts;
    *got = done != NULL;
    if (done == NULL) goto out;
    model->drafts = done->next;
    *draft_out = done->draft;
    free(done);
out:
    return status;
}

static void release_nothing(void *context)
{
    (void)context;
}

struct drafter model_drafter(struct model_teacher *model)
{
    return (struct drafter){model->options.name, true,          model,          has_room,
                            submit_draft,        collect_draft, release_nothing};
}

/* ---- as a verifier ---- */

/* "Is the cup (region1) on the table (region2)?" */
static char *question_of(const struct edit_graph *graph, const struct edit_relation *relation)
{
    return text_format("Is the %s (region%" PRId64 ") %s the %s (region%" PRId64 ")? Answer "
                       "directly with 'yes' or 'no'.",
                       graph->objects[relation->subject].name, relation->subject + 1,
                       relation->predicate, graph->objects[relation->object].name,
                       relation->object + 1);
}

/* The request is borrowed for this call alone, so the engine gets it at once and works on it when
 * somebody collects. */
static enum status prepare(void *context, struct teacher_call *call_out,
                           const struct teacher_request *request)
{
    enum status status = OK;
    struct model_teacher *model = context;
    const int64_t n = request->n_relations;
    char **questions = memory_new((size_t)n + 1, sizeof *questions);
    const struct asked what = {.item = request->item};
    int64_t tag = 0;
    for (int64_t i = 0; i < n; i++)
        questions[i] =
            question_of(request->graph, &request->graph->relations[request->relations[i]]);
    const struct ask_questions all = {(const char *const *)questions, n};
    TRY(submit(model, request->record, &what, &all, &tag));
    *call_out = (struct teacher_call){.local = tag};
    chat_local_key(call_out->key, model->options.name, request);
out:
    for (int64_t i = 0; i < n; i++) free(questions[i]);
    free(questions);
    return status;
}

/* Now the ticket is known; nothing was computed in between. */
static enum status ask(void *context, struct teacher_call *call)
{
    struct model_teacher *model = context;
    model->asked[call->local].item = call->ticket;
    return OK;
}

static enum status collect(void *context, int wait_ms, struct teacher_reply *reply_out, bool *got)
{
    enum status status = OK;
    struct model_teacher *model = context;
    (void)wait_ms;
    *reply_out = (struct teacher_reply){0};
    *got = false;
    TRY(work(model, model->replies));
    struct done *done = model->replies;
    *got = done != NULL;
    if (done == NULL) goto out;
    model->replies = done->next;
    *reply_out = done->reply;
    free(done);
out:
    return status;
}

struct teacher model_verifier(struct model_teacher *model)
{
    return (struct teacher){model->options.name, false, model, prepare, ask, collect,
                            release_nothing};
}
