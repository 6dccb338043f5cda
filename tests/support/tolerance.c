/* The table behind every comparison of a kernel with its specification. Rounding errors of a sum of
 * K terms grow like sqrt(K) when their signs are random; the factors were set from that, with room
 * for the few roundings of an elementary function; bf16 results are summed in fp32 and rounded
 * once, which costs up to 2^-8 of an element. kernel_test.c proves each bound in use: an element
 * moved by four bounds must be refused. */
#include "support/tolerance.h"

#include <math.h>

#include "base/assertion.h"

static const struct {
    enum dtype dtype;
    int64_t max_terms;
    double relative;
} table[] = {
    {DTYPE_F32, 1, 0x1p-21},       {DTYPE_F32, 64, 0x1p-20},      {DTYPE_F32, 1024, 0x1p-19},
    {DTYPE_F32, 16384, 0x1p-18},   {DTYPE_F32, 1 << 20, 0x1p-17}, {DTYPE_F64, 1, 0x1p-50},
    {DTYPE_F64, 1 << 20, 0x1p-41}, {DTYPE_BF16, 1, 0x1.04p-8},    {DTYPE_BF16, 1 << 20, 0x1.1p-8},
};

double tolerance_relative(enum dtype dtype, int64_t terms)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].dtype == dtype && terms <= table[i].max_terms) return table[i].relative;
    ASSERT(0, "the tolerance table has no row for dtype %d and %lld terms", (int)dtype,
           (long long)terms);
    return 0;
}

static double element(const void *values, int64_t i, enum dtype dtype)
{
    return dtype == DTYPE_F64 ? ((const double *)values)[i] : (double)((const float *)values)[i];
}

/* Equal infinities and two NaNs differ by nothing, one NaN by infinity. */
static double difference(double got, double want)
{
    if (got == want || (isnan(got) && isnan(want))) return 0;
    double error = fabs(got - want);
    return isnan(error) ? INFINITY : error;
}

struct tolerance_result tolerance_compare(const void *got, const void *want, int64_t n,
                                          enum dtype dtype, int64_t terms, double magnitude)
{
    struct tolerance_result result = {.passed = true, .worst = -1, .error = -1};
    for (int64_t i = 0; i < n; i++) {
        double value = fabs(element(want, i, dtype));
        if (isfinite(value) && value > magnitude) magnitude = value;
    }
    if (terms != TOLERANCE_EXACT) result.bound = tolerance_relative(dtype, terms) * magnitude;
    for (int64_t i = 0; i < n; i++) {
        double error = difference(element(got, i, dtype), element(want, i, dtype));
        if (error <= result.error) continue;
        result.error = error;
        result.worst = i;
        result.got = element(got, i, dtype);
        result.want = element(want, i, dtype);
    }
    result.passed = n == 0 || result.error <= result.bound;
    return result;
}
