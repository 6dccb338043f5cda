/* Relations by subject (the reference's per-object sample), descriptions, and pairs of regions as
 * short answers. */
#include <stdlib.h>
#include <string.h>

#include "corpus/task_markup.h"
#include "corpus/task_parts.h"
#include "corpus/task_setup.h"

static const struct {
    const char *name;
    enum prompt_kind prompt;
} kinds[] = {
    {"spatial", PROMPT_KIND_SPATIAL},       {"interactional", PROMPT_KIND_INTERACTIONAL},
    {"functional", PROMPT_KIND_FUNCTIONAL}, {"social", PROMPT_KIND_SOCIAL},
    {"emotional", PROMPT_KIND_EMOTIONAL},
};
#define N_KINDS (int)(sizeof kinds / sizeof kinds[0])

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

/* The subjects that have relations take turns from one access to the next, beginning anywhere;
 * -1: there is none. */
static int64_t choose_subject(const struct record *record, const struct task_options *options,
                              struct task_draws *draws)
{
    bool *has = memory_new((size_t)record->n_objects + 1, sizeof *has);
    int64_t *subjects = memory_new((size_t)record->n_objects + 1, sizeof *subjects);
    int64_t n = 0, subject = -1;
    for (int64_t r = 0; r < record->n_relations; r++) {
        const struct record_relation *relation = &record->relations[r];
        if (has[relation->subject] || task_is_ignored(options, relation->predicate)) continue;
        has[relation->subject] = true;
        subjects[n++] = relation->subject;
    }
    if (n > 0) {
        const uint64_t first = (uint64_t)task_draw_fixed(draws, n);
        subject = subjects[(first + draws->epoch) % (uint64_t)n];
    }
    free(has);
    free(subjects);
    return subject;
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

static const char *description_of(const struct record *record, int64_t subject)
{
    for (int64_t i = 0; i < record->n_texts; i++) {
        const struct record_text *text = &record->texts[i];
        if (strcmp(text->task, "description") != 0 || text->turns[0].answer[0] == '\0') continue;
        const struct record_turn *turn = &text->turns[0];
        if (turn->n_objects > 0 ? turn->objects[0] == subject
                                : text->region == record->objects[subject].region)
            return turn->answer;
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
static int64_t place_targets(struct task_target *targets, int64_t n,
                             const struct region_setup_list *list)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        targets[kept] = targets[i];
        targets[kept].place = setup_place_of_object(list, targets[i].place);
        kept += targets[kept].place >= 0;
    }
    return kept;
}

/* One subject of a record: its relations of the kinds asked for, and the list that they are in. */
struct subject {
    int64_t object, place;
    struct region_setup_list list;
    struct task_target *targets; /* by place in the list */
    int64_t n_targets, n_all;
};

static void subject_release(struct subject *subject)
{
    free(subject->targets);
    setup_release(&subject->list);
}

/* Relations of one kind alone; NULL: of all. */
static int64_t keep_kind(struct task_target *targets, int64_t n, const struct record *record,
                         const char *kind)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (kind == NULL || strcmp(record->relations[targets[i].relation].kind, kind) == 0)
            targets[kept++] = targets[i];
    return kept;
}

static void subject_list(struct subject *subject, struct task_sample *sample,
                         const struct record *record, const struct task_options *options,
                         struct task_draws *draws)
{
    struct region_setup_list *list = &subject->list;
    const enum region_setup setup = setup_choose(options, draws, true);
    if (setup == REGION_SETUP_SUBJECT)
        setup_add_mentions(list, record, subject->object, options);
    else
        setup_fill(list, setup, record, options);
    setup_add_object(list, record, subject->object);
    for (int64_t i = -1; i < subject->n_all; i++) {
        const int64_t object = i < 0 ? subject->object : subject->targets[i].place;
        const int64_t place = setup_place_of_object(list, object);
        if (place >= 0) list->entries[place].needed = true;
    }
    setup_list(list, sample, options, draws);
}

/* Fills what is said about a subject that has relations (`kind`: of this kind alone); NULL, or why
 * there is nothing to say. */
static const char *subject_make(struct subject *subject, struct task_sample *sample,
                                const struct record *record, const struct task_options *options,
                                struct task_draws *draws, const char *kind)
{
    subject->targets = memory_new((size_t)record->n_relations + 1, sizeof *subject->targets);
    const int64_t n = relations_of(subject->targets, record, subject->object, options);
    subject->n_all = keep_kind(subject->targets, n, record, kind);
    subject_list(subject, sample, record, options, draws);
    subject->place = setup_place_of_object(&subject->list, subject->object);
    subject->n_targets = place_targets(subject->targets, subject->n_all, &subject->list);
    if (options->compat.mentioned_only && subject->n_targets < subject->n_all)
        return "a relation to an object that its subject does not mention";
    if (subject->place < 0 || subject->n_targets == 0) return "no relation within the limits";
    return NULL;
}

static enum status make_relation(struct task_sample *sample, const struct record *record,
                                 const struct task_options *options, struct task_draws *draws)
{
    enum status status = OK;
    struct text_buffer question = {0}, answer = {0};
    struct subject subject = {.object = choose_subject(record, options, draws)};
    const char *nothing = "no relations";
    if (subject.object >= 0) nothing = subject_make(&subject, sample, record, options, draws, NULL);
    if (nothing != NULL) {
        task_skip(sample, nothing);
        goto out;
    }
    const int64_t n = write_relations(&answer, subject.targets, subject.n_targets, record,
                                      options->max_relations);
    sample->n_dropped_relations = subject.n_all - n;
    const char *description =
        options->no_description ? NULL : description_of(record, subject.object);
    if (description != NULL) {
        ask_about(&question, draws, PROMPT_DESCRIPTION, subject.place);
        TRY(task_ask(sample, record, options, draws, question.text));
        task_answer(sample, description);
    }
    ask_about(&question, draws, PROMPT_RELATIONS, subject.place);
    TRY(task_ask(sample, record, options, draws, question.text));
    task_answer(sample, answer.text);
out:
    subject_release(&subject);
    text_release(&question);
    text_release(&answer);
    return status;
}

/* The kinds that a subject has relations of, one of them drawn; -1: it has relations of none. */
static int draw_kind(const struct record *record, int64_t subject,
                     const struct task_options *options, struct task_draws *draws)
{
    int present[N_KINDS], n = 0;
    for (int k = 0; k < N_KINDS; k++) {
        bool found = false;
        for (int64_t r = 0; r < record->n_relations && !found; r++)
            found = record->relations[r].subject == subject &&
                    strcmp(record->relations[r].kind, kinds[k].name) == 0 &&
                    !task_is_ignored(options, record->relations[r].predicate);
        if (found) present[n++] = k;
    }
    return n == 0 ? -1 : present[task_draw_fixed(draws, n)];
}

static enum status make_relation_kind(struct task_sample *sample, const struct record *record,
                                      const struct task_options *options, struct task_draws *draws)
{
    enum status status = OK;
    struct text_buffer question = {0}, answer = {0};
    struct subject subject = {.object = choose_subject(record, options, draws)};
    const int kind = subject.object < 0 ? -1 : draw_kind(record, subject.object, options, draws);
    const char *nothing = "no relation of a known kind";
    if (kind >= 0)
        nothing = subject_make(&subject, sample, record, options, draws, kinds[kind].name);
    if (nothing != NULL) {
        task_skip(sample, nothing);
        goto out;
    }
    const int64_t n = write_relations(&answer, subject.targets, subject.n_targets, record,
                                      options->max_relations);
    sample->n_dropped_relations = subject.n_all - n;
    ask_about(&question, draws, kinds[kind].prompt, subject.place);
    TRY(task_ask(sample, record, options, draws, question.text));
    task_answer(sample, answer.text);
out:
    subject_release(&subject);
    text_release(&question);
    text_release(&answer);
    return status;
}

static enum status make_description(struct task_sample *sample, const struct record *record,
                                    const struct task_options *options, struct task_draws *draws)
{
    enum status status = OK;
    struct text_buffer question = {0};
    struct region_setup_list list = {0};
    struct task_turn *turns;
    int64_t n = task_turns(&turns, record, "description", TURNS_IN_ORDER, draws), n_kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (turns[i].text->region >= 0 && turns[i].turn->answer[0] != '\0')
            turns[n_kept++] = turns[i];
    n = task_smaller(n_kept, task_smaller(options->max_turns, options->max_regions));
    if (n == 0) {
        task_skip(sample, "no description of a region");
        goto out;
    }
    enum region_setup setup = options->region_setup;
    if (setup == REGION_SETUP_DRAWN)
        setup = options->keep_order ? REGION_SETUP_SUBJECT : setup_choose(options, draws, true);
    for (int64_t i = 0; i < n; i++) {
        if (turns[i].turn->n_objects > 0)
            setup_add_object(&list, record, turns[i].turn->objects[0]);
        else
            setup_add_region(&list, turns[i].text->region);
    }
    for (int64_t i = 0; i < list.n; i++) list.entries[i].needed = true;
    setup_fill(&list, setup, record, options);
    setup_list(&list, sample, options, draws);
    for (int64_t i = 0; i < n; i++) {
        const int64_t place = setup_place_of_region(&list, turns[i].text->region);
        ask_about(&question, draws, PROMPT_DESCRIPTION, place);
        TRY(task_ask(sample, record, options, draws, question.text));
        task_answer(sample, turns[i].turn->answer);
    }
out:
    free(turns);
    setup_release(&list);
    text_release(&question);
    return status;
}

static enum status make_summary(struct task_sample *sample, const struct record *record,
                                const struct task_options *options, struct task_draws *draws)
{
    enum status status = OK;
    struct text_buffer answer = {0};
    struct region_setup_list list = {0};
    struct task_options kept = *options;
    struct task_turn *turns;
    if (task_turns(&turns, record, "summary", TURNS_IN_ORDER, draws) == 0) {
        task_skip(sample, "no summary");
        goto out;
    }
    kept.keep_order = true; /* the release does not shuffle here */
    setup_fill(&list, setup_choose(options, draws, false), record, options);
    setup_list(&list, sample, &kept, draws);
    TRY(markup_write(&answer, turns[0].turn->answer, MARKUP_NUMBERS, sample, record, options));
    TRY(task_ask(sample, record, options, draws, task_draw_prompt(draws, PROMPT_SUMMARY)));
    task_answer(sample, text_of(&answer));
out:
    free(turns);
    setup_release(&list);
    text_release(&answer);
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
const struct task task_relation_kind = {
    .name = "relation_kind",
    .purpose = "relations of one kind (spatial, social, ...) of one subject",
    .max_regions = 99,
    .max_relations = 20,
    .make = make_relation_kind,
};
const struct task task_summary = {
    .name = "summary",
    .purpose = "the picture in words, phrases with the regions they mean",
    .max_regions = 99,
    .make = make_summary,
};
const struct task task_description = {
    .name = "description",
    .purpose = "descriptions of given regions",
    .max_regions = 99,
    .max_turns = 99,
    .make = make_description,
};
const struct task task_relation_pair = {
    .name = "relation_pair",
    .purpose = "how two regions are related: a short answer to each pair, regions inline",
    .max_regions = 99,
    .max_turns = 10,
    .make = make_relation_pair,
};
