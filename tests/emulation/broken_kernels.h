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
/* The same by cp.async in two groups, of which the first counts; waits for all `but_last`: with 2
 * for too few, with 3 also in the end. */
void broken_copy(int *out, const int *in, unsigned but_last, struct stream *stream);
/* Threads that wait for each other at two barriers. */
void broken_barrier(int *out, struct stream *stream);

#ifdef __cplusplus
}
#endif

#endif
