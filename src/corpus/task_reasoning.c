/* Questions answered by way of a scene graph: the objects that matter, their relations, the answer.
 * After the reference's GQA chain of thought, in its two forms. */
#include <stdlib.h>
#include <string.h>

#include "corpus/task_markup.h"
#include "corpus/task_parts.h"
#include "text/scene_graph.h"

enum reasoning { REASONING_GRAPH, REASONING_LITERAL, REASONING_NONE };

struct reasoner {
    const struct record *record;
    const struct task_options *options;
    enum reasoning kind;
    int64_t *place; /* [n_objects]: in the list of regions, -1: not in it */
    int64_t *used;  /* [n_objects]: questions so far that named it */
};

/* Objects of a question that are in the list, by place. Each once, unless compat.cot_relations. */
static int64_t relevant_objects(const struct reasoner *r, const struct record_turn *turn,
                                struct task_target *objects)
{
    int64_t n = 0;
    for (int64_t i = 0; i < turn->n_objects; i++) {
        const int64_t object = turn->objects[i];
        bool seen = r->place[object] < 0;
        const bool repeats = r->options->compat.cot_relations && r->kind == REASONING_LITERAL;
        for (int64_t k = 0; k < n && !seen && !repeats; k++) seen = objects[k].relation == object;
        if (!seen)
            objects[n++] = (struct task_target){.place = r->place[object], .relation = object};
    }
    task_sort_targets(objects, n);
    return n;
}

static bool is_relevant(const struct task_target *objects, int64_t n, int64_t object)
{
    for (int64_t i = 0; i < n; i++)
        if (objects[i].relation == object) return true;
    return false;
}

/* Relations of one object within the limits, by place. */
static int64_t relations_of(const struct reasoner *r, int64_t object,
                            const struct task_target *relevant, int64_t n_relevant,
                            struct task_target *targets)
{
    const struct record *record = r->record;
    int64_t n = 0;
    for (int64_t i = 0; i < record->n_relations; i++) {
        const struct record_relation *relation = &record->relations[i];
        if (relation->subject != object || r->place[relation->object] < 0 ||
            task_is_ignored(r->options, relation->predicate))
            continue;
        if (r->options->relevant_relations && !is_relevant(relevant, n_relevant, relation->object))
            continue;
        targets[n++] = (struct task_target){.place = r->place[relation->object], .relation = i};
    }
    task_sort_targets(targets, n);
    return task_smaller(n, r->options->max_relations);
}

static void write_targets(struct text_buffer *out, const struct record *record,
                          const struct task_target *targets, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        text_printf(out, "%sregion%lld %s", i > 0 ? ", " : "", (long long)targets[i].place + 1,
                    record->relations[targets[i].relation].predicate);
}

static void write_graph(struct text_buffer *out, const struct reasoner *r,
                        const struct task_target *objects, int64_t n, struct task_target *targets)
{
    const struct record *record = r->record;
    bool any = false;
    text_append(out, "Objects:\n");
    for (int64_t i = 0; i < n; i++) {
        const struct record_object *object = &record->objects[objects[i].relation];
        const int64_t n_shown = task_smaller(object->n_attributes, r->options->max_attributes);
        text_printf(out, "region%lld: %s", (long long)objects[i].place + 1, object->name);
        for (int64_t a = 0; a < n_shown; a++)
            text_printf(out, "%s%s", a == 0 ? " is " : ", ", object->attributes[a]);
        text_append_char(out, '\n');
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t object = objects[i].relation;
        if (r->options->compat.cot_relations && r->used[object] > 1) continue;
        const int64_t n_targets = relations_of(r, object, objects, n, targets);
        if (n_targets == 0) continue;
        text_printf(out, "%sregion%lld: ", any ? "" : "\nRelations:\n",
                    (long long)objects[i].place + 1);
        write_targets(out, record, targets, n_targets);
        text_append_char(out, '\n');
        any = true;
    }
}

static void write_dictionary(struct text_buffer *out, const struct reasoner *r,
                             const struct record_object *object, const struct task_target *targets,
                             int64_t n_targets)
{
    const int64_t n = task_smaller(object->n_attributes, r->options->max_attributes);
    text_append(out, "{'name': ");
    scene_graph_write_string(out, object->name);
    for (int64_t a = 0; a < n; a++) {
        text_append(out, a == 0 ? ", 'attributes': [" : ", ");
        scene_graph_write_string(out, object->attributes[a]);
    }
    text_append(out, n > 0 ? "]" : "");
    for (int64_t i = 0; i < n_targets; i++) {
        text_printf(out, "%s{'object': %lld, 'name': ", i == 0 ? ", 'relations': [" : ", ",
                    (long long)targets[i].place + 1);
        scene_graph_write_string(out, r->record->relations[targets[i].relation].predicate);
        text_append_char(out, '}');
    }
    text_append(out, n_targets > 0 ? "]}\n" : "}\n");
}

static void write_literal(struct text_buffer *out, const struct reasoner *r,
                          const struct record_turn *turn, const struct task_target *objects,
                          int64_t n, struct task_target *targets)
{
    for (int64_t i = 0; i < n; i++) {
        const int64_t object = objects[i].relation;
        int64_t uses = r->used[object]; /* before this entry, in compat */
        for (int64_t k = 0; k < turn->n_objects; k++) uses -= turn->objects[k] == object;
        for (int64_t k = 0; k < i; k++) uses += objects[k].relation == object;
        const bool lost = r->options->compat.cot_relations && uses > 0;
        const int64_t n_targets = lost ? 0 : relations_of(r, object, objects, n, targets);
        text_printf(out, "region%lld: ", (long long)objects[i].place + 1);
        write_dictionary(out, r, &r->record->objects[object], targets, n_targets);
    }
}

static void write_answer(struct text_buffer *out, const struct reasoner *r,
                         const struct record_turn *turn)
{
    struct task_target *objects = memory_new((size_t)turn->n_objects + 1, sizeof *objects);
    struct task_target *targets = memory_new((size_t)r->record->n_relations + 1, sizeof *targets);
    const int64_t n = relevant_objects(r, turn, objects);
    for (int64_t i = 0; i < turn->n_objects; i++) r->used[turn->objects[i]]++;
    if (r->kind == REASONING_GRAPH) write_graph(out, r, objects, n, targets);
    if (r->kind == REASONING_LITERAL) write_literal(out, r, turn, objects, n, targets);
    text_printf(out, "Answer: %s", turn->answer);
    free(objects);
    free(targets);
}

/* All regions as they stand; or, in the literal form, those of the objects, shuffled once. */
static void list_regions(struct reasoner *r, struct task_sample *sample, struct task_draws *draws)
{
    const struct record *record = r->record;
    const int64_t limit = r->options->max_regions;
    struct task_draws kept = {.pinned = true};
    int64_t *order = task_order(r->options->keep_order ? &kept : draws, record->n_objects, true);
    for (int64_t i = 0; i < record->n_objects; i++) r->place[i] = -1;
    if (r->kind == REASONING_LITERAL) {
        for (int64_t i = 0; i < record->n_objects && i < limit; i++) {
            task_add_region(sample, record->objects[order[i]].region);
            r->place[order[i]] = i;
        }
    } else {
        for (int64_t i = 0; i < record->n_regions && i < limit; i++) task_add_region(sample, i);
        for (int64_t i = 0; i < record->n_objects; i++)
            if (record->objects[i].region < limit) r->place[i] = record->objects[i].region;
    }
    free(order);
}

static enum status make_reasoning(struct task_sample *sample, const struct record *record,
                                  const struct task_options *options, struct task_draws *draws,
                                  enum reasoning kind)
{
    enum status status = OK;
    struct text_buffer question = {0}, answer = {0};
    struct task_turn *turns;
    struct reasoner r = {.record = record, .options = options, .kind = kind};
    int64_t n = task_turns(&turns, record, "vqa", TURNS_IN_ORDER, draws), n_asked = 0;
    r.place = memory_new((size_t)record->n_objects + 1, sizeof *r.place);
    r.used = memory_new((size_t)record->n_objects + 1, sizeof *r.used);
    list_regions(&r, sample, draws);
    for (int64_t i = 0; i < n && n_asked < options->max_turns; i++) {
        const char *asked = turns[i].turn->question;
        if (markup_holds(asked, "region") || markup_holds(asked, "point")) continue;
        const char *prompt = kind == REASONING_NONE
                                 ? PROMPT_SHORT_ANSWER
                                 : task_draw_prompt(draws, PROMPT_GRAPH_REASONING);
        text_clear(&question);
        text_clear(&answer);
        text_printf(&question, "%s%s%s", n_asked == 0 ? prompt : "", n_asked == 0 ? " " : "",
                    asked);
        write_answer(&answer, &r, turns[i].turn);
        TRY(task_ask(sample, record, options, draws, question.text));
        task_answer(sample, answer.text);
        n_asked++;
    }
    if (n_asked == 0)
        task_skip(sample, "no question");
    else if (record->n_objects == 0)
        task_skip(sample, "no objects");
out:
    free(turns);
    free(r.place);
    free(r.used);
    text_release(&question);
    text_release(&answer);
    return status;
}

static enum status make_graph_vqa(struct task_sample *sample, const struct record *record,
                                  const struct task_options *options, struct task_draws *draws)
{
    return make_reasoning(sample, record, options, draws, REASONING_GRAPH);
}

static enum status make_graph_literal(struct task_sample *sample, const struct record *record,
                                      const struct task_options *options, struct task_draws *draws)
{
    return make_reasoning(sample, record, options, draws, REASONING_LITERAL);
}

static enum status make_graph_answer(struct task_sample *sample, const struct record *record,
                                     const struct task_options *options, struct task_draws *draws)
{
    return make_reasoning(sample, record, options, draws, REASONING_NONE);
}

const struct task task_graph_vqa = {
    .name = "graph_vqa",
    .purpose = "questions answered by way of the scene graph of what matters",
    .max_regions = 99,
    .max_relations = 5,
    .max_attributes = 5,
    .max_turns = 10,
    .make = make_graph_vqa,
};
const struct task task_graph_literal_vqa = {
    .name = "graph_literal_vqa",
    .purpose = "the same, objects as Python prints them",
    .max_regions = 99,
    .max_relations = 5,
    .max_attributes = 5,
    .max_turns = 10,
    .make = make_graph_literal,
};
const struct task task_graph_answer = {
    .name = "graph_answer",
    .purpose = "the same questions among the same regions, answered without a graph",
    .max_regions = 99,
    .max_turns = 10,
    .make = make_graph_answer,
};
