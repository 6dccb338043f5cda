/* See model_store.h. */
#include "model/model_store.h"

#include <string.h>

#include "base/assertion.h"
#include "device/stream.h"

static bool is_gpu(const struct stream *stream)
{
    return stream != NULL && stream->driver != NULL;
}

enum status model_arena_init(struct arena *arena, size_t bytes, struct stream *stream,
                             const char *what)
{
    enum status status = OK;
    void *memory = NULL;
    if (is_gpu(stream)) {
        TRY(stream_take(stream, &memory, bytes, what));
        arena_init_over(arena, memory, bytes);
    } else {
        TRY_WHERE(arena_init(arena, bytes), "%s", what);
    }
out:
    return status;
}

void model_arena_release(struct arena *arena, struct stream *stream)
{
    if (is_gpu(stream) && arena->base != NULL) stream_give(stream, arena->base);
    arena_release(arena);
}

static size_t float_bytes(int64_t n)
{
    return size_multiply((size_t)n, sizeof(float));
}

/* What the host has beside the GPU. */
static enum status take_host(struct model_store *store)
{
    enum status status = OK;
    void *memory = NULL;
    TRY(stream_take_host(store->stream, &memory, float_bytes(store->n_weights),
                         "weights of the model"));
    store->host_weights = memory;
    if (store->n_gradients == 0) goto out;
    TRY(stream_take_host(store->stream, &memory, float_bytes(store->n_gradients),
                         "gradients of the model"));
    store->host_gradients = memory;
out:
    return status;
}

enum status model_store_init(struct model_store *store, const struct model_memory *memory,
                             const struct parameter_table *table, struct stream *stream)
{
    enum status status = OK;
    *store =
        (struct model_store){.stream = stream,
                             .on_gpu = is_gpu(stream),
                             .n_weights = table->n_weight_elements,
                             .n_gradients = memory->gradients > 0 ? table->n_gradient_places : 0};
    pthread_mutex_init(&store->mutex, NULL);
    store->made = true;
    TRY(model_arena_init(&store->weights, memory->weights, stream, "weights of the model"));
    if (memory->gradients > 0)
        TRY(model_arena_init(&store->gradients, memory->gradients, stream,
                             "gradients of the model"));
    if (store->on_gpu) {
        TRY(take_host(store));
    } else {
        store->host_weights = (float *)(void *)store->weights.base;
        store->host_gradients = (float *)(void *)store->gradients.base;
    }
out:
    return status;
}

void model_store_release(struct model_store *store)
{
    if (!store->made) return;
    model_arena_release(&store->gradients, store->stream);
    model_arena_release(&store->weights, store->stream);
    if (store->on_gpu && store->host_weights != NULL)
        stream_give_host(store->stream, store->host_weights);
    if (store->on_gpu && store->host_gradients != NULL)
        stream_give_host(store->stream, store->host_gradients);
    pthread_mutex_destroy(&store->mutex);
}

float *model_store_weights(struct model_store *store)
{
    pthread_mutex_lock(&store->mutex);
    store->weights_changed = true;
    pthread_mutex_unlock(&store->mutex);
    return store->host_weights;
}

float *model_store_gradients(struct model_store *store)
{
    pthread_mutex_lock(&store->mutex);
    if (store->on_gpu && store->gradients_changed) {
        const enum status status =
            stream_read(store->stream, store->host_gradients, store->gradients.base,
                        float_bytes(store->n_gradients));
        ASSERT(status == OK, "gradients do not come back: %s", status_message());
    }
    store->gradients_changed = false;
    pthread_mutex_unlock(&store->mutex);
    return store->host_gradients;
}

enum status model_store_send_weights(struct model_store *store)
{
    pthread_mutex_lock(&store->mutex);
    const bool changed = store->weights_changed;
    store->weights_changed = false;
    pthread_mutex_unlock(&store->mutex);
    if (!store->on_gpu || !changed) return OK;
    return stream_copy(store->stream, store->weights.base, store->host_weights,
                       float_bytes(store->n_weights));
}

enum status model_store_zero_gradients(struct model_store *store)
{
    if (store->n_gradients == 0) return OK;
    model_store_expect_gradients(store);
    return stream_zero(store->stream, store->gradients.base, float_bytes(store->n_gradients));
}

void model_store_expect_gradients(struct model_store *store)
{
    pthread_mutex_lock(&store->mutex);
    store->gradients_changed = true;
    pthread_mutex_unlock(&store->mutex);
}
