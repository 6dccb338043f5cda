/* The list of regions that a conversation about subjects shows: the reference's four setups. */
#ifndef ROBIN_CORPUS_TASK_SETUP_H
#define ROBIN_CORPUS_TASK_SETUP_H

#include <stdbool.h>
#include <stdint.h>

#include "corpus/task.h"

struct setup_entry {
    int64_t object; /* -1: a region that no object covers */
    int64_t region;
    bool needed; /* stays in preference to others */
};
struct region_setup_list { /* zeroed is empty; release frees */
    struct setup_entry *entries;
    int64_t n;
};
void setup_release(struct region_setup_list *list);

/* Places of an object or region in the list; -1: it is not there. */
int64_t setup_place_of_object(const struct region_setup_list *list, int64_t object);
int64_t setup_place_of_region(const struct region_setup_list *list, int64_t region);

/* Adds what is not there yet. */
void setup_add_object(struct region_setup_list *list, const struct record *record, int64_t object);
void setup_add_region(struct region_setup_list *list, int64_t region);
/* The objects that a subject mentions, itself first: as its "description" text has them, and unless
 * compat.mentioned_only those of its relations. */
void setup_add_mentions(struct region_setup_list *list, const struct record *record,
                        int64_t subject, const struct task_options *options);

/* The setup that counts: the one asked for, the objects in evaluation, one drawn once per sample of
 * the four or, without a subject, of the last two. */
enum region_setup setup_choose(const struct task_options *options, struct task_draws *draws,
                               bool has_subject);

/* On top of what the list holds: what `setup` adds. */
void setup_fill(struct region_setup_list *list, enum region_setup setup,
                const struct record *record, const struct task_options *options);

/* Shuffles once per sample, unless the order is to be kept, and cuts to max_regions, those first
 * that are not needed. Adds the regions to the sample. */
void setup_list(struct region_setup_list *list, struct task_sample *sample,
                const struct task_options *options, struct task_draws *draws);

#endif
