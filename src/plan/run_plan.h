/* What a training run will take, from its configuration alone: parameters, memory of a rank by
 * kind, bytes on the wire, operations, time. The memory is what the trainer takes, by the same code
 * (model_plan, buckets); time is an estimate from rates. No device and no MPI. README.md derives
 * the formulas. */
#ifndef ROBIN_PLAN_RUN_PLAN_H
#define ROBIN_PLAN_RUN_PLAN_H

#include "config/run_config.h"
#include "model/model_flops.h"
#include "parallel/gradient_exchange.h"
#include "plan/rates.h"
#include "train/model_setup.h"
#include "train/run_setup.h"

struct plan_sample { /* the mean one */
    double tokens, images, regions, targets, pairs;
    double per_epoch; /* samples; 0: not known */
    bool assumed;     /* not counted in corpora */
};

struct plan_options {
    int ranks;
    int tp;   /* 0: parallel.tp of the configuration */
    int rank; /* whose collectives are listed: those of ranks differ where shards do */
    struct machine_rates rates;
    struct plan_sample sample;
};

struct plan_memory { /* bytes of one rank; the largest where they differ */
    double weights;  /* what the model computes with, and tables of positions */
    double master;   /* fp32 weights beside them, where they are in bf16 */
    double gradients;
    double moments; /* of this rank's shards, and the running mean of weights if there is one */
    double state;   /* fp32 weights of these shards */
    double activations, workspace; /* logits are part of the workspace */
    double logits;
    double buffers; /* of collectives */
    double batches; /* micro-batches prepared */
    double copy;    /* of the state, from which checkpoints are written; always in host memory */
    double all;
};

#define PLAN_MAX_TRAFFIC 32
struct plan_traffic { /* one name of a collective, in one step of one rank */
    const char *what, *axis, *kind;
    int size;     /* ranks of the axis */
    bool near;    /* all of them on one machine */
    double calls; /* a step */
    double bytes; /* of the whole tensors */
    double wire;  /* bytes that a rank sends */
    double seconds;
    bool hidden; /* behind the backward pass, as far as that lasts */
};

struct plan_time { /* seconds of one step */
    double vision, lm_matrices, attention, elementwise, head, optimizer;
    double again; /* recompute */
    double gap;
    double exposed; /* collectives that nothing hides */
    double all;
};

struct run_plan {
    const struct run_config *config;
    struct plan_options options;
    int dp, tp;
    bool sequence;
    struct run_model model; /* sizes only */
    int64_t parameters[N_MODULES];
    struct plan_memory memory;
    struct model_load load;   /* of a step, all ranks */
    struct model_flops flops; /* likewise */
    double micro_batches;     /* of the fullest rank */
    double busy_ranks;        /* of the dp axis: those that have anything to compute */
    struct plan_traffic traffic[PLAN_MAX_TRAFFIC];
    int n_traffic;
    struct plan_time time;
    double mfu;    /* operations per second as a share of all ranks' peak */
    int64_t steps; /* of the run; 0: not known */
};

/* ERR_ARGUMENT if the ranks and the configuration do not go together. The configuration is
 * borrowed. */
enum status run_plan_make(struct run_plan *plan_out, const struct run_config *config,
                          const struct plan_options *options);

/* Mesh, parameters and memory alone: what needs neither rates nor a sample. */
enum status run_plan_make_memory(struct run_plan *plan_out, const struct run_config *config,
                                 const struct plan_options *options);

/* The parameters of sharer `index`, as the trainer's model has them. */
enum status plan_table_create(struct parameter_table **table_out, const struct run_plan *plan,
                              int index);

/* How the trainer of this plan cuts gradients into buckets; the mesh has sizes, ranks are the
 * caller's. */
void plan_bucket_options(struct exchange_options *options, struct mesh *mesh,
                         const struct run_plan *plan);

/* The parts, each from those before it. */
enum status plan_memory_fill(struct run_plan *plan);
enum status plan_traffic_fill(struct run_plan *plan);
void plan_time_fill(struct run_plan *plan);

/* For people, to free(): everything; parameters and memory alone. */
char *run_plan_text(const struct run_plan *plan);
char *run_plan_memory_text(const struct run_plan *plan);

#endif
