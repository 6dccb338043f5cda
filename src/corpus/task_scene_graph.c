/* Whole scene graphs: for regions that are given (sg, psg) and for regions that the model must find
 * (sg_detection). Each follows its dataset class of the reference in order, limits and sorting. */
#include <stdlib.h>
#include <string.h>

#include "corpus/task_parts.h"
#include "text/scene_graph.h"

/* Where the three differ. */
struct graph_rules {
    bool shuffle;         /* objects, once per sample */
    bool cut_before_sort; /* relations of a subject: cut to the limit, then sorted by object */
    bool unique;          /* the same (object, predicate) counts once */
    bool clean_names;     /* PSG's class names become words */
    bool detection;
    bool always_relations;
};

/* "floor-wood" -> "floor is wood", "sky-other-merged" -> "sky" */
static char *clean_name(const char *name)
{
    static const char *const endings[] = {"-merged", "-other", "-stuff"};
    char *text = text_copy(name);
    for (size_t i = 0; i < 3; i++) {
        size_t size = strlen(endings[i]);
        for (char *at; (at = strstr(text, endings[i]));)
            memmove(at, at + size, strlen(at + size) + 1);
    }
    struct text_buffer clean = {0};
    for (const char *c = text; *c; c++)
        text_append_bytes(&clean, *c == '-' ? " is " : c, *c == '-' ? 4 : 1);
    free(text);
    return text_take(&clean);
}

static void add_object(struct scene_graph *graph, const struct record *record, int64_t index,
                       int64_t max_attributes, bool clean)
{
    const struct record_object *from = &record->objects[index];
    char *name = clean ? clean_name(from->name) : text_copy(from->name);
    struct scene_object *object = scene_graph_add_object(graph, name);
    for (int64_t a = 0; a < task_smaller(from->n_attributes, max_attributes); a++)
        scene_object_add_attribute(object, from->attributes[a]);
    object->has_box = true;
    object->box = record->regions[from->region].box;
    free(name);
}

/* The relations of one subject that stay: sorted by object, within the limit. Returns how many. */
static int64_t choose_targets(struct task_target *targets, int64_t n, const struct record *record,
                              int64_t limit, const struct graph_rules *rules)
{
    if (rules->cut_before_sort) n = task_smaller(n, limit);
    task_sort_targets(targets, n);
    if (rules->unique) n = task_unique_targets(targets, n, record);
    return task_smaller(n, limit);
}

/* Relations in the order of annotation, subject by subject: targets [start[p], start[p + 1]) are
 * those of the subject at place p. Those that lead out of the graph are left out. */
static struct task_target *group_targets(int64_t *start, const struct record *record,
                                         const int64_t *place, int64_t n_places,
                                         const struct task_options *options)
{
    struct task_target *targets = memory_new((size_t)record->n_relations + 1, sizeof *targets);
    bool *kept = memory_new((size_t)record->n_relations + 1, sizeof *kept);
    for (int64_t r = 0; r < record->n_relations; r++) {
        const struct record_relation *relation = &record->relations[r];
        kept[r] = place[relation->subject] >= 0 && place[relation->object] >= 0 &&
                  !task_is_ignored(options, relation->predicate);
        if (kept[r]) start[place[relation->subject] + 2]++;
    }
    for (int64_t p = 2; p < n_places + 2; p++) start[p] += start[p - 1];
    for (int64_t r = 0; r < record->n_relations; r++) {
        const struct record_relation *relation = &record->relations[r];
        if (!kept[r]) continue;
        int64_t at = start[place[relation->subject] + 1]++;
        targets[at] = (struct task_target){.place = place[relation->object], .relation = r};
    }
    free(kept);
    return targets;
}

/* The graph of the objects in `order`, n of them. */
static void build_graph(struct scene_graph *graph, const struct record *record,
                        const int64_t *order, int64_t n, const struct task_options *options,
                        const struct graph_rules *rules)
{
    int64_t *place = memory_new((size_t)record->n_objects + 1, sizeof *place);
    int64_t *start = memory_new((size_t)n + 2, sizeof *start);
    for (int64_t i = 0; i < record->n_objects; i++) place[i] = -1;
    for (int64_t i = 0; i < n; i++) {
        place[order[i]] = i;
        add_object(graph, record, order[i], options->max_attributes, rules->clean_names);
    }
    struct task_target *targets = group_targets(start, record, place, n, options);
    for (int64_t i = 0; i < n; i++) {
        struct task_target *own = targets + start[i];
        int64_t n_own =
            choose_targets(own, start[i + 1] - start[i], record, options->max_relations, rules);
        for (int64_t k = 0; k < n_own; k++)
            scene_graph_add_relation(graph, i, own[k].place,
                                     record->relations[own[k].relation].predicate);
    }
    free(targets);
    free(start);
    free(place);
}

/* By x1, then y1, x2, y2; equals stay in order. */
static bool stands_before(const struct record *record, int64_t a, int64_t b)
{
    const struct box p = record->regions[record->objects[a].region].box;
    const struct box q = record->regions[record->objects[b].region].box;
    if (p.x1 != q.x1) return p.x1 < q.x1;
    if (p.y1 != q.y1) return p.y1 < q.y1;
    if (p.x2 != q.x2) return p.x2 < q.x2;
    return p.y2 < q.y2;
}

static void sort_by_box(int64_t *order, int64_t n, const struct record *record)
{
    for (int64_t i = 1; i < n; i++) {
        const int64_t moved = order[i];
        int64_t at = i;
        for (; at > 0 && stands_before(record, moved, order[at - 1]); at--)
            order[at] = order[at - 1];
        order[at] = moved;
    }
}

enum status task_write_graph(struct text_buffer *out, const struct record *record,
                             const struct task_options *options)
{
    enum status status = OK;
    static const struct graph_rules rules = {.unique = true};
    struct scene_graph graph = {0};
    struct task_draws kept = {.pinned = true};
    int64_t *order = task_order(&kept, record->n_objects, true);
    build_graph(&graph, record, order, task_smaller(record->n_objects, options->max_regions),
                options, &rules);
    const struct scene_graph_format format = {.mode = SCENE_GRAPH_BLOCKS,
                                              .detection = options->box_text,
                                              .width = record->width,
                                              .height = record->height,
                                              .box_format = options->box_format};
    TRY(scene_graph_write(out, &graph, &format));
out:
    free(order);
    scene_graph_release(&graph);
    return status;
}

/* Objects in the order that the conversation has them; returns how many. */
static int64_t order_objects(int64_t **order_out, const struct record *record,
                             const struct task_options *options, struct task_draws *draws,
                             const struct graph_rules *rules)
{
    const int64_t n = record->n_objects;
    struct task_draws kept = {.pinned = true};
    const bool shuffle = rules->shuffle && !options->keep_order;
    int64_t *order = task_order(shuffle ? draws : &kept, n, true);
    int64_t n_kept = n;
    if (options->region_order != REGION_ORDER_NONE && !rules->detection) {
        double *areas = memory_new((size_t)n + 1, sizeof *areas);
        int64_t *augmented = memory_new((size_t)n + 1, sizeof *augmented);
        int64_t *shuffled = task_order(draws, n, false);
        const double share = options->min_region_keep > 0 ? options->min_region_keep : 0.7;
        const int64_t fewest = region_order_fewest(n, share);
        for (int64_t i = 0; i < n; i++) {
            const struct box b = record->regions[record->objects[order[i]].region].box;
            areas[i] = (b.x2 - b.x1) * (b.y2 - b.y1);
        }
        n_kept = region_order(augmented, options->region_order, areas, n, shuffled,
                              fewest + task_draw_access(draws, n - fewest + 1));
        for (int64_t i = 0; i < n; i++) augmented[i] = order[augmented[i]];
        free(order);
        free(areas);
        free(shuffled);
        order = augmented;
    }
    if (options->sort_by_box && rules->detection) sort_by_box(order, n, record);
    *order_out = order;
    return task_smaller(n_kept, options->max_regions);
}

static enum status make_graph(struct task_sample *sample, const struct record *record,
                              const struct task_options *options, struct task_draws *draws,
                              const struct graph_rules *rules)
{
    enum status status = OK;
    struct scene_graph graph = {0};
    struct text_buffer answer = {0}, question = {0};
    int64_t *order = NULL;
    if (record->n_objects == 0) {
        task_skip(sample, "no objects");
        goto out;
    }
    const int64_t n = order_objects(&order, record, options, draws, rules);
    build_graph(&graph, record, order, n, options, rules);
    sample->n_dropped_relations = record->n_relations - graph.n_relations;
    struct scene_graph_format format = {
        .mode = (enum scene_graph_mode)options->sg_mode,
        .detection = rules->detection,
        .always_relations = rules->always_relations,
        .width = record->width,
        .height = record->height,
        .box_format = options->box_format,
    };
    TRY(scene_graph_write(&answer, &graph, &format));
    for (int64_t i = 0; i < n && !rules->detection; i++)
        task_add_region(sample, record->objects[order[i]].region);
    enum prompt_kind kind = rules->detection ? PROMPT_SCENE_GRAPH_DETECTION : PROMPT_SCENE_GRAPH;
    if (rules->detection && options->question_prefix != NULL)
        text_append(&question, options->question_prefix);
    text_append(&question, task_draw_prompt(draws, kind));
    TRY(task_ask_first(sample, record, options, draws, question.text));
    conversation_add(&sample->conversation, CHAT_ASSISTANT, text_of(&answer));
out:
    free(order);
    text_release(&answer);
    text_release(&question);
    scene_graph_release(&graph);
    return status;
}

static enum status make_sg(struct task_sample *sample, const struct record *record,
                           const struct task_options *options, struct task_draws *draws)
{
    static const struct graph_rules rules = {.shuffle = true};
    enum status status = OK;
    if (options->sg_mode < 1 || options->sg_mode > 3)
        FAIL(ERR_ARGUMENT, "sg_mode is %d; the task sg has 1, 2 and 3", options->sg_mode);
    TRY(make_graph(sample, record, options, draws, &rules));
out:
    return status;
}

static enum status make_psg(struct task_sample *sample, const struct record *record,
                            const struct task_options *options, struct task_draws *draws)
{
    static const struct graph_rules rules = {
        .cut_before_sort = true, .clean_names = true, .always_relations = true};
    struct task_options blocks = *options;
    blocks.sg_mode = SCENE_GRAPH_BLOCKS;
    return make_graph(sample, record, &blocks, draws, &rules);
}

static enum status make_sg_detection(struct task_sample *sample, const struct record *record,
                                     const struct task_options *options, struct task_draws *draws)
{
    static const struct graph_rules rules = {.unique = true, .detection = true};
    return make_graph(sample, record, options, draws, &rules);
}

const struct task task_sg = {
    .name = "sg",
    .purpose = "the scene graph of all given regions",
    .max_regions = 99,
    .max_relations = 5,
    .max_attributes = 5,
    .make = make_sg,
};
const struct task task_psg = {
    .name = "psg",
    .purpose = "the scene graph of panoptic segments, class names turned into words",
    .max_regions = 99,
    .max_relations = 5,
    .max_attributes = 5,
    .make = make_psg,
};
const struct task task_sg_detection = {
    .name = "sg_detection",
    .purpose = "the scene graph with boxes, found in the whole picture",
    .max_regions = 50,
    .max_relations = 10,
    .max_attributes = 5,
    .make = make_sg_detection,
};
