/* Relations by subject (the reference's per-object sample), descriptions, and pairs of regions as
 * short answers. */
#include <stdlib.h>
#include <string.h>

#include "corpus/task_parts.h"

/* Relations of a subject in the order of annotation; place is the object's index as yet. */
static int64_t relations_of(struct task_target *targets, const struct record *record,
                            int64_t subject, const struct task_options *options)
{
    int64_t n = 0;
    for (int64_t r = 0; r < record->n_relations; r++) {
        const struct record_relation *relation = &record->relations[r];
        if (relation->subject != subject || task_is_ignored(options, relation->predicate)) continue;
        targets[n++] = (struct task_target){.place = relation->object, .relation = r};
    }
    return n;
}

/* A subject that has relations, drawn; -1: there is none. */
static int64_t draw_subject(const struct record *record, const struct task_options *options,
                            struct task_draws *draws)
{
    bool *has = memory_new((size_t)record->n_objects + 1, sizeof *has);
    int64_t n = 0, subject = -1;
    for (int64_t r = 0; r < record->n_relations; r++) {
        const struct record_relation *relation = &record->relations[r];
        if (task_is_ignored(options, relation->predicate)) continue;
        n += !has[relation->subject];
        has[relation->subject] = true;
    }
    int64_t wanted = n > 0 ? task_draw_access(draws, n) : -1;
    for (int64_t i = 0; i < record->n_objects && wanted >= 0; i++)
        if (has[i] && wanted-- == 0) subject = i;
    free(has);
    return subject;
}

static void swap(int64_t *a, int64_t *b)
{
    int64_t kept = *a;
    *a = *b;
    *b = kept;
}

/* Which objects the conversation lists: those of this subject's relations, or all (the reference's
 * setups 1 and 3), shuffled, within the limit. The subject, wanted[subject], is always among
 * them. */
static int64_t list_objects(int64_t *list, const struct record *record, const bool *wanted,
                            int64_t subject, int64_t limit, struct task_draws *draws)
{
    bool all = task_draw_access(draws, 2) == 1;
    int64_t *order = task_order(draws, record->n_objects, false);
    int64_t n = 0, at = 0;
    for (int64_t i = 0; i < record->n_objects; i++)
        if (all || wanted[order[i]]) list[n++] = order[i];
    while (list[at] != subject) at++;
    n = task_smaller(n, limit);
    if (at >= n) swap(&list[n - 1], &list[at]);
    free(order);
    return n;
}

static int compare_annotation(const void *left, const void *right)
{
    const struct task_target *a = left, *b = right;
    return (a->relation > b->relation) - (a->relation < b->relation);
}

/* "region2 holding, region5 behind": once each, the first `limit` in the order of annotation,
 * sorted by region. Returns how many. */
static int64_t write_relations(struct text_buffer *out, struct task_target *targets, int64_t n,
                               const struct record *record, int64_t limit)
{
    task_sort_targets(targets, n);
    n = task_unique_targets(targets, n, record);
    qsort(targets, (size_t)n, sizeof *targets, compare_annotation);
    n = task_smaller(n, limit);
    task_sort_targets(targets, n);
    for (int64_t i = 0; i < n; i++)
        text_printf(out, "%sregion%lld %s", i > 0 ? ", " : "", (long long)targets[i].place + 1,
                    record->relations[targets[i].relation].predicate);
    return n;
}

static const char *description_of(const struct record *record, int64_t region)
{
    for (int64_t i = 0; i < record->n_texts; i++) {
        const struct record_text *text = &record->texts[i];
        if (text->region == region && text->n_turns > 0 && strcmp(text->task, "description") == 0)
            return text->turns[0].answer;
    }
    return NULL;
}

static void ask_about(struct text_buffer *out, struct task_draws *draws, enum prompt_kind kind,
                      int64_t place)
{
    char *region = text_format("region%lld", (long long)place + 1);
    text_clear(out);
    prompt_fill(out, task_draw_prompt(draws, kind), region, NULL);
    free(region);
}

/* Relations to objects in the list, numbered by their places there. */
static int64_t place_targets(struct task_target *targets, int64_t n, const int64_t *list,
                             int64_t n_list, int64_t n_objects)
{
    int64_t *place = memory_new((size_t)n_objects + 1, sizeof *place);
    int64_t kept = 0;
    for (int64_t i = 0; i < n_objects; i++) place[i] = -1;
    for (int64_t i = 0; i < n_list; i++) place[list[i]] = i;
    for (int64_t i = 0; i < n; i++) {
        targets[kept] = targets[i];
        targets[kept].place = place[targets[i].place];
        kept += targets[kept].place >= 0;
    }
    free(place);
    return kept;
}

static enum status make_relation(struct task_sample *sample, const struct record *record,
                                 const struct task_options *options, struct task_draws *draws)
{
    enum status status = OK;
    struct text_buffer question = {0}, answer = {0};
    struct task_target *targets = memory_new((size_t)record->n_relations + 1, sizeof *targets);
    int64_t *list = memory_new((size_t)record->n_objects + 1, sizeof *list);
    bool *wanted = memory_new((size_t)record->n_objects + 1, sizeof *wanted);
    int64_t subject = draw_subject(record, options, draws), place = 0;
    if (subject < 0) {
        task_skip(sample, "no relations");
        goto out;
    }
    int64_t n_all = relations_of(targets, record, subject, options);
    wanted[subject] = true;
    for (int64_t i = 0; i < n_all; i++) wanted[targets[i].place] = true;
    int64_t n_list = list_objects(list, record, wanted, subject, options->max_regions, draws);
    int64_t n = place_targets(targets, n_all, list, n_list, record->n_objects);
    n = write_relations(&answer, targets, n, record, options->max_relations);
    sample->n_dropped_relations = n_all - n;
    if (n == 0) {
        task_skip(sample, "no relation within the limits");
        goto out;
    }
    for (int64_t i = 0; i < n_list; i++) task_add_region(sample, record->objects[list[i]].region);
    while (list[place] != subject) place++;
    const char *description = description_of(record, record->objects[subject].region);
    ask_about(&question, draws, description ? PROMPT_DESCRIPTION : PROMPT_RELATIONS, place);
    TRY(task_ask_first(sample, record, options, draws, question.text));
    if (description) {
        conversation_add(&sample->conversation, CHAT_ASSISTANT, description);
        ask_about(&question, draws, PROMPT_RELATIONS, place);
        conversation_add(&sample->conversation, CHAT_USER, question.text);
    }
    conversation_add(&sample->conversation, CHAT_ASSISTANT, answer.text);
out:
    free(targets);
    free(list);
    free(wanted);
    text_release(&question);
    text_release(&answer);
    return status;
}

static enum status make_description(struct task_sample *sample, const struct record *record,
                                    const struct task_options *options, struct task_draws *draws)
{
    enum status status = OK;
    struct text_buffer question = {0};
    struct task_turn *turns;
    int64_t n = task_turns(&turns, record, "description", draws), n_kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (turns[i].text->region >= 0) turns[n_kept++] = turns[i];
    n = task_smaller(n_kept, task_smaller(options->max_turns, options->max_regions));
    if (n == 0) {
        task_skip(sample, "no description of a region");
        goto out;
    }
    for (int64_t i = 0; i < n; i++) task_add_region(sample, turns[i].text->region);
    for (int64_t i = 0; i < n; i++) {
        ask_about(&question, draws, PROMPT_DESCRIPTION, i);
        if (i == 0)
            TRY(task_ask_first(sample, record, options, draws, question.text));
        else
            conversation_add(&sample->conversation, CHAT_USER, question.text);
        conversation_add(&sample->conversation, CHAT_ASSISTANT, turns[i].turn->answer);
    }
out:
    free(turns);
    text_release(&question);
    return status;
}

/* True if this pair, in either direction, was asked before: the answer would give it away. */
static bool was_asked(const int64_t *asked, int64_t n, int64_t a, int64_t b)
{
    for (int64_t i = 0; i < n; i++)
        if ((asked[2 * i] == a && asked[2 * i + 1] == b) ||
            (asked[2 * i] == b && asked[2 * i + 1] == a))
            return true;
    return false;
}

/* "How is <mask><pos> related to <mask><pos>?" */
static enum status ask_pair(struct text_buffer *out, struct task_sample *sample,
                            const struct record *record, const struct record_relation *relation,
                            const struct task_options *options, struct task_draws *draws)
{
    enum status status = OK;
    struct text_buffer subject = {0}, object = {0};
    int64_t of_subject = record->objects[relation->subject].region;
    int64_t of_object = record->objects[relation->object].region;
    TRY(task_append_region(&subject, sample, record, of_subject, options));
    TRY(task_append_region(&object, sample, record, of_object, options));
    prompt_fill(out, task_draw_prompt(draws, PROMPT_PAIR), subject.text, object.text);
out:
    text_release(&subject);
    text_release(&object);
    return status;
}

static enum status make_relation_pair(struct task_sample *sample, const struct record *record,
                                      const struct task_options *options, struct task_draws *draws)
{
    enum status status = OK;
    struct text_buffer question = {0};
    int64_t limit = task_smaller(options->max_turns, options->max_regions / 2), n = 0;
    int64_t *asked = memory_new((size_t)(limit > 0 ? limit : 0) * 2 + 2, sizeof *asked);
    int64_t *order = task_order(draws, record->n_relations, false);
    for (int64_t i = 0; i < record->n_relations && n < limit; i++) {
        const struct record_relation *relation = &record->relations[order[i]];
        if (relation->subject == relation->object ||
            task_is_ignored(options, relation->predicate) ||
            was_asked(asked, n, relation->subject, relation->object))
            continue;
        text_clear(&question);
        text_append(&question, n == 0 ? "<image>\n" : "");
        TRY(ask_pair(&question, sample, record, relation, options, draws));
        conversation_add(&sample->conversation, CHAT_USER, question.text);
        conversation_add(&sample->conversation, CHAT_ASSISTANT, relation->predicate);
        asked[2 * n] = relation->subject;
        asked[2 * n++ + 1] = relation->object;
    }
    sample->uses_image = true;
    sample->n_dropped_relations = record->n_relations - n;
    if (n == 0) task_skip(sample, "no relation between two regions");
out:
    free(asked);
    free(order);
    text_release(&question);
    return status;
}

const struct task task_relation = {
    .name = "relation",
    .purpose = "description and relations of one subject among given regions",
    .max_regions = 99,
    .max_relations = 20,
    .make = make_relation,
};
const struct task task_description = {
    .name = "description",
    .purpose = "descriptions of given regions",
    .max_regions = 99,
    .max_turns = 10,
    .make = make_description,
};
const struct task task_relation_pair = {
    .name = "relation_pair",
    .purpose = "how two regions are related: a short answer to each pair, regions inline",
    .max_regions = 99,
    .max_turns = 10,
    .make = make_relation_pair,
};
