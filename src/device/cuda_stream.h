/* What a stream on a GPU has beside a CPU's. For src/device, kernels/cuda
 * and NCCL in src/comm alone. */
#ifndef ROBIN_DEVICE_CUDA_STREAM_H
#define ROBIN_DEVICE_CUDA_STREAM_H

#include <stddef.h>

/* What libraries keep with a stream: handles, chosen algorithms, plans. Each belongs to one file of
 * kernels/cuda, is made there at first use, and goes with the stream. */
enum cuda_library { CUDA_LIBRARY_GEMM, CUDA_LIBRARY_ATTENTION, N_CUDA_LIBRARIES };

struct cuda_stream {
    void *handle;  /* cudaStream_t */
    void *scratch; /* device memory for the time of one kernel */
    size_t scratch_bytes;
    struct {
        void *state;
        void (*destroy)(void *state);
    } libraries[N_CUDA_LIBRARIES];
};

#endif
