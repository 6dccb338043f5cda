/* See model_store.h. */
#include "model/model_store.h"

#include <string.h>

#include "base/assertion.h"
#include "device/stream.h"
#include "kernels.h"

#define STAGING_ELEMENTS (INT64_C(1) << 22)

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

/* What the kernels have of the weights, from the arena of their memory. */
static void lay_out_weights(struct model_store *store, struct arena *arena)
{
    const size_t n = (size_t)store->n_weights;
    store->values = arena_take(arena, size_multiply(n, dtype_size(store->kernels->dtype)));
    if (!store->on_gpu) return;
    if (store->kernels->dtype == DTYPE_F32) {
        if (store->updates) store->master = store->values;
        return;
    }
    if (store->updates) {
        store->master = arena_take(arena, float_bytes(store->n_weights));
        return;
    }
    store->wide = arena_take(arena, float_bytes(store->n_wide));
    store->staging = arena_take(arena, float_bytes(STAGING_ELEMENTS));
}

static void find_wide(struct model_store *store, const struct parameter_table *table)
{
    int64_t first = table->n_weight_elements, end = 0;
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        if (parameter->module != MODULE_EXTRACTOR) continue;
        if (parameter->offset < first) first = parameter->offset;
        if (parameter->offset + parameter->n_elements > end)
            end = parameter->offset + parameter->n_elements;
    }
    store->first_wide = first;
    store->n_wide = end - first;
}

size_t model_store_bytes(const struct parameter_table *table, const struct kernels *kernels,
                         bool updates)
{
    struct model_store store = {.kernels = kernels,
                                .on_gpu = kernels_on_gpu(kernels),
                                .updates = updates,
                                .n_weights = table->n_weight_elements};
    struct arena measuring;
    find_wide(&store, table);
    arena_init_measuring(&measuring);
    lay_out_weights(&store, &measuring);
    return measuring.used;
}

/* What the host has beside the kernels. */
static enum status take_host(struct model_store *store)
{
    enum status status = OK;
    void *memory = NULL;
    TRY(stream_take_host(store->stream, &memory, float_bytes(store->n_weights),
                         "fp32 weights of the model"));
    store->host_weights = memory;
    if (store->n_gradients == 0 || !store->on_gpu) goto out;
    TRY(stream_take_host(store->stream, &memory, float_bytes(store->n_gradients),
                         "gradients of the model"));
    store->host_gradients = memory;
out:
    return status;
}

enum status model_store_init(struct model_store *store, const struct model_memory *memory,
                             const struct parameter_table *table, const struct kernels *kernels,
                             struct stream *stream, bool updates)
{
    enum status status = OK;
    *store =
        (struct model_store){.stream = stream,
                             .kernels = kernels,
                             .on_gpu = is_gpu(stream),
                             .updates = updates,
                             .apart = is_gpu(stream) || kernels->dtype != DTYPE_F32,
                             .n_weights = table->n_weight_elements,
                             .n_gradients = memory->gradients > 0 ? table->n_gradient_places : 0};
    pthread_mutex_init(&store->mutex, NULL);
    store->made = true;
    find_wide(store, table);
    TRY(model_arena_init(&store->weights, memory->weights, stream, "weights of the model"));
    lay_out_weights(store, &store->weights);
    if (memory->gradients > 0)
        TRY(model_arena_init(&store->gradients, memory->gradients, stream,
                             "gradients of the model"));
    if (store->apart) TRY(take_host(store));
    if (!store->apart) store->host_weights = store->values;
    if (!store->on_gpu) store->host_gradients = (float *)(void *)store->gradients.base;
    if (store->master != NULL) store->wide = store->master + store->first_wide;
    if (store->wide == NULL) store->wide = store->host_weights + store->first_wide;
out:
    return status;
}

void model_store_release(struct model_store *store)
{
    if (!store->made) return;
    model_arena_release(&store->gradients, store->stream);
    model_arena_release(&store->weights, store->stream);
    if (store->apart && store->host_weights != NULL)
        stream_give_host(store->stream, store->host_weights);
    if (store->on_gpu && store->host_gradients != NULL)
        stream_give_host(store->stream, store->host_gradients);
    pthread_mutex_destroy(&store->mutex);
}

float *model_store_weights(struct model_store *store)
{
    pthread_mutex_lock(&store->mutex);
    if (store->updated) {
        const enum status status = stream_read(store->stream, store->host_weights, store->master,
                                               float_bytes(store->n_weights));
        ASSERT(status == OK, "weights do not come back: %s", status_message());
    }
    store->updated = false;
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

/* To a GPU in pieces, each rounded there before the next one comes. */
static enum status send_rounded(struct model_store *store)
{
    enum status status = OK;
    const size_t size = dtype_size(store->kernels->dtype);
    for (int64_t first = 0; first < store->n_weights; first += STAGING_ELEMENTS) {
        const int64_t left = store->n_weights - first;
        const int64_t n = left < STAGING_ELEMENTS ? left : STAGING_ELEMENTS;
        TRY(stream_copy(store->stream, store->staging, store->host_weights + first,
                        float_bytes(n)));
        TRY(store->kernels->narrow((unsigned char *)store->values + (size_t)first * size,
                                   store->staging, n, store->stream));
    }
    TRY(stream_copy(store->stream, store->wide, store->host_weights + store->first_wide,
                    float_bytes(store->n_wide)));
out:
    return status;
}

/* Where weights are updated on a GPU: what the host has changed goes there and is rounded there. */
static enum status send_master(struct model_store *store, bool changed)
{
    enum status status = OK;
    if (!changed) goto out;
    TRY(stream_copy(store->stream, store->master, store->host_weights,
                    float_bytes(store->n_weights)));
    if (store->kernels->dtype != DTYPE_F32)
        TRY(store->kernels->narrow(store->values, store->master, store->n_weights, store->stream));
out:
    return status;
}

static bool take_changed(struct model_store *store)
{
    pthread_mutex_lock(&store->mutex);
    const bool changed = store->weights_changed;
    store->weights_changed = false;
    pthread_mutex_unlock(&store->mutex);
    return changed;
}

enum status model_store_round(struct model_store *store, int64_t first, int64_t n,
                              struct stream *stream)
{
    const enum dtype dtype = store->kernels->dtype;
    ASSERT(store->master != NULL, "the model was made for weights that the host updates");
    if (dtype == DTYPE_F32) return OK;
    return store->kernels->narrow((unsigned char *)store->values +
                                      (size_t)first * dtype_size(dtype),
                                  store->master + first, n, stream);
}

uint16_t *model_store_rounded(const struct model_store *store)
{
    return store->kernels->dtype == DTYPE_BF16 ? store->values : NULL;
}

enum status model_store_master(struct model_store *store, float **master_out)
{
    enum status status = OK;
    ASSERT(store->master != NULL, "the model was made for weights that the host updates");
    TRY(send_master(store, take_changed(store)));
    pthread_mutex_lock(&store->mutex);
    store->updated = true;
    pthread_mutex_unlock(&store->mutex);
    *master_out = store->master;
out:
    return status;
}

enum status model_store_send_weights(struct model_store *store)
{
    const bool changed = take_changed(store);
    if (store->master != NULL) return send_master(store, changed);
    if (!store->apart || !changed) return OK;
    if (!store->on_gpu)
        return store->kernels->narrow(store->values, store->host_weights, store->n_weights,
                                      store->stream);
    if (store->kernels->dtype != DTYPE_F32) return send_rounded(store);
    return stream_copy(store->stream, store->values, store->host_weights,
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
