/* The flat weights and gradients of a model. The host's are fp32, always: the master weights that
 * optimizer, checkpoints and exchange read and write. The kernels' are on their device and, for
 * bf16 tables, rounded; made anew when the host's have changed and a batch comes. Gradients are
 * fp32 for both. On the CPU what is fp32 for both is the same memory. Internal to src/model. */
#ifndef ROBIN_MODEL_MODEL_STORE_H
#define ROBIN_MODEL_MODEL_STORE_H

#include <pthread.h>
#include <stdbool.h>

#include "base/arena.h"
#include "model/robin_model.h"

struct kernels;
struct stream;

struct model_store {
    struct stream *stream;
    const struct kernels *kernels;
    bool on_gpu;
    bool updates;                    /* of the weights happen on the GPU */
    bool apart;                      /* the kernels' weights are not the host's */
    struct arena weights, gradients; /* the kernels': weights and tables of RoPE; gradients */
    void *values;                    /* the kernels' weights, in their type */
    float *master;                   /* fp32 weights on a GPU, where they are updated there */
    float *staging;                  /* on a GPU, on the way to another type than fp32 */
    float *host_weights, *host_gradients;
    int64_t n_weights, n_gradients;
    /* What kernels read in fp32 even so, the extractor's: elements of the flat weights. */
    int64_t first_wide, n_wide;
    float *wide;
    pthread_mutex_t mutex;  /* of what follows: the exchange's thread looks as well */
    bool weights_changed;   /* by the host */
    bool updated;           /* on the GPU: later than the host's */
    bool gradients_changed; /* by the kernels */
    bool made;              /* the mutex */
};

/* Bytes of the kernels' weights, without the tables of RoPE; `updates`: these happen on a GPU. */
size_t model_store_bytes(const struct parameter_table *table, const struct kernels *kernels,
                         bool updates);
/* Takes memory of `memory`'s sizes. */
enum status model_store_init(struct model_store *store, const struct model_memory *memory,
                             const struct parameter_table *table, const struct kernels *kernels,
                             struct stream *stream, bool updates);
void model_store_release(struct model_store *store);

/* The host's copies, up to date. Whoever asks for the weights may change them until the next run.
 */
float *model_store_weights(struct model_store *store);
float *model_store_gradients(struct model_store *store);
/* The GPU's fp32 weights, as the host has them, for whoever updates them there, and with them what
 * the kernels have in bf16 (NULL: fp32): himself, or by model_store_round, in the order of the
 * kernels that read it. */
enum status model_store_master(struct model_store *store, float **master_out);
uint16_t *model_store_rounded(const struct model_store *store);
enum status model_store_round(struct model_store *store, int64_t first, int64_t n,
                              struct stream *stream);
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
