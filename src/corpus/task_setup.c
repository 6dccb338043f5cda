/* See task_setup.h. */
#include "corpus/task_setup.h"

#include <stdlib.h>
#include <string.h>

#include "corpus/task_parts.h"

void setup_release(struct region_setup_list *list)
{
    free(list->entries);
    *list = (struct region_setup_list){0};
}

int64_t setup_place_of_object(const struct region_setup_list *list, int64_t object)
{
    for (int64_t i = 0; i < list->n; i++)
        if (list->entries[i].object == object) return i;
    return -1;
}

int64_t setup_place_of_region(const struct region_setup_list *list, int64_t region)
{
    for (int64_t i = 0; i < list->n; i++)
        if (list->entries[i].region == region) return i;
    return -1;
}

static void add(struct region_setup_list *list, int64_t object, int64_t region)
{
    list->entries = memory_resize(list->entries, (size_t)list->n + 1, sizeof *list->entries);
    list->entries[list->n++] = (struct setup_entry){.object = object, .region = region};
}

void setup_add_object(struct region_setup_list *list, const struct record *record, int64_t object)
{
    if (setup_place_of_object(list, object) < 0) add(list, object, record->objects[object].region);
}

void setup_add_region(struct region_setup_list *list, int64_t region)
{
    if (setup_place_of_region(list, region) < 0) add(list, -1, region);
}

static void add_described(struct region_setup_list *list, const struct record *record,
                          int64_t subject)
{
    for (int64_t i = 0; i < record->n_texts; i++) {
        const struct record_text *text = &record->texts[i];
        if (strcmp(text->task, "description") != 0 || text->turns[0].n_objects == 0 ||
            text->turns[0].objects[0] != subject)
            continue;
        for (int64_t k = 0; k < text->turns[0].n_objects; k++)
            setup_add_object(list, record, text->turns[0].objects[k]);
    }
}

void setup_add_mentions(struct region_setup_list *list, const struct record *record,
                        int64_t subject, const struct task_options *options)
{
    const int64_t before = list->n;
    add_described(list, record, subject);
    if (options->compat.mentioned_only && list->n > before) return;
    setup_add_object(list, record, subject);
    for (int64_t r = 0; r < record->n_relations; r++) {
        const struct record_relation *relation = &record->relations[r];
        if (relation->subject == subject && !task_is_ignored(options, relation->predicate))
            setup_add_object(list, record, relation->object);
    }
}

enum region_setup setup_choose(const struct task_options *options, struct task_draws *draws,
                               bool has_subject)
{
    if (options->region_setup != REGION_SETUP_DRAWN) return options->region_setup;
    if (options->keep_order) return REGION_SETUP_OBJECTS;
    if (has_subject)
        return (enum region_setup)(REGION_SETUP_SUBJECT + (int)task_draw_fixed(draws, 4));
    return (enum region_setup)(REGION_SETUP_OBJECTS + (int)task_draw_fixed(draws, 2));
}

static void add_all_mentioned(struct region_setup_list *list, const struct record *record,
                              const struct task_options *options)
{
    bool *done = memory_new((size_t)record->n_objects + 1, sizeof *done);
    for (int64_t i = 0; i < record->n_texts; i++) {
        const struct record_text *text = &record->texts[i];
        if (strcmp(text->task, "description") != 0 || text->turns[0].n_objects == 0) continue;
        setup_add_mentions(list, record, text->turns[0].objects[0], options);
        done[text->turns[0].objects[0]] = true;
    }
    for (int64_t r = 0; r < record->n_relations; r++) {
        const int64_t subject = record->relations[r].subject;
        if (!done[subject]) setup_add_mentions(list, record, subject, options);
        done[subject] = true;
    }
    free(done);
}

void setup_fill(struct region_setup_list *list, enum region_setup setup,
                const struct record *record, const struct task_options *options)
{
    if (setup == REGION_SETUP_MENTIONED) add_all_mentioned(list, record, options);
    if (setup >= REGION_SETUP_OBJECTS)
        for (int64_t i = 0; i < record->n_objects; i++) setup_add_object(list, record, i);
    if (setup == REGION_SETUP_PROPOSALS)
        for (int64_t i = 0; i < record->n_regions; i++) setup_add_region(list, i);
}

void setup_list(struct region_setup_list *list, struct task_sample *sample,
                const struct task_options *options, struct task_draws *draws)
{
    struct task_draws kept = {.pinned = true};
    int64_t *order = task_order(options->keep_order ? &kept : draws, list->n, true);
    struct setup_entry *entries = memory_new((size_t)list->n + 1, sizeof *entries);
    int64_t n_needed = 0, n = 0;
    for (int64_t i = 0; i < list->n; i++) n_needed += list->entries[i].needed;
    const int64_t room = task_smaller(options->max_regions, list->n);
    int64_t room_needed = task_smaller(n_needed, room), room_others = room - room_needed;
    for (int64_t i = 0; i < list->n; i++) {
        const struct setup_entry entry = list->entries[order[i]];
        int64_t *left = entry.needed ? &room_needed : &room_others;
        if (*left == 0) continue;
        (*left)--;
        entries[n++] = entry;
    }
    free(order);
    free(list->entries);
    list->entries = entries;
    list->n = n;
    for (int64_t i = 0; i < n; i++) task_add_region(sample, entries[i].region);
}
