/* What this machine's matrix product reaches: the measure that a step's rate is held against. */
#ifndef ROBIN_TRAIN_PEAK_RATE_H
#define ROBIN_TRAIN_PEAK_RATE_H

#include "base/status.h"
#include "kernels.h"

/* Floating point operations per second of the best of a few products of growing squares, at most
 * `most` [side] and until `seconds` are used, by the threads of the stream. Called by all ranks at
 * once it sees them share their processors. ERR_MEMORY. */
enum status peak_rate_measure(double *flops_out, const struct kernels *kernels,
                              struct stream *stream, int64_t most, double seconds);

#endif
