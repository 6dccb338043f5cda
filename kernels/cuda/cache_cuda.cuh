/* Keys and values in blocks, and attention over them. A block holds [2, KV, block, D]: keys, then
 * values. A row's softmax runs over spans of SPAN_KEYS keys, each on its own, wherever its thread
 * block stands; then the spans are joined in order. So there are thread blocks enough for few rows
 * of long sequences, and a row's result depends on its own keys alone.
 * Which rows share a span's keys decides cache_mma_cuda.cuh, for bf16; what is here is for every
 * type and head size, and takes each row and head by itself. */
#ifndef ROBIN_KERNELS_CUDA_CACHE_CUDA_CUH
#define ROBIN_KERNELS_CUDA_CACHE_CUDA_CUH

#include "device_code.cuh"
#include "rows_cuda.cuh"

#define SPAN_KEYS     256
#define SPAN_THREADS  64
#define MAX_CACHED_D  256
#define LOG2_OF_E     1.44269504088896340736f

struct cached_dims {
    const int32_t *row_start, *position, *table, *group_start, *shared;
    int64_t s, g, width, block;
    int64_t h, kv, d;
    int64_t first, end; /* rows of this launch */
    int64_t spans;
    float scale; /* of scores, whose exponents are of 2 */
};

/* What spans leave: weighted values [rows, H, spans, D], and [rows, H, spans] largest scores and
 * sums of weights, as pairs; of each row the sequence and its group. */
struct span_parts {
    float *values;
    pack<float, 2> *sums;
    int32_t *sequence, *group;
};

static __device__ inline int64_t part_index(const cached_dims &c, int64_t row, int64_t head,
                                            int64_t span)
{
    return ((row - c.first) * c.h + head) * c.spans + span;
}

/* The key (`value` 0) or value (1) number j of a sequence. */
static __device__ inline const real *key_at(const real *cache, const cached_dims &c,
                                            int64_t sequence, int64_t j, int64_t head,
                                            int64_t value)
{
    const int64_t block = c.table[sequence * c.width + j / c.block];
    return cache + (((block * 2 + value) * c.kv + head) * c.block + j % c.block) * c.d;
}

/* Which of the n ranges that begin at start[0 .. n] a number is in. */
static __device__ inline int32_t range_of(const int32_t *start, int64_t n, int64_t number)
{
    int64_t low = 0, high = n;
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        if (start[middle] <= number)
            low = middle;
        else
            high = middle;
    }
    return (int32_t)low;
}

static __global__ void find_sequences_kernel(span_parts parts, cached_dims c, int64_t t)
{
    const int64_t row = (int64_t)blockIdx.x * ROW_THREADS + threadIdx.x;
    if (row >= t) return;
    parts.sequence[row] = range_of(c.row_start, c.s, row);
    parts.group[row] = range_of(c.group_start, c.g, parts.sequence[row]);
}

/* Grid (rows, H, spans): one query head over one span. */
static __global__ void attention_span_kernel(span_parts parts, const real *qkv, const real *cache,
                                             cached_dims c)
{
    __shared__ float q[MAX_CACHED_D], weight[SPAN_KEYS];
    const int64_t row = c.first + blockIdx.x, head = blockIdx.y, span = blockIdx.z;
    const int64_t key = span * SPAN_KEYS, seen = c.position[row] + 1 - key;
    const int64_t n = seen < SPAN_KEYS ? seen : SPAN_KEYS, kv_head = head / (c.h / c.kv);
    const int64_t sequence = parts.sequence[row], part = part_index(c, row, head, span);
    float top = -INFINITY, sum = 0;
    if (n <= 0) return;
    for (int64_t k = threadIdx.x; k < c.d; k += SPAN_THREADS)
        q[k] = to_float(qkv[(row * (c.h + 2 * c.kv) + head) * c.d + k]);
    __syncthreads();
    for (int64_t j = threadIdx.x; j < n; j += SPAN_THREADS) {
        const real *from = key_at(cache, c, sequence, key + j, kv_head, 0);
        float score = 0;
        for (int64_t k = 0; k < c.d; k++) score = fmaf(q[k], to_float(from[k]), score);
        weight[j] = score * c.scale;
        top = fmaxf(top, weight[j]);
    }
    top = group_all<max_of, SPAN_THREADS>(top);
    for (int64_t j = threadIdx.x; j < n; j += SPAN_THREADS) {
        weight[j] = exp2f(weight[j] - top);
        sum += weight[j];
    }
    sum = group_all<sum_of, SPAN_THREADS>(sum); /* every weight is there now */
    for (int64_t k = threadIdx.x; k < c.d; k += SPAN_THREADS) {
        float value = 0;
        for (int64_t j = 0; j < n; j++)
            value = fmaf(weight[j], to_float(key_at(cache, c, sequence, key + j, kv_head, 1)[k]),
                         value);
        parts.values[part * c.d + k] = value;
    }
    if (threadIdx.x == 0) parts.sums[part] = {{top, sum}};
}

/* Grid (rows, H): the spans of a row's head, in order. */
static __global__ void join_spans_kernel(real *out, span_parts parts, cached_dims c)
{
    const int64_t row = c.first + blockIdx.x, head = blockIdx.y;
    const int64_t n = c.position[row] / SPAN_KEYS + 1, part = part_index(c, row, head, 0);
    for (int64_t k = threadIdx.x; k < c.d; k += SPAN_THREADS) {
        float top = -INFINITY, sum = 0, value = 0;
        for (int64_t span = 0; span < n; span++) {
            const pack<float, 2> next = parts.sums[part + span];
            const float new_top = fmaxf(top, next.at[0]);
            const float shrink = exp2f(top - new_top), share = exp2f(next.at[0] - new_top);
            sum = sum * shrink + next.at[1] * share;
            value = value * shrink + parts.values[(part + span) * c.d + k] * share;
            top = new_top;
        }
        out[(row * c.h + head) * c.d + k] = from_float<real>(value / sum);
    }
}

#ifdef REAL_ON_TENSOR_CORES
#include "cache_mma_cuda.cuh"
#endif

static void attend_spans(const span_parts &parts, const real *qkv, const real *cache,
                         const cached_dims &c, struct stream *stream)
{
#ifdef REAL_ON_TENSOR_CORES
    if (mma_takes_cached(c, qkv, cache)) return mma_attend_spans(parts, qkv, cache, c, stream);
#endif
    LAUNCH(attention_span_kernel,
           dim3(blocks_of(c.end - c.first, 1), (unsigned)c.h, (unsigned)c.spans),
           dim3(SPAN_THREADS), 0, stream, parts, qkv, cache, c);
}

/* Rows whose spans have room in the stream's scratch, `t` of them having their numbers there. */
static int64_t rows_at_once(span_parts *parts, const cached_dims &c, int64_t t,
                            const struct cuda_stream *cuda)
{
    const size_t numbers = (size_t)(2 * t) * sizeof(int32_t);
    const size_t places = (numbers + 255) / 256 * 256;
    const size_t each = (size_t)(c.h * c.spans) * (sizeof(*parts->sums) + (size_t)c.d * sizeof(float));
    if (places >= cuda->scratch_bytes) return 0;
    const int64_t rows = (int64_t)((cuda->scratch_bytes - places) / each);
    parts->sequence = (int32_t *)cuda->scratch;
    parts->group = parts->sequence + t;
    parts->sums = (pack<float, 2> *)((char *)cuda->scratch + places);
    parts->values = (float *)(parts->sums + rows * c.h * c.spans);
    return rows;
}

static enum status attention_cached(void *out, const void *qkv, const void *cache,
                                    const struct cached_rows *rows, int64_t t, int64_t h,
                                    int64_t kv, int64_t d, double scale, struct stream *stream)
{
    span_parts parts = {};
    cached_dims c = {rows->row_start, rows->position, rows->table, rows->group_start, rows->shared,
                     rows->n_sequences, rows->n_groups, rows->table_width, rows->block, h, kv, d};
    if (kv < 1 || h % kv != 0 || d > MAX_CACHED_D)
        return status_fail(ERR_SHAPE, "%lld query heads over %lld key/value heads of %lld: groups "
                           "must be equal, and heads no larger than %d", (long long)h,
                           (long long)kv, (long long)d, MAX_CACHED_D);
    if (t * d == 0) return OK;
    c.spans = (rows->table_width * rows->block + SPAN_KEYS - 1) / SPAN_KEYS;
    c.scale = (float)scale * LOG2_OF_E;
    const int64_t portion = rows_at_once(&parts, c, t, stream->cuda);
    if (portion < 1)
        return status_fail(ERR_LIMIT, "attention over %lld keys of %lld heads needs more scratch "
                           "than the stream's %zu bytes", (long long)(c.spans * SPAN_KEYS),
                           (long long)h, stream->cuda->scratch_bytes);
    LAUNCH(find_sequences_kernel, dim3(blocks_of(t, ROW_THREADS)), dim3(ROW_THREADS), 0, stream,
           parts, c, t);
    for (c.first = 0; c.first < t; c.first = c.end) {
        c.end = t - c.first < portion ? t : c.first + portion;
        attend_spans(parts, (const real *)qkv, (const real *)cache, c, stream);
        LAUNCH(join_spans_kernel, dim3(blocks_of(c.end - c.first, 1), (unsigned)h),
               dim3(SPAN_THREADS), 0, stream, (real *)out, parts, c);
    }
    return launched("attention_cached");
}

/* ---- blocks ---- */

/* Keys and values of a row lie behind each other, as [2, KV, D]. */
template <int N>
static __global__ void cache_store_kernel(real *cache, const real *qkv, const int32_t *slot,
                                          cached_dims c)
{
    const int64_t row = blockIdx.x, block = slot[row] / c.block, place = slot[row] % c.block;
    const real *from = qkv + (row * (c.h + 2 * c.kv) + c.h) * c.d;
    real *to = cache + block * 2 * c.kv * c.block * c.d;
    for (int64_t k = (int64_t)threadIdx.x * N; k < 2 * c.kv * c.d; k += ROW_THREADS * N)
        store_pack(to + (k / c.d * c.block + place) * c.d + k % c.d, load_pack<N>(from + k));
}

/* Grid (pairs, parts of a block). */
template <int N>
static __global__ void cache_copy_kernel(real *cache, const int32_t *to_from, int64_t size)
{
    const int64_t at = ((int64_t)blockIdx.y * ROW_THREADS + threadIdx.x) * N;
    real *to = cache + to_from[2 * blockIdx.x] * size;
    const real *from = cache + to_from[2 * blockIdx.x + 1] * size;
    if (at < size) store_pack(to + at, load_pack<N>(from + at));
}

static size_t cache_bytes(int64_t n_blocks, int64_t block, int64_t kv, int64_t d)
{
    return (size_t)(n_blocks * 2 * kv * block * d) * sizeof(real);
}

static enum status cache_store(void *cache, const void *qkv, const int32_t *slot, int64_t t,
                               int64_t h, int64_t kv, int64_t d, int64_t block,
                               struct stream *stream)
{
    const bool wide = is_wide<real>(d, (const real *)cache, qkv);
    auto kernel = wide ? cache_store_kernel<WIDTH<real>> : cache_store_kernel<1>;
    cached_dims c = {};
    c.block = block;
    c.h = h;
    c.kv = kv;
    c.d = d;
    if (t * kv * d == 0) return OK;
    LAUNCH(kernel, dim3(blocks_of(t, 1)), dim3(ROW_THREADS), 0, stream, (real *)cache,
           (const real *)qkv, slot, c);
    return launched("cache_store");
}

static enum status cache_copy(void *cache, const int32_t *to_from, int64_t n, int64_t block,
                              int64_t kv, int64_t d, struct stream *stream)
{
    const int64_t size = 2 * kv * block * d;
    const bool wide = is_wide<real>(size, (const real *)cache);
    auto kernel = wide ? cache_copy_kernel<WIDTH<real>> : cache_copy_kernel<1>;
    if (n * size == 0) return OK;
    LAUNCH(kernel, dim3(blocks_of(n, 1), blocks_of(size, ROW_THREADS * (wide ? WIDTH<real> : 1))),
           dim3(ROW_THREADS), 0, stream, (real *)cache, to_from, size);
    return launched("cache_copy");
}

#endif
