/* What a machine reaches: a few rates from which the time of a step is estimated. Measured ones;
 * where one is not, its row says so. */
#ifndef ROBIN_PLAN_RATES_H
#define ROBIN_PLAN_RATES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct machine_link { /* between one rank and the others */
    double latency;   /* seconds of one message */
    double bytes;     /* per second and direction */
};

struct machine_rates { /* of one rank */
    char name[64];
    bool half;     /* weights and activations in bf16, beside fp32 master weights */
    double memory; /* bytes that a rank may take; 0: not known */
    double peak;   /* FLOP/s that the MFU is a share of */
    double matrix; /* FLOP/s of the language model's products */
    double attention_forward, attention_backward; /* FLOP/s, causal pairs alone counted */
    double vision;                                /* FLOP/s of the tower's blocks */
    double copy;                                  /* bytes/s, read and written */
    double gap;                                   /* share of a step between kernels */
    struct machine_link near, far;                /* ranks of one machine; of several */
    int64_t ranks_per_machine;
};

/* A row of the built-in table: "h200", "h100", "cpu" (one thread of it). ERR_ARGUMENT naming
 * all. */
enum status rates_find(struct machine_rates *rates_out, const char *name);

/* The file that `plan --calibrate` writes: JSON with the fields above; any that are missing are
 * those of the "cpu" row. ERR_FORMAT naming file and field. */
enum status rates_read(struct machine_rates *rates_out, const char *path);
enum status rates_write(const struct machine_rates *rates, const char *path);

#endif
