/* The step between pairs of regions inside a question and whole graphs: a few regions, listed anew
 * in every question, and the lines of a graph that say how they are related. With two regions a
 * number is looked up among two, near by; with as many as a picture has, as in its graph. */
#include <stdlib.h>

#include "corpus/task_parts.h"

static bool is_told(const struct record_relation *relation, const struct task_options *options)
{
    return relation->subject != relation->object && !task_is_ignored(options, relation->predicate);
}

/* True if order[0 .. i-1] holds a relation of the same two objects: its answer told this one. */
static bool pair_came_before(const struct record *record, const int64_t *order, int64_t i)
{
    const struct record_relation *a = &record->relations[order[i]];
    for (int64_t k = 0; k < i; k++) {
        const struct record_relation *b = &record->relations[order[k]];
        if ((a->subject == b->subject && a->object == b->object) ||
            (a->subject == b->object && a->object == b->subject))
            return true;
    }
    return false;
}

/* Both ends of a relation and n - 2 other objects, in any order. */
static void choose_objects(int64_t *list, int64_t n, const struct record *record,
                           const struct record_relation *relation, struct task_draws *draws)
{
    int64_t *others = task_order(draws, record->n_objects, false);
    int64_t *order = task_order(draws, n, false);
    int64_t n_listed = 0;
    list[order[n_listed++]] = relation->subject;
    list[order[n_listed++]] = relation->object;
    for (int64_t i = 0; n_listed < n; i++)
        if (others[i] != relation->subject && others[i] != relation->object)
            list[order[n_listed++]] = others[i];
    free(others);
    free(order);
}

static enum status append_list(struct text_buffer *out, struct task_sample *sample,
                               const struct record *record, const int64_t *list, int64_t n,
                               const struct task_options *options)
{
    enum status status = OK;
    for (int64_t i = 0; i < n; i++) {
        text_printf(out, "%sregion%lld ", i > 0 ? ", " : "", (long long)i + 1);
        TRY(task_append_region(out, sample, record, record->objects[list[i]].region, options));
    }
out:
    return status;
}

/* "region1: region2 holding, region3 behind", a line for each subject that has relations in the
 * list; `targets` has room for all relations of the record. */
static void append_lines(struct text_buffer *out, const struct record *record, const int64_t *list,
                         int64_t n, const struct task_options *options, struct task_target *targets)
{
    bool first_line = true;
    int64_t *place = memory_new((size_t)record->n_objects, sizeof *place);
    for (int64_t i = 0; i < record->n_objects; i++) place[i] = -1;
    for (int64_t i = 0; i < n; i++) place[list[i]] = i;
    for (int64_t i = 0; i < n; i++) {
        int64_t n_targets = 0;
        for (int64_t r = 0; r < record->n_relations; r++) {
            const struct record_relation *relation = &record->relations[r];
            if (relation->subject == list[i] && place[relation->object] >= 0 &&
                is_told(relation, options))
                targets[n_targets++] =
                    (struct task_target){.place = place[relation->object], .relation = r};
        }
        if (n_targets == 0) continue;
        task_sort_targets(targets, n_targets);
        text_printf(out, "%sregion%lld:", first_line ? "" : "\n", (long long)i + 1);
        for (int64_t t = 0; t < n_targets; t++)
            text_printf(out, "%s region%lld %s", t > 0 ? "," : "", (long long)targets[t].place + 1,
                        record->relations[targets[t].relation].predicate);
        first_line = false;
    }
    free(place);
}

static enum status make_relation_lines(struct task_sample *sample, const struct record *record,
                                       const struct task_options *options, struct task_draws *draws)
{
    enum status status = OK;
    struct text_buffer question = {0}, answer = {0};
    const int64_t most = task_smaller(options->max_regions, record->n_objects);
    int64_t *list = memory_new((size_t)record->n_objects + 1, sizeof *list);
    int64_t *order = task_order(draws, record->n_relations, false);
    struct task_target *targets = memory_new((size_t)record->n_relations + 1, sizeof *targets);
    int64_t n_turns = 0;
    for (int64_t i = 0; i < record->n_relations && n_turns < options->max_turns && most >= 2; i++) {
        const struct record_relation *relation = &record->relations[order[i]];
        if (!is_told(relation, options) || pair_came_before(record, order, i)) continue;
        const int64_t n = 2 + task_draw_access(draws, most - 1);
        choose_objects(list, n, record, relation, draws);
        text_clear(&question);
        text_clear(&answer);
        text_append(&question, n_turns == 0 ? "<image>\n" : "");
        TRY(append_list(&question, sample, record, list, n, options));
        append_lines(&answer, record, list, n, options, targets);
        conversation_add(&sample->conversation, CHAT_USER, question.text);
        conversation_add(&sample->conversation, CHAT_ASSISTANT, answer.text);
        n_turns++;
    }
    sample->uses_image = true;
    if (n_turns == 0) task_skip(sample, "no relation between two regions");
out:
    free(list);
    free(order);
    free(targets);
    text_release(&question);
    text_release(&answer);
    return status;
}

const struct task task_relation_lines = {
    .name = "relation_lines",
    .purpose = "two or more regions listed in each question, their relations as lines of a graph",
    .max_regions = 2,
    .max_turns = 10,
    .make = make_relation_lines,
};
