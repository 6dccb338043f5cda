/* Threads that sleep between loops; blocks are handed out by one atomic counter. */
#include "base/thread_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/heartbeat.h"

struct worker {
    struct thread_pool *pool;
    pthread_t thread;
    int index; /* 1 .. n_threads-1; the caller is 0 */
};

struct thread_pool {
    int n_threads;
    int n_started; /* threads that must be joined */
    struct worker *workers;
    pthread_mutex_t mutex;
    pthread_cond_t work_ready;
    pthread_cond_t work_done;
    /* Below: guarded by mutex, except next_block. */
    unsigned long loop; /* counts thread_pool_run calls */
    int n_busy;         /* workers that have not finished the current loop */
    bool stopping;
    int64_t n_blocks;
    void (*body)(void *argument, int64_t block, int worker);
    void *argument;
    atomic_int_least64_t next_block;
};

static void take_blocks(struct thread_pool *pool, int worker)
{
    for (;;) {
        int64_t block = atomic_fetch_add_explicit(&pool->next_block, 1, memory_order_relaxed);
        if (block >= pool->n_blocks) return;
        pool->body(pool->argument, block, worker);
    }
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct thread_pool *pool = worker->pool;
    unsigned long seen = 0;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (pool->loop == seen && !pool->stopping)
            pthread_cond_wait(&pool->work_ready, &pool->mutex);
        if (pool->stopping) break;
        seen = pool->loop;
        pthread_mutex_unlock(&pool->mutex);
        take_blocks(pool, worker->index);
        pthread_mutex_lock(&pool->mutex);
        if (--pool->n_busy == 0) pthread_cond_signal(&pool->work_done);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

enum status thread_pool_create(struct thread_pool **pool_out, int n_threads)
{
    enum status status = OK;
    struct thread_pool *pool = NULL;
    if (n_threads < 1) FAIL(ERR_ARGUMENT, "a pool of %d threads; use 1 or more", n_threads);
    pool = calloc(1, sizeof *pool);
    if (pool == NULL) FAIL(ERR_MEMORY, "no memory for a thread pool");
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work_ready, NULL);
    pthread_cond_init(&pool->work_done, NULL);
    pool->n_threads = n_threads;
    pool->workers = calloc((size_t)n_threads, sizeof *pool->workers);
    if (pool->workers == NULL) FAIL(ERR_MEMORY, "no memory for %d threads", n_threads);
    for (int i = 1; i < n_threads; i++) {
        struct worker *worker = &pool->workers[i];
        *worker = (struct worker){.pool = pool, .index = i};
        int error = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (error != 0)
            FAIL(ERR_MEMORY, "cannot start thread %d of %d: %s; use fewer threads", i, n_threads,
                 strerror(error));
        pool->n_started++;
    }
    *pool_out = pool;
    pool = NULL;
out:
    thread_pool_destroy(pool);
    return status;
}

void thread_pool_destroy(struct thread_pool *pool)
{
    if (pool == NULL) return;
    pthread_mutex_lock(&pool->mutex);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work_ready);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 1; i <= pool->n_started; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->work_done);
    pthread_cond_destroy(&pool->work_ready);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->workers);
    free(pool);
}

int thread_pool_size(const struct thread_pool *pool)
{
    return pool != NULL ? pool->n_threads : 1;
}

void thread_pool_run(struct thread_pool *pool, int64_t n_blocks,
                     void (*body)(void *argument, int64_t block, int worker), void *argument)
{
    heartbeat_beat();
    if (pool == NULL || pool->n_threads == 1 || n_blocks <= 1) {
        for (int64_t block = 0; block < n_blocks; block++) body(argument, block, 0);
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    ASSERT(pool->n_busy == 0, "a loop was started while another one runs on the same pool");
    pool->body = body;
    pool->argument = argument;
    pool->n_blocks = n_blocks;
    atomic_store_explicit(&pool->next_block, 0, memory_order_relaxed);
    pool->n_busy = pool->n_threads - 1;
    pool->loop++;
    pthread_cond_broadcast(&pool->work_ready);
    pthread_mutex_unlock(&pool->mutex);
    take_blocks(pool, 0);
    pthread_mutex_lock(&pool->mutex);
    while (pool->n_busy > 0) pthread_cond_wait(&pool->work_done, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}
