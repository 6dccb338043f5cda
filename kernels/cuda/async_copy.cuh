/* Copies from device to shared memory that go on beside computing: cp.async, which every GPU since
 * compute capability 8.0 has. A thread waits for its own copies by their groups; a barrier after that
 * makes them everybody's. NVIDIA, PTX ISA 8.5, section 9.7.9.25.3. */
#ifndef ROBIN_KERNELS_CUDA_ASYNC_COPY_CUH
#define ROBIN_KERNELS_CUDA_ASYNC_COPY_CUH

#include "device_code.cuh"

/* BYTES, 4 or 16, from an address that is a multiple of them; zeros instead unless `real`, and
 * `from` is then not read. */
template <int BYTES>
static __device__ inline void copy_async(void *shared, const void *from, bool real)
{
    static_assert(BYTES == 4 || BYTES == 16, "copies of 4 or 16 bytes");
    const int n = real ? BYTES : 0;
#ifdef ROBIN_CUDA_EMULATED
    emulation::copy_later(shared, from, BYTES, n);
#else
    const uint32_t to = (uint32_t)__cvta_generic_to_shared(shared);
    if (BYTES == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(n)
                     : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(n)
                     : "memory");
#endif
}

/* What the thread asked for since the last call is a group, maybe an empty one. */
static __device__ inline void copies_commit()
{
#ifdef ROBIN_CUDA_EMULATED
    emulation::end_copy_group();
#else
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/* Until all groups of the thread but the last LEFT are there. */
template <int LEFT> static __device__ inline void copies_wait()
{
#ifdef ROBIN_CUDA_EMULATED
    emulation::wait_for_copies(LEFT);
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
#endif
}

#endif
