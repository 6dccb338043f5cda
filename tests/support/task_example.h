/* A small record with three things, and what tasks say about it. For tests with cmocka. */
#ifndef ROBIN_TESTS_TASK_EXAMPLE_H
#define ROBIN_TESTS_TASK_EXAMPLE_H

#include "corpus/task.h"

extern const struct task_draws example_pinned;

#define BEGIN "<image>\nThis provides an overview of the picture.\n"
#define WHOLE BEGIN "There is region1 <mask><pos> for the entire image.\n"
#define LIST_3                                                                                     \
    BEGIN "There are 3 regions in the image: region1 <mask><pos>, region2 <mask><pos>, region3 "   \
          "<mask><pos>.\n"

/* A picture of 10 x 10: a tall man walking a dog, a blue sky. */
struct record example_record(void);
/* One more, in a region of its own beside the ones before; `attribute` may be NULL. */
void example_add_object(struct record *record, const char *name, const char *attribute);
void example_add_relation(struct record *record, int64_t subject, int64_t object,
                          const char *predicate);
void example_add_text(struct record *record, const char *task, int64_t region, const char *question,
                      const char *answer);

/* The task's conversation with pinned draws; fails the test where it is refused. */
struct task_sample example_make(const char *name, const struct record *record,
                                const struct task_options *options);
/* All its turns, one behind the other, "|" between them, are `want`. */
void example_says(const char *name, const struct record *record, const struct task_options *options,
                  const char *want);
/* The task refuses the record with a sentence that holds these words. */
void example_refused(const struct record *record, const char *name, const char *words);

#endif
