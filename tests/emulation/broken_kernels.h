/* Kernels with faults, for the test of the emulation. */
#ifndef ROBIN_TESTS_EMULATION_BROKEN_KERNELS_H
#define ROBIN_TESTS_EMULATION_BROKEN_KERNELS_H

#include <stdbool.h>

struct stream;

#define BROKEN_THREADS 64

#ifdef __cplusplus
extern "C" {
#endif

/* out [BROKEN_THREADS] = in in reverse; not `waits`: without the barrier that it needs. */
void broken_reverse(int *out, const int *in, bool waits, struct stream *stream);
/* Threads that wait for each other at two barriers. */
void broken_barrier(int *out, struct stream *stream);

#ifdef __cplusplus
}
#endif

#endif
