/* Choosing the next token, one thread block a row. The kept tokens are those above a logit that is
 * found four bits at a time, from the highest, which needs no memory and no sorting. Sums are in
 * double, every thread's over neighbouring ids, then over threads in order. */
#ifndef ROBIN_KERNELS_CUDA_CHOOSE_CUDA_CUH
#define ROBIN_KERNELS_CUDA_CHOOSE_CUDA_CUH

#include "device_code.cuh"

#define CHOOSE_THREADS 512
#define CHOOSE_DIGITS  16

/* A row with what is asked of it; this thread looks at ids first .. end - 1 where order counts. */
struct choice_row {
    const real *logits;
    const uint32_t *allowed; /* NULL: all */
    int64_t v, first, end;
    float max, temperature; /* the largest allowed logit */
};

static __device__ inline bool may_come(const choice_row &r, int64_t v)
{
    return r.allowed == nullptr || (r.allowed[v / 32] >> (v % 32) & 1) != 0;
}

static __device__ inline float share_of(const choice_row &r, float logit)
{
    return expf((logit - r.max) / r.temperature);
}

/* Floats in the order of their values. */
static __device__ inline uint32_t rank_of(float x)
{
    const uint32_t bits = __float_as_uint(x);
    return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}
static __device__ inline float float_of_rank(uint32_t rank)
{
    return __uint_as_float((rank & 0x80000000U) != 0 ? rank & 0x7fffffffU : ~rank);
}

/* The tokens above `rank` have less than `wanted` together, and with those of exactly `rank` they
 * have that or more: *above is what they have. Every thread gets both. */
static __device__ inline uint32_t find_rank(double *above, const choice_row &r, double wanted)
{
    uint32_t rank = 0;
    *above = 0;
    for (int shift = 28; shift >= 0; shift -= 4) {
        double sums[CHOOSE_DIGITS] = {0};
        for (int64_t v = threadIdx.x; v < r.v; v += CHOOSE_THREADS) {
            const float logit = to_float(r.logits[v]);
            const uint32_t own = rank_of(logit), digit = own >> shift & (CHOOSE_DIGITS - 1);
            if ((uint64_t)own >> (shift + 4) != (uint64_t)rank >> (shift + 4) || !may_come(r, v))
                continue;
            const double share = (double)share_of(r, logit);
            for (uint32_t i = 0; i < CHOOSE_DIGITS; i++) sums[i] += i == digit ? share : 0.0;
        }
        uint32_t digit = CHOOSE_DIGITS;
        double of_digit = 0;
        while (digit > 0) {
            of_digit = group_all<sum_of, CHOOSE_THREADS>(sums[--digit]);
            if (digit == 0 || *above + of_digit >= wanted) break;
            *above += of_digit;
        }
        rank |= digit << shift;
    }
    return rank;
}

/* Sums of all threads before this one, and of all. */
template <typename T> static __device__ inline T sum_before(T own, T *all, T *places)
{
    T before = 0;
    __syncthreads();
    places[threadIdx.x] = own;
    __syncthreads();
    *all = 0;
    for (unsigned i = 0; i < CHOOSE_THREADS; i++) {
        if (i == threadIdx.x) before = *all;
        *all += places[i];
    }
    return before;
}

/* The kept ones are those above a rank, and the first n_equal of that rank. */
struct kept_tokens {
    uint32_t rank;
    int64_t n_equal;
};

static __device__ inline bool is_kept(const choice_row &r, const kept_tokens &kept, int64_t v,
                                      int64_t *n_before)
{
    const uint32_t rank = rank_of(to_float(r.logits[v]));
    if (!may_come(r, v) || rank < kept.rank) return false;
    return rank > kept.rank || (*n_before)++ < kept.n_equal;
}

/* How many of the rank a set with `top_p` of all holds, in order of ids. */
static __device__ inline kept_tokens keep(const choice_row &r, double top_p, double total)
{
    kept_tokens kept = {0, r.v};
    double above;
    if (top_p >= 1) return kept;
    kept.rank = find_rank(&above, r, top_p * total);
    const double each = (double)share_of(r, float_of_rank(kept.rank));
    for (kept.n_equal = 0; kept.n_equal < r.v; kept.n_equal++)
        if (above + (double)kept.n_equal * each >= top_p * total) break;
    return kept;
}

static __device__ inline double kept_share(const choice_row &r, const kept_tokens &kept, int64_t v,
                                           int64_t *n_before)
{
    return is_kept(r, kept, v, n_before) ? (double)share_of(r, to_float(r.logits[v])) : 0.0;
}

/* Every thread gets the token: it is among the ids of the first thread whose sum is beyond what is
 * wanted. */
static __device__ inline int32_t draw_token(const choice_row &r, double top_p, double uniform)
{
    __shared__ double sums[CHOOSE_THREADS];
    __shared__ int64_t counts[CHOOSE_THREADS];
    __shared__ int32_t token;
    double total = 0, all = 0, own = 0;
    int64_t equal = 0, n_equal = 0;
    for (int64_t v = r.first; v < r.end; v++)
        if (may_come(r, v)) own += (double)share_of(r, to_float(r.logits[v]));
    (void)sum_before(own, &total, sums);
    const kept_tokens kept = keep(r, top_p, total);
    for (int64_t v = r.first; v < r.end; v++)
        equal += may_come(r, v) && rank_of(to_float(r.logits[v])) == kept.rank;
    const int64_t equal_before = sum_before(equal, &n_equal, counts);
    int64_t n = equal_before;
    own = 0;
    for (int64_t v = r.first; v < r.end; v++) own += kept_share(r, kept, v, &n);
    const double before = sum_before(own, &all, sums), wanted = uniform * all;
    if (threadIdx.x == 0) token = -1;
    __syncthreads();
    if (before <= wanted && before + own > wanted) {
        double sum = 0;
        n = equal_before;
        for (int64_t v = r.first; v < r.end; v++) {
            const double share = kept_share(r, kept, v, &n);
            sum += share;
            if (share > 0) token = (int32_t)v;
            if (before + sum > wanted) break;
        }
    }
    __syncthreads();
    return token;
}

/* The larger value with the lower place of equals. */
struct best_logit {
    float value;
    int32_t id;
};
static __device__ inline best_logit better(best_logit a, best_logit b)
{
    return b.value > a.value || (b.value == a.value && b.id < a.id) ? b : a;
}

/* Every thread gets the best of all. */
static __device__ inline best_logit best_of_all(best_logit own)
{
    __shared__ best_logit all[CHOOSE_THREADS];
    __syncthreads();
    all[threadIdx.x] = own;
    __syncthreads();
    for (int half = CHOOSE_THREADS / 2; half > 0; half /= 2) {
        if ((int)threadIdx.x < half)
            all[threadIdx.x] = better(all[threadIdx.x], all[threadIdx.x + half]);
        __syncthreads();
    }
    return all[0];
}

static __global__ void choose_tokens_kernel(int32_t *token, float *log_probability, float *margin,
                                            const real *logits, const uint32_t *const *allowed,
                                            const float *temperature, const float *top_p,
                                            const float *uniform, int64_t v)
{
    const int64_t row = blockIdx.x, part = (v + CHOOSE_THREADS - 1) / CHOOSE_THREADS;
    choice_row r = {logits + row * v, allowed[row], v, threadIdx.x * part};
    r.first = r.first < v ? r.first : v;
    r.end = r.first + part < v ? r.first + part : v;
    r.temperature = temperature[row];
    best_logit first = {-INFINITY, INT32_MAX}, second = first, may = first;
    for (int64_t k = threadIdx.x; k < v; k += CHOOSE_THREADS) {
        const best_logit own = {to_float(r.logits[k]), (int32_t)k};
        second = better(second, own.value > first.value ? first : own);
        first = better(first, own);
        if (may_come(r, k)) may = better(may, own);
    }
    const best_logit largest = best_of_all(first);
    second = best_of_all(largest.id == first.id ? second : first);
    may = best_of_all(may);
    float sum = 0;
    for (int64_t k = threadIdx.x; k < v; k += CHOOSE_THREADS)
        sum += expf(to_float(r.logits[k]) - largest.value);
    sum = group_all<sum_of, CHOOSE_THREADS>(sum);
    int32_t chosen = fabsf(may.value) < INFINITY ? may.id : -1;
    r.max = may.value;
    if (chosen >= 0 && r.temperature > 0)
        chosen = draw_token(r, (double)top_p[row], (double)uniform[row]);
    if (threadIdx.x != 0) return;
    token[row] = chosen;
    margin[row] = largest.value - second.value;
    log_probability[row] =
        chosen < 0 ? 0.0f : to_float(r.logits[chosen]) - largest.value - logf(sum);
}

static enum status choose_tokens(int32_t *token, float *log_probability, float *margin,
                                 const void *logits, const struct token_choice *choice, int64_t n,
                                 int64_t v, struct stream *stream)
{
    if (n * v == 0) return OK;
    LAUNCH(choose_tokens_kernel, dim3(blocks_of(n, 1)), dim3(CHOOSE_THREADS), 0, stream, token,
           log_probability, margin, (const real *)logits, choice->allowed, choice->temperature,
           choice->top_p, choice->uniform, v);
    return launched("choose_tokens");
}

#endif
