/* One thread a rank: nothing here computes for long but the drafter, whose turns are short. Paid
 * calls of one round share one write to the disk before they are sent, and replies of one round
 * share one after they came. */
#include "sgedit/generate_run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heartbeat.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "sgedit/generate_progress.h"
#include "sgedit/work_deal.h"

#define WAIT_MS      20   /* for a reply, when there is nothing else to do */
#define LOOK_SECONDS 0.05 /* between looks at what other ranks say */
#define MAX_DEALT    64   /* items taken at once */

struct worker {
    struct generate_run *run;
    struct work_deal deal;
    struct item *items; /* [room], those with number < 0 free */
    int64_t room, n_busy;
    int64_t *dealt; /* taken and not begun */
    int64_t n_dealt;
    bool stopping, stop_asked, paid;
    double synced, looked;
    struct generate_counts counts; /* since the last look */
    struct generate_progress progress;
};

/* ---- items ---- */

static void free_item(struct worker *worker, struct item *item)
{
    item_release(item);
    item->number = -1;
    worker->n_busy--;
}

static enum status finish_item(struct worker *worker, struct item *item)
{
    enum status status = OK;
    char *result = item_result(item);
    const struct journal_frame frame = {.kind = JOURNAL_FINAL,
                                        .item = item->number,
                                        .payload = result,
                                        .size = (uint32_t)strlen(result)};
    TRY(journal_append(worker->run->journal, &frame));
    worker->counts.done++;
    worker->counts.failed += item->graph.failure != NULL;
    worker->counts.refused += item->refused;
    free_item(worker, item);
out:
    free(result);
    return status;
}

/* An item that can go on without others is done here. */
static enum status settle(struct worker *worker, struct item *item)
{
    return item->need == ITEM_IS_DONE ? finish_item(worker, item) : OK;
}

static struct item *free_place(struct worker *worker)
{
    for (int64_t i = 0; i < worker->room; i++)
        if (worker->items[i].number < 0) return &worker->items[i];
    return NULL;
}

/* Begins items while there is room. */
static enum status begin_items(struct worker *worker)
{
    enum status status = OK;
    for (int64_t begun = 0; worker->n_busy < worker->room && begun < worker->room; begun++) {
        if (worker->n_dealt == 0) {
            int64_t room = worker->room - worker->n_busy;
            if (worker->stopping) break;
            if (room > MAX_DEALT) room = MAX_DEALT;
            TRY(work_deal_take(&worker->deal, room, worker->dealt, &worker->n_dealt));
            if (worker->n_dealt == 0) break;
        }
        struct item *item = free_place(worker);
        worker->n_busy++;
        TRY(item_begin(item, worker->dealt[--worker->n_dealt], &worker->run->tools));
        TRY(settle(worker, item));
    }
out:
    return status;
}

/* ---- drafts ---- */

static enum status submit_drafts(struct worker *worker, int64_t *n_waiting)
{
    enum status status = OK;
    struct drafter *drafter = worker->run->tools.drafter;
    *n_waiting = 0;
    for (int64_t i = 0; i < worker->room; i++) {
        struct item *item = &worker->items[i];
        if (item->number < 0 || item->need != ITEM_NEEDS_DRAFT) continue;
        if (!item->submitted && drafter->has_room(drafter->context)) {
            TRY(drafter->submit(drafter->context, item->number, &item->record));
            item->submitted = true;
        }
        *n_waiting += item->submitted;
    }
out:
    return status;
}

static struct item *item_of(struct worker *worker, int64_t number)
{
    for (int64_t i = 0; i < worker->room; i++)
        if (worker->items[i].number == number) return &worker->items[i];
    return NULL;
}

static enum status keep_draft(struct worker *worker, const struct draft *draft)
{
    enum status status = OK;
    json_t *json = draft_to_json(draft);
    char *text = json_dumps(json, JSON_COMPACT);
    const struct journal_frame frame = {.kind = JOURNAL_DRAFT,
                                        .item = draft->item,
                                        .payload = text,
                                        .size = (uint32_t)strlen(text)};
    TRY(journal_append(worker->run->journal, &frame));
out:
    free(text);
    json_decref(json);
    return status;
}

static enum status take_draft(struct worker *worker, const struct draft *draft)
{
    enum status status = OK;
    struct item *item = item_of(worker, draft->item);
    if (worker->run->tools.drafter->keeps) TRY(keep_draft(worker, draft));
    worker->counts.tokens += draft->n_tokens;
    TRY(item_take_draft(item, draft, &worker->run->tools));
    TRY(settle(worker, item));
out:
    return status;
}

/* Until the drafter has no more at once. */
static enum status do_drafts(struct worker *worker, bool *worked)
{
    enum status status = OK;
    struct drafter *drafter = worker->run->tools.drafter;
    struct draft draft = {0};
    int64_t n_waiting = 0;
    TRY(submit_drafts(worker, &n_waiting));
    while (n_waiting > 0) {
        bool got = false;
        *worked = true;
        TRY(drafter->collect(drafter->context, &draft, &got));
        if (!got) break;
        TRY(take_draft(worker, &draft));
        draft_release(&draft);
        TRY(submit_drafts(worker, &n_waiting));
    }
out:
    draft_release(&draft);
    return status;
}

/* ---- calls ---- */

static enum status note_intents(struct worker *worker, int64_t *n_calls)
{
    enum status status = OK;
    bool noted = false;
    for (int64_t i = 0; i < worker->room; i++) {
        struct item *item = &worker->items[i];
        if (item->number < 0 || item->need != ITEM_NEEDS_CALL) continue;
        const struct journal_frame frame = {.kind = JOURNAL_INTENT,
                                            .item = item->number,
                                            .payload = item->key,
                                            .size = JOURNAL_KEY_BYTES};
        (*n_calls)++;
        if (!item->asked->paid) continue;
        TRY(journal_append(worker->run->journal, &frame));
        noted = true;
    }
    if (noted) TRY(journal_sync(worker->run->journal));
out:
    return status;
}

static enum status send_calls(struct worker *worker, bool *worked)
{
    enum status status = OK;
    int64_t n_calls = 0;
    TRY(note_intents(worker, &n_calls));
    for (int64_t i = 0; i < worker->room && n_calls > 0; i++) {
        struct item *item = &worker->items[i];
        if (item->number < 0 || item->need != ITEM_NEEDS_CALL) continue;
        item->call.ticket = i;
        TRY(item->asked->ask(item->asked->context, &item->call));
        item->need = ITEM_NEEDS_REPLY;
        *worked = true;
    }
out:
    return status;
}

static enum status take_reply(struct worker *worker, const struct teacher_reply *reply)
{
    enum status status = OK;
    struct item *item = &worker->items[reply->ticket];
    size_t size = 0;
    char *payload = item_reply_payload(item, reply, &size);
    const struct journal_frame frame = {.kind = JOURNAL_REPLY,
                                        .item = item->number,
                                        .payload = payload,
                                        .size = (uint32_t)size,
                                        .cost_nano = reply->cost_nano,
                                        .tokens = (uint32_t)(reply->tokens_in + reply->tokens_out)};
    if (item->asked->paid) TRY(journal_append(worker->run->journal, &frame));
    TRY(item_take_reply(item, reply, &worker->run->tools));
    TRY(settle(worker, item));
out:
    free(payload);
    return status;
}

static enum status collect_from(struct worker *worker, struct teacher *teacher, int wait_ms,
                                bool *worked)
{
    enum status status = OK;
    struct teacher_reply reply = {0};
    bool got = teacher != NULL, paid = false;
    while (got) {
        TRY(teacher->collect(teacher->context, wait_ms, &reply, &got));
        if (!got) break;
        TRY(take_reply(worker, &reply));
        teacher_reply_release(&reply);
        *worked = true;
        paid = paid || teacher->paid;
        wait_ms = 0;
    }
    if (paid) TRY(journal_sync(worker->run->journal));
out:
    teacher_reply_release(&reply);
    return status;
}

static enum status collect_replies(struct worker *worker, bool *worked)
{
    enum status status = OK;
    struct item_tools *tools = &worker->run->tools;
    const int wait_ms = *worked ? 0 : WAIT_MS;
    TRY(collect_from(worker, tools->teacher, wait_ms, worked));
    if (tools->verifier != tools->teacher)
        TRY(collect_from(worker, tools->verifier, tools->teacher != NULL ? 0 : wait_ms, worked));
out:
    return status;
}

/* ---- among the ranks ---- */

static enum status look_around(struct worker *worker, bool at_once)
{
    enum status status = OK;
    struct generate_run *run = worker->run;
    const double now = monotonic_seconds();
    int64_t stop = 0;
    heartbeat_beat(); /* ranks that hold a model with this one wait for orders */
    if (!at_once && now - worker->looked < LOOK_SECONDS) return OK;
    worker->looked = now;
    if (run->stop_wanted != NULL && run->stop_wanted(run->stop_context)) {
        worker->stop_asked = true;
        TRY(shared_counters_add(run->counters, COUNT_STOP, 1, NULL));
    }
    TRY(shared_counters_add(run->counters, COUNT_STOP, 0, &stop));
    worker->stopping = worker->stopping || stop > 0;
    TRY(generate_progress_share(&worker->progress, &worker->counts));
    if (worker->run->tools.config->generate.sync_seconds <= now - worker->synced) {
        TRY(journal_sync(run->journal));
        worker->synced = now;
    }
out:
    return status;
}

static bool is_through(const struct worker *worker)
{
    if (worker->n_busy > 0) return false;
    return worker->stopping ||
           (worker->n_dealt == 0 && worker->deal.next >= worker->deal.n_pending);
}

static enum status work(struct worker *worker)
{
    enum status status = OK;
    while (!is_through(worker)) {
        bool worked = false;
        TRY(begin_items(worker));
        TRY(do_drafts(worker, &worked));
        TRY(send_calls(worker, &worked));
        TRY(collect_replies(worker, &worked));
        TRY(look_around(worker, false));
    }
    TRY(journal_sync(worker->run->journal));
out:
    return status;
}

/* Waits without a collective, so that one that is long on its last item alarms nobody. */
static enum status wait_for_others(struct worker *worker)
{
    enum status status = OK;
    struct generate_run *run = worker->run;
    int64_t through = 0;
    TRY(shared_counters_add(run->counters, COUNT_LEFT, 1, NULL));
    do {
        TRY(look_around(worker, true));
        TRY(shared_counters_add(run->counters, COUNT_LEFT, 0, &through));
        if (through < comm_size(run->comm)) usleep(5000);
    } while (through < comm_size(run->comm));
out:
    return status;
}

static int is_final(const void *journal, int64_t item)
{
    return journal_is_final(journal, item);
}

static enum status prepare(struct worker *worker)
{
    enum status status = OK;
    struct generate_run *run = worker->run;
    worker->room = run->tools.config->generate.in_flight;
    worker->items = memory_new((size_t)worker->room, sizeof *worker->items);
    for (int64_t i = 0; i < worker->room; i++) worker->items[i].number = -1;
    worker->dealt = memory_new(MAX_DEALT, sizeof *worker->dealt);
    worker->deal = (struct work_deal){
        .counters = run->counters, .which = COUNT_NEXT, .n_ranks = comm_size(run->comm)};
    work_deal_init(&worker->deal, run->n_items, is_final, run->journal);
    worker->synced = monotonic_seconds();
    TRY(generate_progress_begin(&worker->progress, run));
out:
    return status;
}

static void release(struct worker *worker)
{
    for (int64_t i = 0; i < worker->room; i++)
        if (worker->items[i].number >= 0) item_release(&worker->items[i]);
    generate_progress_end(&worker->progress);
    work_deal_release(&worker->deal);
    free(worker->items);
    free(worker->dealt);
}

enum status generate_run(struct generate_run *run)
{
    enum status status = OK;
    struct worker worker = {.run = run};
    int64_t stopped = 0;
    status = prepare(&worker);
    TRY(comm_agree(run->comm, status));
    status = work(&worker);
    if (status != OK) { /* the others finish what they have begun */
        (void)journal_sync(run->journal);
        (void)shared_counters_add(run->counters, COUNT_STOP, 1, NULL);
    }
    char *sentence = text_copy(status_message());
    const enum status waited = wait_for_others(&worker);
    if (status != OK) status = status_fail(status, "%s", sentence);
    if (status == OK) status = waited;
    free(sentence);
    TRY(comm_agree(run->comm, status));
    stopped = worker.stop_asked;
    TRY(comm_max_int64(run->comm, &stopped, 1));
    if (stopped) FAIL(ERR_STOPPED, "stopped as asked; the same command goes on");
out:
    release(&worker);
    return status;
}
