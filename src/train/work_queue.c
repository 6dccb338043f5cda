/* The queue: a list of spans of jobs under one mutex. Jobs are long (decoding a picture), so the
 * mutex is never the bottleneck. */
#include "train/work_queue.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"

struct span {
    struct span *next;
    struct work_group *group;
    work_function *work;
    void *context;
    int64_t at, end;
};

struct work_group {
    int64_t pending; /* queued or running */
    enum status status;
    int64_t failed_job;
    char *sentence;
};

struct work_queue {
    pthread_t *threads;
    int n_threads;
    pthread_mutex_t mutex; /* of all below, and of every group */
    pthread_cond_t work_arrived, group_done;
    struct span *head, **tail;
    bool stopping;
};

/* Mutex held. */
static void record_failure(struct work_group *group, enum status status, int64_t job)
{
    if (group->status != OK && group->failed_job <= job) return;
    free(group->sentence);
    group->status = status;
    group->failed_job = job;
    group->sentence = text_copy(status_message());
}

/* Takes one job off the queue; the span is freed with its last one. Mutex held. */
static struct span take_job(struct work_queue *queue)
{
    struct span *head = queue->head;
    struct span job = *head;
    if (++head->at == head->end) {
        queue->head = head->next;
        if (queue->head == NULL) queue->tail = &queue->head;
        free(head);
    }
    return job;
}

static void *run_jobs(void *argument)
{
    struct work_queue *queue = argument;
    pthread_mutex_lock(&queue->mutex);
    while (true) {
        while (queue->head == NULL && !queue->stopping)
            pthread_cond_wait(&queue->work_arrived, &queue->mutex);
        if (queue->stopping) break;
        const struct span job = take_job(queue);
        pthread_mutex_unlock(&queue->mutex);
        const enum status status = job.work(job.context, job.at);
        pthread_mutex_lock(&queue->mutex);
        if (status != OK) record_failure(job.group, status, job.at);
        if (--job.group->pending == 0) pthread_cond_broadcast(&queue->group_done);
    }
    pthread_mutex_unlock(&queue->mutex);
    return NULL;
}

enum status work_queue_create(struct work_queue **queue_out, int n_threads)
{
    enum status status = OK;
    sigset_t all, before;
    struct work_queue *queue = memory_new(1, sizeof *queue);
    queue->threads = memory_new((size_t)n_threads, sizeof *queue->threads);
    queue->tail = &queue->head;
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->work_arrived, NULL);
    pthread_cond_init(&queue->group_done, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
    int error = 0;
    for (int i = 0; i < n_threads && error == 0; i++) {
        error = pthread_create(&queue->threads[i], NULL, run_jobs, queue);
        queue->n_threads += error == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        FAIL(ERR_MEMORY, "cannot start %d loader threads: %s", n_threads, strerror(error));
    *queue_out = queue;
    queue = NULL;
out:
    work_queue_destroy(queue);
    return status;
}

void work_queue_destroy(struct work_queue *queue)
{
    if (queue == NULL) return;
    pthread_mutex_lock(&queue->mutex);
    queue->stopping = true;
    pthread_cond_broadcast(&queue->work_arrived);
    pthread_mutex_unlock(&queue->mutex);
    for (int i = 0; i < queue->n_threads; i++) pthread_join(queue->threads[i], NULL);
    while (queue->head != NULL) {
        struct span *next = queue->head->next;
        free(queue->head);
        queue->head = next;
    }
    pthread_cond_destroy(&queue->work_arrived);
    pthread_cond_destroy(&queue->group_done);
    pthread_mutex_destroy(&queue->mutex);
    free(queue->threads);
    free(queue);
}

struct work_group *work_group_create(void)
{
    return memory_new(1, sizeof(struct work_group));
}

void work_group_destroy(struct work_group *group)
{
    if (group == NULL) return;
    free(group->sentence);
    free(group);
}

void work_queue_add(struct work_queue *queue, struct work_group *group, work_function *work,
                    void *context, int64_t first, int64_t n)
{
    if (n == 0) return;
    struct span *span = memory_new(1, sizeof *span);
    *span = (struct span){
        .group = group, .work = work, .context = context, .at = first, .end = first + n};
    pthread_mutex_lock(&queue->mutex);
    group->pending += n;
    *queue->tail = span;
    queue->tail = &span->next;
    pthread_cond_broadcast(&queue->work_arrived);
    pthread_mutex_unlock(&queue->mutex);
}

enum status work_queue_wait(struct work_queue *queue, struct work_group *group)
{
    pthread_mutex_lock(&queue->mutex);
    while (group->pending > 0) pthread_cond_wait(&queue->group_done, &queue->mutex);
    pthread_mutex_unlock(&queue->mutex);
    if (group->status == OK) return OK;
    return status_fail(group->status, "%s", group->sentence);
}
