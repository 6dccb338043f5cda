/* The flat weights and gradients of a model, twice where it runs on a GPU: for the host, in fp32,
 * which is what optimizer, checkpoints and exchange read and write; and for the kernels. They are
 * copied when one side has changed and the other one looks. On the CPU both are the same memory.
 * Internal to src/model. */
#ifndef ROBIN_MODEL_MODEL_STORE_H
#define ROBIN_MODEL_MODEL_STORE_H

#include <pthread.h>
#include <stdbool.h>

#include "base/arena.h"
#include "model/robin_model.h"

struct stream;

struct model_store {
    struct stream *stream;
    bool on_gpu;
    struct arena weights, gradients; /* the kernels': weights and tables of RoPE; gradients */
    float *host_weights, *host_gradients;
    int64_t n_weights, n_gradients;
    pthread_mutex_t mutex;  /* of what follows: the exchange's thread looks as well */
    bool weights_changed;   /* by the host */
    bool gradients_changed; /* by the kernels */
    bool made;              /* the mutex */
};

/* Takes memory of `memory`'s sizes. */
enum status model_store_init(struct model_store *store, const struct model_memory *memory,
                             const struct parameter_table *table, struct stream *stream);
void model_store_release(struct model_store *store);

/* The host's copies, up to date. Whoever asks for the weights may change them until the next run.
 */
float *model_store_weights(struct model_store *store);
float *model_store_gradients(struct model_store *store);
/* The kernels' copies. */
enum status model_store_send_weights(struct model_store *store);
enum status model_store_zero_gradients(struct model_store *store);
/* The kernels will add to gradients. */
void model_store_expect_gradients(struct model_store *store);

/* Memory of the kernels for `what`; on the CPU an arena of its own. */
enum status model_arena_init(struct arena *arena, size_t bytes, struct stream *stream,
                             const char *what);
void model_arena_release(struct arena *arena, struct stream *stream);

#endif
