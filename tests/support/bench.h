/* What the benchmarks of tests/bench share: how time is taken and how a row of the table looks. */
#ifndef ROBIN_TESTS_SUPPORT_BENCH_H
#define ROBIN_TESTS_SUPPORT_BENCH_H

#include <stddef.h>
#include <stdint.h>

struct stream;

/* The shortest of several runs of body(context), in seconds: other programs can only add to it. One
 * run goes before, untimed; then 3 to 20 of them, about half a second in all. */
double bench_seconds(void (*body)(void *context), void *context);

/* One of several bodies that are compared: `seconds` of processor time, of all threads together, in
 * its best round. Rounds take the bodies in turn, so that all of them meet the same machine; other
 * programs lengthen waiting, not this. One round goes before, untimed. */
struct bench_contestant {
    void (*body)(void *context);
    void *context;
    double seconds; /* written */
};
void bench_side_by_side(struct bench_contestant *contestants, int n, int n_rounds);

/* n floats of zeroed-page-free memory (every page touched), 64-byte aligned, to free(). Values in
 * -1 .. 1. */
float *bench_floats(int64_t n);

/* sgemm of OpenBLAS on every thread of the stream at once, 1024 x 1024 matrices: the most floating
 * point operations per second that this machine does, in GFLOP/s. */
double bench_sgemm_gflops(struct stream *stream);

/* Threads to measure with: ROBIN_THREADS, else the processors of this machine. */
int bench_threads(void);

/* The most memory of this process that was resident so far (VmHWM). */
double bench_resident_mib(void);

/* One row of the table: what was measured, on what, and its numbers as text ("12.3 GB/s"). */
void bench_row(const char *what, const char *size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
