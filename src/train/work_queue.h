/* Threads that work through a queue of jobs, first come first served, while the caller does other
 * things. Jobs belong to groups; a group can be waited for and carries the error of its first
 * failing job, first by the job's number so that the sentence does not depend on timing. */
#ifndef ROBIN_TRAIN_WORK_QUEUE_H
#define ROBIN_TRAIN_WORK_QUEUE_H

#include <stdint.h>

#include "base/status.h"

struct work_queue;
struct work_group;

typedef enum status work_function(void *context, int64_t job);

enum status work_queue_create(struct work_queue **queue_out, int n_threads);
/* Jobs not begun are dropped; those begun are waited for. Before the groups are destroyed. */
void work_queue_destroy(struct work_queue *queue);

struct work_group *work_group_create(void);
/* Nothing of it may be queued or running. */
void work_group_destroy(struct work_group *group);

/* Queues work(context, first) .. work(context, first + n - 1). May be called from a job. */
void work_queue_add(struct work_queue *queue, struct work_group *group, work_function *work,
                    void *context, int64_t first, int64_t n);

/* Until all jobs of the group are done; OK or its error, the sentence handed to this thread. */
enum status work_queue_wait(struct work_queue *queue, struct work_group *group);

#endif
