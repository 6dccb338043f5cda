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

#include "base/bf16.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "device/device.h"
#include "device/stream.h"
#include "emulation/emulation.h"

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
    size_t total;          /* of the memory, guards included */
    unsigned char *memory; /* to free */
    unsigned char *data;   /* what the kernel sees; GUARD_BYTES lie before and after it */
    unsigned char *before; /* an input as it was */
    float *values;         /* what was drawn or given, rounded to dtype */
    void *on_device;       /* a copy of the memory, which the kernel sees instead */
};

struct kernel_buffers {
    struct buffer list[MAX_BUFFERS];
    int n;
    const char *op;
    bool off_by_one;     /* pointers one element off their alignment */
    enum dtype tensor;   /* type of tensors */
    enum dtype rounding; /* the type they are rounded to: ref's are fp32, rounded to another's */
    bool on_device;      /* the kernel's memory is not the host's */
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
    buffer->total = 2 * GUARD_BYTES + buffer->bytes + shift + 2 * ALIGNMENT;
    buffer->total -= buffer->total % ALIGNMENT;
    buffer->memory = aligned_alloc(ALIGNMENT, buffer->total);
    assert_non_null(buffer->memory);
    memset(buffer->memory, GUARD_VALUE, buffer->total);
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

/* The filled buffer's address for the kernel. */
static void *hand_out(struct kernel_run *run, struct buffer *buffer)
{
    struct kernel_buffers *buffers = run->buffers;
    if (buffer->role == ROLE_INPUT) {
        buffer->before = malloc(buffer->bytes + 1);
        assert_non_null(buffer->before);
        memcpy(buffer->before, buffer->data, buffer->bytes);
    }
    if (!buffers->on_device) return buffer->data;
    kernel_ok(stream_take(run->stream, &buffer->on_device, buffer->total, buffer->name));
    kernel_ok(stream_copy(run->stream, buffer->on_device, buffer->memory, buffer->total));
    return (unsigned char *)buffer->on_device + (buffer->data - buffer->memory);
}

static struct random_stream values_of(const char *op, const char *name)
{
    char *full = text_format("%s.%s", op, name);
    struct random_stream values = random_stream(kernel_seed(), full);
    free(full);
    return values;
}

/* Puts buffer->values, rounded as tensors are, into the buffer. */
static void fill_values(const struct kernel_run *run, struct buffer *buffer, bool is_tensor)
{
    const bool rounds = is_tensor && run->buffers->rounding == DTYPE_BF16;
    for (int64_t k = 0; k < buffer->n; k++) {
        if (rounds) buffer->values[k] = bf16_to_float(bf16_from_float(buffer->values[k]));
        if (buffer->dtype == DTYPE_BF16)
            ((uint16_t *)(void *)buffer->data)[k] = bf16_from_float(buffer->values[k]);
        else
            ((float *)(void *)buffer->data)[k] = buffer->values[k];
    }
}

/* Drawn uniformly in min .. max, or given. */
static void *add_floats(struct kernel_run *run, const char *name, enum role role, bool is_tensor,
                        int64_t n, const double range[2], const float *given, int64_t terms)
{
    const enum dtype dtype = is_tensor ? run->buffers->tensor : DTYPE_F32;
    struct buffer *buffer = buffer_add(run, name, role, dtype, n);
    buffer->terms = terms;
    buffer->values = memory_new((size_t)n + 1, sizeof *buffer->values);
    if (given != NULL)
        memcpy(buffer->values, given, (size_t)n * sizeof *given);
    else
        random_fill(buffer->values, (uint64_t)n, 0, values_of(run->buffers->op, name),
                    (range[0] + range[1]) / 2, (range[1] - range[0]) / 2);
    fill_values(run, buffer, is_tensor);
    return hand_out(run, buffer);
}

/* Quiet NaNs: whoever reads them, or forgets to write, fails the comparison. */
static void fill_nan(struct buffer *buffer)
{
    memset(buffer->data, 0xFF, buffer->bytes);
}

const void *kernel_input(struct kernel_run *run, const char *name, int64_t n, double min,
                         double max)
{
    return add_floats(run, name, ROLE_INPUT, true, n, (double[]){min, max}, NULL, 0);
}

const float *kernel_input_f32(struct kernel_run *run, const char *name, int64_t n, double min,
                              double max)
{
    return add_floats(run, name, ROLE_INPUT, false, n, (double[]){min, max}, NULL, 0);
}

const void *kernel_input_values(struct kernel_run *run, const char *name, int64_t n,
                                const float *values)
{
    return add_floats(run, name, ROLE_INPUT, true, n, NULL, values, 0);
}

const float *kernel_input_values_f32(struct kernel_run *run, const char *name, int64_t n,
                                     const float *values)
{
    return add_floats(run, name, ROLE_INPUT, false, n, NULL, values, 0);
}

const float *kernel_values(const struct kernel_run *run, const char *name)
{
    for (int i = 0; i < run->buffers->n; i++)
        if (strcmp(run->buffers->list[i].name, name) == 0) return run->buffers->list[i].values;
    fail_msg("no buffer is called %s", name);
    return NULL;
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
    return hand_out(run, buffer);
}

const int32_t *kernel_input_i32_values(struct kernel_run *run, const char *name, int64_t n,
                                       const int32_t *values)
{
    struct buffer *buffer = buffer_add(run, name, ROLE_INPUT, DTYPE_I32, n);
    if (n > 0) memcpy(buffer->data, values, buffer->bytes);
    return hand_out(run, buffer);
}

const void *kernel_input_records(struct kernel_run *run, const char *name, int64_t bytes,
                                 const void *records)
{
    const bool off_by_one = run->buffers->off_by_one;
    run->buffers->off_by_one = false;
    struct buffer *buffer = buffer_add(run, name, ROLE_INPUT, DTYPE_U8, bytes);
    run->buffers->off_by_one = off_by_one;
    if (bytes > 0) memcpy(buffer->data, records, buffer->bytes);
    return hand_out(run, buffer);
}

const uint8_t *kernel_input_u8(struct kernel_run *run, const char *name, int64_t n, double share)
{
    struct buffer *buffer = buffer_add(run, name, ROLE_INPUT, DTYPE_U8, n);
    struct random_stream values = values_of(run->buffers->op, name);
    for (int64_t k = 0; k < n; k++)
        buffer->data[k] = random_uniform(values, (uint64_t)k) < share ? 1 : 0;
    return hand_out(run, buffer);
}

static struct buffer *add_output(struct kernel_run *run, const char *name, enum dtype dtype,
                                 int64_t n, int64_t terms)
{
    struct buffer *buffer = buffer_add(run, name, ROLE_OUTPUT, dtype, n);
    buffer->terms = terms;
    fill_nan(buffer);
    return buffer;
}

void *kernel_output(struct kernel_run *run, const char *name, int64_t n, int64_t terms)
{
    return hand_out(run, add_output(run, name, run->buffers->tensor, n, terms));
}

float *kernel_output_f32(struct kernel_run *run, const char *name, int64_t n, int64_t terms)
{
    return hand_out(run, add_output(run, name, DTYPE_F32, n, terms));
}

double *kernel_output_f64(struct kernel_run *run, const char *name, int64_t n, int64_t terms)
{
    return (double *)(void *)add_output(run, name, DTYPE_F64, n, terms)->data;
}

void *kernel_inout(struct kernel_run *run, const char *name, int64_t n, double min, double max,
                   int64_t terms)
{
    return add_floats(run, name, ROLE_OUTPUT, true, n, (double[]){min, max}, NULL, terms);
}

float *kernel_inout_f32(struct kernel_run *run, const char *name, int64_t n, double min, double max,
                        int64_t terms)
{
    return add_floats(run, name, ROLE_OUTPUT, false, n, (double[]){min, max}, NULL, terms);
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
    return hand_out(run, buffer);
}

void kernel_ok(enum status status)
{
    if (status != OK) fail_msg("the kernel failed: %s", status_message());
}

/* ---- one call, and comparing two ---- */

/* Where and how a call is made. */
struct call {
    const struct kernels *kernels;
    const int64_t *dims;
    struct device *device; /* of the table */
    enum dtype rounding;
    int n_threads; /* on an emulated GPU: the order of its threads */
    bool off_by_one;
};

static void fetch(struct kernel_buffers *buffers, struct stream *stream)
{
    for (int i = 0; i < buffers->n; i++) {
        struct buffer *buffer = &buffers->list[i];
        if (buffer->on_device == NULL) continue;
        kernel_ok(stream_read(stream, buffer->memory, buffer->on_device, buffer->total));
        stream_give(stream, buffer->on_device);
    }
}

static struct kernel_buffers *call_once(const struct kernel_test *test, const struct call *call)
{
    struct kernel_buffers *buffers = calloc(1, sizeof *buffers);
    assert_non_null(buffers);
    *buffers = (struct kernel_buffers){.op = test->op,
                                       .off_by_one = call->off_by_one,
                                       .tensor = call->kernels->dtype,
                                       .rounding = call->rounding,
                                       .on_device = kernels_on_gpu(call->kernels)};
    struct stream *stream = NULL;
    kernel_ok(device_stream(call->device, &stream, call->n_threads));
    if (emulation_set_order != NULL) emulation_set_order((unsigned)call->n_threads - 1);
    struct kernel_run run = {call->kernels, stream, call->dims, buffers};
    test->call(&run);
    kernel_ok(stream_wait(stream));
    fetch(buffers, stream);
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
        free(buffers->list[i].values);
    }
    free(buffers);
}

/* The elements as fp32 or fp64, to free(). */
static void *elements_of(const struct buffer *buffer, bool rounds)
{
    unsigned char *copy = malloc(buffer->bytes * 2 + 1);
    assert_non_null(copy);
    float *f32 = (float *)(void *)copy;
    if (buffer->dtype != DTYPE_BF16) memcpy(copy, buffer->data, buffer->bytes);
    for (int64_t k = 0; buffer->dtype == DTYPE_BF16 && k < buffer->n; k++)
        f32[k] = bf16_to_float(((const uint16_t *)(const void *)buffer->data)[k]);
    for (int64_t k = 0; rounds && k < buffer->n; k++)
        f32[k] = bf16_to_float(bf16_from_float(f32[k]));
    return copy;
}

/* Moves one element by four bounds (or to the next number where nothing is allowed): must fail. */
static void prove_bound(const struct buffer *buffer, void *got, const void *want, double bound)
{
    if (buffer->n == 0) return;
    int64_t k = (int64_t)(kernel_seed() % (uint64_t)buffer->n);
    const bool is_f64 = buffer->dtype == DTYPE_F64;
    if (bound == 0)
        ((unsigned char *)got)[(size_t)k * (is_f64 ? 8 : 4)] ^= 1;
    else if (is_f64)
        ((double *)got)[k] += 4 * bound;
    else
        ((float *)got)[k] = (float)((double)((float *)got)[k] + 4 * bound);
    struct tolerance_result result =
        tolerance_compare(got, want, buffer->n, buffer->dtype, buffer->terms, buffer->magnitude);
    if (result.passed)
        fail_msg("the bound of %s proves nothing: element %lld moved by 4 x %g passed",
                 buffer->name, (long long)k, bound);
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
        void *values = elements_of(g, false);
        void *wanted = elements_of(w, g->dtype == DTYPE_BF16 && w->terms == TOLERANCE_EXACT);
        struct tolerance_result result =
            tolerance_compare(values, wanted, w->n, g->dtype, w->terms, w->magnitude);
        if (!result.passed)
            fail_msg("%s (%s, sizes %s): %s[%lld] is %.9g, ref %.9g; difference %.3g, allowed %.3g",
                     want->op, table, sizes, w->name, (long long)result.worst, result.got,
                     result.want, result.error, result.bound);
        prove_bound(g, values, wanted, result.bound);
        free(wanted);
        free(values);
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

static double test_table(const struct kernel_test *test, const struct call *call,
                         const struct kernel_buffers *want, const char *sizes)
{
    double worst = 0;
    /* ref is slow and knows no threads: one comparison with itself, pointers off, is enough. */
    const bool is_ref = call->kernels == &kernels_ref || call->kernels == &kernels_ref_bf16;
    for (int off_by_one = is_ref; off_by_one <= 1; off_by_one++) {
        struct call one = *call;
        one.off_by_one = off_by_one != 0;
        struct kernel_buffers *first = call_once(test, &one);
        double share = compare_with_ref(first, want, call->kernels->name, sizes);
        if (share > worst) worst = share;
        const bool on_gpu = kernels_on_gpu(call->kernels); /* slow where it is emulated */
        for (one.n_threads = on_gpu ? 2 : 1; one.n_threads <= (is_ref ? 1 : 3); one.n_threads++) {
            struct kernel_buffers *again = call_once(test, &one);
            compare_bits(first, again, one.n_threads, sizes);
            buffers_free(again);
        }
        buffers_free(first);
    }
    return worst;
}

/* One table at every size; returns the largest share of a bound that was used. */
static double test_sizes(const struct kernel_test *test, struct call *call, const int64_t *sizes,
                         size_t n_sizes, size_t n_dims)
{
    double worst = 0;
    for (size_t i = 0; i < n_sizes; i++) {
        char text[128];
        describe(text, sizeof text, sizes + i * n_dims, n_dims);
        call->dims = sizes + i * n_dims;
        struct call reference = *call;
        struct device *host = NULL;
        kernel_ok(device_open(&host, "cpu", 0));
        reference.kernels = &kernels_ref;
        reference.device = host;
        struct kernel_buffers *want = call_once(test, &reference);
        double share = test_table(test, call, want, text);
        if (share > worst) worst = share;
        buffers_free(want);
        device_close(host);
    }
    return worst;
}

void kernel_test_run(const struct kernel_test *test, const int64_t *sizes, size_t n_sizes,
                     size_t n_dims)
{
    static const char *const tables[] = {"ref", "cpu", "cuda", "ref-bf16", "cpu-bf16", "cuda-bf16"};
    (void)kernel_seed();
    assert_true(has_entry(&kernels_ref, test));
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        const struct kernels *kernels = kernels_find(tables[t]);
        if (kernels == NULL || !has_entry(kernels, test)) {
            print_message("skipped: %s on %s: this table has no such entry\n", test->op, tables[t]);
            continue;
        }
        struct call call = {.kernels = kernels, .rounding = kernels->dtype, .n_threads = 1};
        kernel_ok(device_open(&call.device, kernels->device, 0));
        double worst = test_sizes(test, &call, sizes, n_sizes, n_dims);
        print_message("%s on %s (%s): %zu sizes, largest error %.2f of its bound\n", test->op,
                      tables[t], device_text(call.device), n_sizes, worst);
        device_close(call.device);
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
