/* Gradients of all ranks summed, each rank its shards; new weights sent back. A thread of its own
 * does both: a bucket is reduced as soon as the last backward has completed it, and gathered while
 * the next forward already runs, which waits only for the weights it is about to read. Where MPI
 * cannot be called from several threads, or overlap is off, the same happens in the caller's thread
 * at the end of the step.
 *
 * Every sum is that of pieces in the order of the ranks, along a fixed tree (reduction_tree.h): one
 * mesh gives one result, whatever the library, the network or the threads do. With `ordered` the
 * leaves of the tree are the micro-batches of the global batch: then every dp that is a power of
 * two gives the same bits.
 *
 * Where the optimizer is on a GPU all of this happens there, on a stream beside the model's
 * (exchange_lane.h): the thread hands work over, and the GPU's streams wait for each other.
 *
 * With shard_gradients (ZeRO, stage 2) the layers' gradients pass through two places in turn: each
 * micro-batch is a round in which all ranks reduce them, also those that have none left, and the
 * shards add up the rounds. */
#ifndef ROBIN_PARALLEL_GRADIENT_EXCHANGE_H
#define ROBIN_PARALLEL_GRADIENT_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "comm/comm_device.h"
#include "comm/mesh.h"
#include "model/robin_model.h"
#include "parallel/optimizer.h"

struct gradient_exchange;

struct exchange_options {
    const struct mesh *mesh; /* borrowed */
    const struct kernels *kernels;
    int64_t bucket_elements; /* 0: 2^22 */
    bool ordered, overlap;
    bool shard_gradients; /* a model made with EXCHANGE_WINDOWS: gradients of its layers are reduced
                             after every micro-batch and kept in shards alone; not with ordered */
    struct stream *gpu;   /* the model's, where the optimizer is on its GPU (updates_on_gpu): then
                           gradients and weights stay there; else NULL */
    struct device *device;     /* of that stream; borrowed */
    enum comm_backend backend; /* how they travel between GPUs */
};
#define EXCHANGE_WINDOWS 2

/* Collective. Takes the model's hooks. */
enum status exchange_create(struct gradient_exchange **exchange_out, struct model *model,
                            const struct exchange_options *options);
/* Collective. */
void exchange_destroy(struct gradient_exchange *exchange);
/* What it will take, and what of the optimizer's state will be this rank's: elements of shards,
 * floats of buffers (pieces of the largest bucket; with `ordered` a copy of the gradients for each
 * level of sums that wait, of n_micro micro-batches). Of the mesh only ranks and sizes are read. */
struct exchange_memory {
    int64_t state_elements, buffer_elements;
};
struct exchange_memory exchange_plan(const struct parameter_table *table,
                                     const struct exchange_options *options, int64_t n_micro);

/* What the optimizer must be made with. */
const struct bucket_list *exchange_buckets(const struct gradient_exchange *exchange);

/* ---- a step: begin, micro-batches, finish, norm, then update or nothing ---- */

/* Collective. This rank computes leaves first .. end - 1 of the global batch's; may be none. */
enum status exchange_begin(struct gradient_exchange *exchange, int64_t first, int64_t end);
/* Around the model_step of each of them, in order. */
void exchange_begin_micro(struct gradient_exchange *exchange);
enum status exchange_end_micro(struct gradient_exchange *exchange);
/* Collective, also for a rank that failed: then the sums are of no use. After it the shards of
 * this rank hold the sums over all ranks. */
enum status exchange_finish(struct gradient_exchange *exchange);

/* Collective. The norms of the whole gradient, over all ranks; the same bits on all of them and,
 * with `ordered`, on any dp. */
enum status exchange_norm(struct gradient_exchange *exchange, const struct optimizer *optimizer,
                          double *norm_out, double *module_norms_out);
/* Collective. The optimizer's step on the shards; the weights are gathered behind the caller's
 * back. */
enum status exchange_update(struct gradient_exchange *exchange, struct optimizer *optimizer,
                            double norm, double lr_factor);
/* Collective. Waits until all weights are those of the last update; where a step brings the GPUs
 * only what their kernels read in bf16, the fp32 weights of all shards come now. Before anybody but
 * model_step reads them. */
enum status exchange_settle(struct gradient_exchange *exchange);

/* Of the last step, after its norm: seconds that reducing and gathering took, and seconds that the
 * caller, or on a GPU the model's stream, waited for them. Both count waiting for ranks that came
 * later. */
struct exchange_times {
    double reduce, reduce_waited, gather, gather_waited;
};
struct exchange_times exchange_times(const struct gradient_exchange *exchange);

#endif
