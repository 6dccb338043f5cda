/* The table of tasks, and what is checked before any of them sees a record. */
#include "corpus/task.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "corpus/record_text.h"
#include "corpus/task_parts.h"

static const struct task *const tasks[] = {
    &task_sg,
    &task_psg,
    &task_sg_detection,
    &task_relation,
    &task_relation_kind,
    &task_relation_pair,
    &task_relation_lines,
    &task_description,
    &task_summary,
    &task_region_label,
    &task_coco,
    &task_part_imagenet,
    &task_pascal_part,
    &task_paco,
    &task_refcoco,
    &task_refcoco_plus,
    &task_region_attribute,
    &task_region_caption,
    &task_detailed_description,
    &task_refexp,
    &task_refexp_reverse,
    &task_vqa,
    &task_box_vqa,
    &task_point_vqa,
    &task_choice,
    &task_region_choice,
    &task_vcr,
    &task_vcr_choice,
    &task_statement,
    &task_graph_vqa,
    &task_graph_literal_vqa,
    &task_graph_answer,
    &task_grounded_vqa,
    &task_grounded_caption,
    &task_conversation,
    &task_region_dialogue,
    &task_inline_dialogue,
    &task_llava,
    &task_llava_one_vision,
    &task_caption,
    &task_plain_caption,
    &task_blind_vqa,
    &task_blind_choice,
    &task_blind_question,
};
#define N_TASKS (sizeof tasks / sizeof tasks[0])

const struct task *const *task_list(int64_t *n_out)
{
    *n_out = N_TASKS;
    return tasks;
}

const struct task *task_find(const char *name)
{
    for (size_t i = 0; i < N_TASKS; i++)
        if (strcmp(tasks[i]->name, name) == 0) return tasks[i];
    return NULL;
}

struct task_options task_options_default(void)
{
    return (struct task_options){.max_regions = TASK_DEFAULT,
                                 .max_relations = TASK_DEFAULT,
                                 .max_attributes = TASK_DEFAULT,
                                 .max_turns = TASK_DEFAULT,
                                 .sg_mode = 2};
}

void task_sample_release(struct task_sample *sample)
{
    conversation_release(&sample->conversation);
    free(sample->regions);
    *sample = (struct task_sample){0};
}

/* Indices that tasks follow without looking. */
static enum status check_indices(const struct record *record)
{
    enum status status = OK;
    for (int64_t i = 0; i < record->n_objects; i++)
        if (record->objects[i].region < 0 || record->objects[i].region >= record->n_regions)
            FAIL(ERR_FORMAT,
                 "record %s: objects[%" PRId64 "].region is %" PRId64 ", but it has %" PRId64
                 " regions",
                 record->id, i, record->objects[i].region, record->n_regions);
    for (int64_t i = 0; i < record->n_relations; i++) {
        const struct record_relation *r = &record->relations[i];
        if (r->subject < 0 || r->subject >= record->n_objects || r->object < 0 ||
            r->object >= record->n_objects)
            FAIL(ERR_FORMAT,
                 "record %s: relations[%" PRId64 "] is between objects %" PRId64 " and %" PRId64
                 ", but it has %" PRId64 " objects",
                 record->id, i, r->subject, r->object, record->n_objects);
    }
    for (int64_t i = 0; i < record->n_texts; i++)
        if (record->texts[i].region < -1 || record->texts[i].region >= record->n_regions)
            FAIL(ERR_FORMAT,
                 "record %s: texts[%" PRId64 "].region is %" PRId64 ", but it has %" PRId64
                 " regions",
                 record->id, i, record->texts[i].region, record->n_regions);
out:
    return status;
}

static int64_t own(int64_t value, int64_t default_value)
{
    return value == TASK_DEFAULT ? default_value : value;
}

enum status task_make(struct task_sample *sample_out, const struct record *record,
                      const struct task *task, const struct task_options *options,
                      struct task_draws draws)
{
    enum status status = OK;
    struct task_options resolved = *options;
    *sample_out = (struct task_sample){0};
    resolved.max_regions = own(options->max_regions, task->max_regions);
    resolved.max_relations = own(options->max_relations, task->max_relations);
    resolved.max_attributes = own(options->max_attributes, task->max_attributes);
    resolved.max_turns = own(options->max_turns, task->max_turns);
    if (task->max_regions > 0 && resolved.max_regions < 1)
        FAIL(ERR_ARGUMENT, "task %s: max_regions is %" PRId64 "; it must be at least 1", task->name,
             resolved.max_regions);
    if (options->fresh_draws) draws.fixed = random_substream(draws.access, 1);
    TRY(check_indices(record));
    TRY(record_check_plain_text(record, NULL));
    TRY_WHERE(task->make(sample_out, record, &resolved, &draws), "record %s, task %s", record->id,
              task->name);
out:
    if (status != OK) task_sample_release(sample_out);
    return status;
}
