/* One description of a call, made on every table, with every guard round it. */
#include "support/kernel_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "base/text_buffer.h"
#include "device/stream.h"

#define GUARD_BYTES 128
#define GUARD_VALUE 0xA5
#define ALIGNMENT   64
#define MAX_BUFFERS 24

enum role { ROLE_INPUT, ROLE_OUTPUT, ROLE_WORKSPACE };

struct buffer {
    const char *name;
    enum role role;
    enum dtype dtype;
    int64_t n, terms;
    double magnitude;
    size_t bytes;
    unsigned char *memory; /* to free */
    unsigned char *data;   /* what the kernel sees; GUARD_BYTES lie before and after it */
    unsigned char *before; /* an input as it was */
};

struct kernel_buffers {
    struct buffer list[MAX_BUFFERS];
    int n;
    const char *op;
    bool off_by_one; /* pointers one element off their alignment */
};

uint64_t kernel_seed(void)
{
    static uint64_t seed = 0;
    if (seed != 0) return seed;
    const char *text = getenv("ROBIN_TEST_SEED");
    seed = text != NULL ? strtoull(text, NULL, 10) : 20250611;
    if (seed == 0) seed = 1;
    print_message("seed %llu (ROBIN_TEST_SEED=%llu repeats this run)\n", (unsigned long long)seed,
                  (unsigned long long)seed);
    return seed;
}

/* ---- buffers ---- */

static struct buffer *buffer_add(struct kernel_run *run, const char *name, enum role role,
                                 enum dtype dtype, int64_t n)
{
    struct kernel_buffers *buffers = run->buffers;
    assert_true(buffers->n < MAX_BUFFERS);
    struct buffer *buffer = &buffers->list[buffers->n++];
    size_t element = dtype_size(dtype);
    size_t shift = buffers->off_by_one && role != ROLE_WORKSPACE ? element : 0;
    *buffer = (struct buffer){.name = name, .role = role, .dtype = dtype, .n = n};
    buffer->bytes = (size_t)n * element;
    size_t total = 2 * GUARD_BYTES + buffer->bytes + shift + 2 * ALIGNMENT;
    total -= total % ALIGNMENT;
    buffer->memory = aligned_alloc(ALIGNMENT, total);
    assert_non_null(buffer->memory);
    memset(buffer->memory, GUARD_VALUE, total);
    buffer->data = buffer->memory + GUARD_BYTES + shift;
    return buffer;
}

static void check_guards(const struct buffer *buffer, const char *op)
{
    const unsigned char *end = buffer->data + buffer->bytes;
    for (const unsigned char *p = buffer->memory; p < end + GUARD_BYTES / 2; p++) {
        if (p == buffer->data) p = end;
        if (*p != GUARD_VALUE)
            fail_msg("%s wrote outside %s: byte %lld of %zu", op, buffer->name,
                     (long long)(p - buffer->data), buffer->bytes);
    }
}

static struct random_stream values_of(const char *op, const char *name)
{
    char *full = text_format("%s.%s", op, name);
    struct random_stream values = random_stream(kernel_seed(), full);
    free(full);
    return values;
}

static void fill_uniform(struct buffer *buffer, const char *op, double min, double max)
{
    float *data = (float *)(void *)buffer->data;
    random_fill(data, (uint64_t)buffer->n, 0, values_of(op, buffer->name), (min + max) / 2,
                (max - min) / 2);
}

/* Quiet NaNs: whoever reads them, or forgets to write, fails the comparison. */
static void fill_nan(struct buffer *buffer)
{
    memset(buffer->data, 0xFF, buffer->bytes);
}

static void keep_input(struct buffer *buffer)
{
    buffer->before = malloc(buffer->bytes + 1);
    assert_non_null(buffer->before);
    memcpy(buffer->before, buffer->data, buffer->bytes);
}

const float *kernel_input(struct kernel_run *run, const char *name, int64_t n, double min,
                          double max)
{
    struct buffer *buffer = buffer_add(run, name, ROLE_INPUT, DTYPE_F32, n);
    fill_uniform(buffer, run->buffers->op, min, max);
    keep_input(buffer);
    return (const float *)(const void *)buffer->data;
}

const int32_t *kernel_input_i32(struct kernel_run *run, const char *name, int64_t n, int32_t min,
                                int32_t max)
{
    struct buffer *buffer = buffer_add(run, name, ROLE_INPUT, DTYPE_I32, n);
    struct random_stream values = values_of(run->buffers->op, name);
    int32_t *data = (int32_t *)(void *)buffer->data;
    uint64_t range = (uint64_t)((int64_t)max - min + 1);
    for (int64_t k = 0; k < n; k++)
        data[k] = (int32_t)(min + (int64_t)random_below(values, (uint64_t)k, range));
    keep_input(buffer);
    return data;
}

const int32_t *kernel_input_i32_values(struct kernel_run *run, const char *name, int64_t n,
                                       const int32_t *values)
{
    struct buffer *buffer = buffer_add(run, name, ROLE_INPUT, DTYPE_I32, n);
    if (n > 0) memcpy(buffer->data, values, buffer->bytes);
    keep_input(buffer);
    return (const int32_t *)(const void *)buffer->data;
}

const float *kernel_input_values(struct kernel_run *run, const char *name, int64_t n,
                                 const float *values)
{
    struct buffer *buffer = buffer_add(run, name, ROLE_INPUT, DTYPE_F32, n);
    if (n > 0) memcpy(buffer->data, values, buffer->bytes);
    keep_input(buffer);
    return (const float *)(const void *)buffer->data;
}

const uint8_t *kernel_input_u8(struct kernel_run *run, const char *name, int64_t n, double share)
{
    struct buffer *buffer = buffer_add(run, name, ROLE_INPUT, DTYPE_U8, n);
    struct random_stream values = values_of(run->buffers->op, name);
    for (int64_t k = 0; k < n; k++)
        buffer->data[k] = random_uniform(values, (uint64_t)k) < share ? 1 : 0;
    keep_input(buffer);
    return buffer->data;
}

float *kernel_output(struct kernel_run *run, const char *name, int64_t n, int64_t terms)
{
    struct buffer *buffer = buffer_add(run, name, ROLE_OUTPUT, DTYPE_F32, n);
    buffer->terms = terms;
    fill_nan(buffer);
    return (float *)(void *)buffer->data;
}

double *kernel_output_f64(struct kernel_run *run, const char *name, int64_t n, int64_t terms)
{
    struct buffer *buffer = buffer_add(run, name, ROLE_OUTPUT, DTYPE_F64, n);
    buffer->terms = terms;
    fill_nan(buffer);
    return (double *)(void *)buffer->data;
}

float *kernel_inout(struct kernel_run *run, const char *name, int64_t n, double min, double max,
                    int64_t terms)
{
    struct buffer *buffer = buffer_add(run, name, ROLE_OUTPUT, DTYPE_F32, n);
    buffer->terms = terms;
    fill_uniform(buffer, run->buffers->op, min, max);
    return (float *)(void *)buffer->data;
}

void kernel_magnitude(struct kernel_run *run, const char *name, double magnitude)
{
    for (int i = 0; i < run->buffers->n; i++)
        if (strcmp(run->buffers->list[i].name, name) == 0) {
            run->buffers->list[i].magnitude = magnitude;
            return;
        }
    fail_msg("no buffer is called %s", name);
}

void *kernel_workspace(struct kernel_run *run, size_t bytes)
{
    if (bytes == 0) return NULL;
    struct buffer *buffer = buffer_add(run, "workspace", ROLE_WORKSPACE, DTYPE_U8, (int64_t)bytes);
    fill_nan(buffer);
    return buffer->data;
}

void kernel_ok(enum status status)
{
    if (status != OK) fail_msg("the kernel failed: %s", status_message());
}

/* ---- one call, and comparing two ---- */

static struct kernel_buffers *call_once(const struct kernel_test *test,
                                        const struct kernels *kernels, const int64_t *dims,
                                        int n_threads, bool off_by_one)
{
    struct kernel_buffers *buffers = calloc(1, sizeof *buffers);
    assert_non_null(buffers);
    buffers->op = test->op;
    buffers->off_by_one = off_by_one;
    struct stream *stream = NULL;
    kernel_ok(stream_create(&stream, n_threads));
    struct kernel_run run = {kernels, stream, dims, buffers};
    test->call(&run);
    kernel_ok(stream_wait(stream));
    stream_destroy(stream);
    for (int i = 0; i < buffers->n; i++) {
        const struct buffer *buffer = &buffers->list[i];
        check_guards(buffer, test->op);
        if (buffer->role == ROLE_INPUT && memcmp(buffer->data, buffer->before, buffer->bytes) != 0)
            fail_msg("%s changed its input %s", test->op, buffer->name);
    }
    return buffers;
}

static void buffers_free(struct kernel_buffers *buffers)
{
    for (int i = 0; i < buffers->n; i++) {
        free(buffers->list[i].memory);
        free(buffers->list[i].before);
    }
    free(buffers);
}

/* Moves one element by four bounds (or to the next number where nothing is allowed): must fail. */
static void prove_bound(const struct buffer *got, const struct buffer *want, double bound)
{
    if (got->n == 0) return;
    int64_t k = (int64_t)(kernel_seed() % (uint64_t)got->n);
    unsigned char *copy = malloc(got->bytes);
    assert_non_null(copy);
    memcpy(copy, got->data, got->bytes);
    float *f32 = (float *)(void *)copy;
    double *f64 = (double *)(void *)copy;
    if (bound == 0)
        copy[(size_t)k * dtype_size(got->dtype)] ^= 1;
    else if (got->dtype == DTYPE_F32)
        f32[k] = (float)((double)f32[k] + 4 * bound);
    else
        f64[k] += 4 * bound;
    struct tolerance_result result =
        tolerance_compare(copy, want->data, got->n, got->dtype, got->terms, got->magnitude);
    free(copy);
    if (result.passed)
        fail_msg("the bound of %s proves nothing: element %lld moved by 4 x %g passed", got->name,
                 (long long)k, bound);
}

static void describe(char *text, size_t size, const int64_t *dims, size_t n_dims)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n_dims && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, i ? " %lld" : "%lld", (long long)dims[i]);
}

/* Returns the largest share of a bound that was used. */
static double compare_with_ref(const struct kernel_buffers *got, const struct kernel_buffers *want,
                               const char *table, const char *sizes)
{
    double worst = 0;
    assert_true(got->n > 0);
    for (int i = 0; i < want->n; i++) {
        const struct buffer *w = &want->list[i], *g = NULL;
        if (w->role != ROLE_OUTPUT) continue;
        for (int j = 0; j < got->n; j++)
            if (strcmp(got->list[j].name, w->name) == 0) g = &got->list[j];
        assert_non_null(g);
        struct tolerance_result result =
            tolerance_compare(g->data, w->data, w->n, w->dtype, w->terms, w->magnitude);
        if (!result.passed)
            fail_msg("%s (%s, sizes %s): %s[%lld] is %.9g, ref %.9g; difference %.3g, allowed %.3g",
                     want->op, table, sizes, w->name, (long long)result.worst, result.got,
                     result.want, result.error, result.bound);
        prove_bound(g, w, result.bound);
        if (result.bound > 0 && result.error / result.bound > worst)
            worst = result.error / result.bound;
    }
    return worst;
}

static void compare_bits(const struct kernel_buffers *a, const struct kernel_buffers *b,
                         int n_threads, const char *sizes)
{
    assert_int_equal(a->n, b->n);
    for (int i = 0; i < a->n; i++)
        if (a->list[i].role == ROLE_OUTPUT &&
            memcmp(a->list[i].data, b->list[i].data, a->list[i].bytes) != 0)
            fail_msg("%s, sizes %s: %s has other bits on a second run with %d threads", a->op,
                     sizes, a->list[i].name, n_threads);
}

static bool has_entry(const struct kernels *kernels, const struct kernel_test *test)
{
    void (*entry)(void);
    memcpy(&entry, (const char *)kernels + test->entry, sizeof entry);
    return entry != NULL;
}

static double test_table(const struct kernel_test *test, const struct kernels *kernels,
                         const struct kernel_buffers *want, const int64_t *dims, const char *sizes)
{
    double worst = 0;
    /* ref is slow and knows no threads: one comparison with itself, pointers off, is enough. */
    bool is_ref = kernels == &kernels_ref;
    for (int off_by_one = is_ref; off_by_one <= 1; off_by_one++) {
        struct kernel_buffers *first = call_once(test, kernels, dims, 1, off_by_one != 0);
        double share = compare_with_ref(first, want, kernels->name, sizes);
        if (share > worst) worst = share;
        for (int n_threads = 1; n_threads <= (is_ref ? 1 : 3); n_threads++) {
            struct kernel_buffers *again =
                call_once(test, kernels, dims, n_threads, off_by_one != 0);
            compare_bits(first, again, n_threads, sizes);
            buffers_free(again);
        }
        buffers_free(first);
    }
    return worst;
}

void kernel_test_run(const struct kernel_test *test, const int64_t *sizes, size_t n_sizes,
                     size_t n_dims)
{
    static const char *const tables[] = {"ref", "cpu"};
    (void)kernel_seed();
    assert_true(has_entry(&kernels_ref, test));
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        const struct kernels *kernels = kernels_find(tables[t]);
        if (kernels == NULL || !has_entry(kernels, test)) {
            print_message("skipped: %s on %s: this table has no such entry\n", test->op, tables[t]);
            continue;
        }
        double worst = 0;
        for (size_t i = 0; i < n_sizes; i++) {
            char text[128];
            describe(text, sizeof text, sizes + i * n_dims, n_dims);
            struct kernel_buffers *want =
                call_once(test, &kernels_ref, sizes + i * n_dims, 1, false);
            double share = test_table(test, kernels, want, sizes + i * n_dims, text);
            if (share > worst) worst = share;
            buffers_free(want);
        }
        print_message("%s on %s: %zu sizes, largest error %.2f of its bound\n", test->op, tables[t],
                      n_sizes, worst);
    }
}

/* ---- gradients ---- */

static double numeric_derivative(const struct gradient_check *check, int64_t k)
{
    static const struct {
        double steps, weight;
    } points[] = {{1, 8}, {-1, -8}, {2, -1}, {-2, 1}};
    float x = check->x[k];
    double sum = 0;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        check->x[k] = (float)((double)x + points[i].steps * check->step);
        sum += points[i].weight * check->loss(check->context);
    }
    check->x[k] = x;
    return sum / (12 * check->step);
}

void kernel_gradient_check(const struct gradient_check *check)
{
    double magnitude = 0, worst = 0;
    (void)kernel_seed();
    for (int64_t k = 0; k < check->n; k++)
        if (magnitude < fabs((double)check->gradient[k]))
            magnitude = fabs((double)check->gradient[k]);
    double bound = check->tolerance * magnitude;
    int64_t n_points = check->n < 64 ? check->n : 64;
    for (int64_t i = 0; i < n_points; i++) {
        int64_t k = i * check->n / n_points;
        double numeric = numeric_derivative(check, k), given = (double)check->gradient[k];
        double error = fabs(numeric - given);
        if (error > worst) worst = error;
        if (!(error <= bound))
            fail_msg("%s[%lld]: gradient %.9g, by differences %.9g; difference %.3g, allowed %.3g",
                     check->name, (long long)k, given, numeric, error, bound);
        if (magnitude > 0 && fabs(numeric - (given + 4 * bound)) <= bound)
            fail_msg("the bound of %s proves nothing", check->name);
    }
    print_message("%s: %lld points, largest error %.2f of its bound\n", check->name,
                  (long long)n_points, bound > 0 ? worst / bound : 0.0);
}

float *kernel_random(const char *name, int64_t n, double min, double max)
{
    float *values = memory_new((size_t)n + 1, sizeof *values);
    random_fill(values, (uint64_t)n, 0, random_stream(kernel_seed(), name), (min + max) / 2,
                (max - min) / 2);
    return values;
}

double kernel_dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t k = 0; k < n; k++) sum += (double)a[k] * (double)b[k];
    return sum;
}
