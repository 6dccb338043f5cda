/* Kernels with the faults that the emulation must find (tests/device/emulation_test.c). */
#include "emulation/broken_kernels.h"

extern "C" {
#include "device/cuda_stream.h"
#include "device/stream.h"
}

static cudaStream_t handle(struct stream *stream)
{
    return (cudaStream_t)stream->cuda->handle;
}

/* out_i = in_(n - 1 - i), by way of shared memory. */
static void reverse(int *out, const int *in, bool waits)
{
    __shared__ int shared[BROKEN_THREADS];
    shared[threadIdx.x] = in[threadIdx.x];
    if (waits) __syncthreads();
    out[threadIdx.x] = shared[BROKEN_THREADS - 1 - threadIdx.x];
}

/* The first thread of the first warp does not vote, and waits for those that wait for its vote. */
static void one_stays_away(int *out)
{
    if (threadIdx.x != 0) __ballot_sync(0xffffffffU, true);
    __syncthreads();
    out[threadIdx.x] = 1;
}

/* out_i = in_(n - 1 - i), by way of two copies beside computing, of which the first is read. */
static void reverse_copied(int *out, const int *in, unsigned but_last)
{
    __shared__ int shared[2][BROKEN_THREADS];
    for (int which = 0; which < 2; which++) {
        emulation::copy_later(&shared[which][threadIdx.x], in + threadIdx.x, 4, 4);
        emulation::end_copy_group();
    }
    emulation::wait_for_copies(but_last);
    __syncthreads();
    out[threadIdx.x] = shared[0][BROKEN_THREADS - 1 - threadIdx.x];
    if (but_last < 3) emulation::wait_for_copies(0);
}

extern "C" void broken_copy(int *out, const int *in, unsigned but_last, struct stream *stream)
{
    emulation::launch(1, BROKEN_THREADS, 0, handle(stream),
                      [=]() { reverse_copied(out, in, but_last); });
}

extern "C" void broken_reverse(int *out, const int *in, bool waits, struct stream *stream)
{
    emulation::launch(1, BROKEN_THREADS, 0, handle(stream), [=]() { reverse(out, in, waits); });
}

extern "C" void broken_barrier(int *out, struct stream *stream)
{
    emulation::launch(1, BROKEN_THREADS, 0, handle(stream), [=]() { one_stays_away(out); });
}
