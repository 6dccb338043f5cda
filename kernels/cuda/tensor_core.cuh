/* One warp's products of bf16 tiles on tensor cores, fp32 sums: mma.sync m16n8k16, which every GPU
 * since compute capability 8.0 has, and ldmatrix. On the emulated GPU the same layout of values over
 * the lanes, written out. NVIDIA, PTX ISA 8.5, sections 9.7.14.5.8 and 9.7.14.5.15.
 *
 * Lane l holds, with g = l / 4 and c = 2 (l % 4), two neighbours in each register:
 *   a [16, 16]  (g, c), (g + 8, c), (g, c + 8), (g + 8, c + 8)
 *   b [16, 8]   (c, g) and (c + 1, g); (c + 8, g) and (c + 9, g)
 *   sum [16, 8] (g, c), (g, c + 1), (g + 8, c), (g + 8, c + 1) */
#ifndef ROBIN_KERNELS_CUDA_TENSOR_CORE_CUH
#define ROBIN_KERNELS_CUDA_TENSOR_CORE_CUH

#include "device_code.cuh"

struct a_fragment {
    uint32_t at[4];
};
struct b_fragment {
    uint32_t at[2];
};
struct sum_fragment {
    float at[4];
};

/* Both rounded to the nearest; `low` is the first in memory. */
static __device__ inline uint32_t bf16_pair(float low, float high)
{
    const pack<bf16, 2> both = {{from_float<bf16>(low), from_float<bf16>(high)}};
    return *reinterpret_cast<const uint32_t *>(&both);
}

#ifdef ROBIN_CUDA_EMULATED

static inline float half_of(uint32_t pair, int which)
{
    return __uint_as_float(which == 0 ? pair << 16 : pair & 0xffff0000U);
}

/* sum += a b */
static inline void multiply_add(sum_fragment *sum, const a_fragment &a, const b_fragment &b)
{
    const int lane = (int)(emulation::current->index % 32), g = lane / 4, c = lane % 4 * 2;
    const uint32_t own[6] = {a.at[0], a.at[1], a.at[2], a.at[3], b.at[0], b.at[1]};
    const uint32_t *all = emulation::warp_exchange(own, 6);
    for (int i = 0; i < 4; i++) {
        const int row = g + i / 2 * 8, column = c + i % 2;
        float total = sum->at[i];
        for (int k = 0; k < 16; k++) {
            const uint32_t *of_a = all + (row % 8 * 4 + k % 8 / 2) * 6;
            const uint32_t *of_b = all + (column * 4 + k % 8 / 2) * 6;
            total += half_of(of_a[row / 8 + k / 8 * 2], k % 2) * half_of(of_b[4 + k / 8], k % 2);
        }
        sum->at[i] = total;
    }
}

/* Four tiles [8, 8]: lane l gives where row l % 8 of tile l / 8 begins, and gets of tile i the
 * elements (g, c) and (g, c + 1), or with `turned` (c, g) and (c + 1, g). */
template <bool turned> static inline void load_tiles(uint32_t out[4], const bf16 *row)
{
    const int lane = (int)(emulation::current->index % 32), g = lane / 4, c = lane % 4 * 2;
    const uint64_t address = (uint64_t)(uintptr_t)row;
    const uint32_t words[2] = {(uint32_t)address, (uint32_t)(address >> 32)};
    if (address % 16 != 0) emulation::fail("a row of a tile is not at a multiple of 16 bytes");
    const uint32_t *all = emulation::warp_exchange(words, 2);
    for (int tile = 0; tile < 4; tile++) {
        uint32_t pair = 0;
        for (int i = 0; i < 2; i++) {
            const int from = tile * 8 + (turned ? c + i : g), column = turned ? g : c + i;
            const uint64_t place = all[from * 2] | (uint64_t)all[from * 2 + 1] << 32;
            pair |= (uint32_t)((const bf16 *)(uintptr_t)place)[column].bits << (16 * i);
        }
        out[tile] = pair;
    }
}

#else

static __device__ inline void multiply_add(sum_fragment *sum, const a_fragment &a,
                                           const b_fragment &b)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum->at[0]), "+f"(sum->at[1]), "+f"(sum->at[2]), "+f"(sum->at[3])
                 : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b.at[0]),
                   "r"(b.at[1]));
}

template <bool turned> static __device__ inline void load_tiles(uint32_t out[4], const bf16 *row)
{
    const uint32_t address = (uint32_t)__cvta_generic_to_shared(row);
    if (turned)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                     : "r"(address)
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                     : "r"(address)
                     : "memory");
}

#endif

/* a = m[row .. row + 15][k .. k + 15], m with `stride` elements a row, in shared memory. */
static __device__ inline a_fragment load_a(const bf16 *m, int stride, int row, int k)
{
    const int lane = (int)threadIdx.x % WARP_LANES, tile = lane / 8;
    a_fragment a;
    load_tiles<false>(a.at, m + (row + tile % 2 * 8 + lane % 8) * stride + k + tile / 2 * 8);
    return a;
}

/* The products' second factors, of 16 columns: b[i][k][n] = m[column + 8 i + n][k + k]. */
static __device__ inline void load_b_rows(b_fragment b[2], const bf16 *m, int stride, int column,
                                          int k)
{
    const int lane = (int)threadIdx.x % WARP_LANES, tile = lane / 8;
    uint32_t all[4];
    load_tiles<false>(all, m + (column + tile / 2 * 8 + lane % 8) * stride + k + tile % 2 * 8);
    b[0] = {{all[0], all[1]}};
    b[1] = {{all[2], all[3]}};
}

/* The same from a matrix that has them as columns: b[i][k][n] = m[k + k][column + 8 i + n]. */
static __device__ inline void load_b_columns(b_fragment b[2], const bf16 *m, int stride, int column,
                                             int k)
{
    const int lane = (int)threadIdx.x % WARP_LANES, tile = lane / 8;
    uint32_t all[4];
    load_tiles<true>(all, m + (k + tile % 2 * 8 + lane % 8) * stride + column + tile / 2 * 8);
    b[0] = {{all[0], all[1]}};
    b[1] = {{all[2], all[3]}};
}

/* Two sums beside each other [16, 16] as the first factor of the next product. */
static __device__ inline a_fragment as_factor(const sum_fragment &left, const sum_fragment &right)
{
    return {{bf16_pair(left.at[0], left.at[1]), bf16_pair(left.at[2], left.at[3]),
             bf16_pair(right.at[0], right.at[1]), bf16_pair(right.at[2], right.at[3])}};
}

#endif
