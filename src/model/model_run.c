/* See model_run.h. */
#include "model/model_run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/bf16.h"
#include "base/text_buffer.h"
#include "base/trace.h"
#include "device/stream.h"

enum status weights_needed(const struct model_run *run, int64_t stage)
{
    if (run->hooks == NULL || run->hooks->weights_needed == NULL) return OK;
    return run->hooks->weights_needed(run->hooks->context, stage);
}

enum status gradients_needed(const struct model_run *run, int64_t stage)
{
    if (run->hooks == NULL || run->hooks->gradients_needed == NULL) return OK;
    return run->hooks->gradients_needed(run->hooks->context, stage);
}

void gradients_done(const struct model_run *run, int64_t stage)
{
    if (run->hooks == NULL || run->hooks->gradients_done == NULL) return;
    run->hooks->gradients_done(run->hooks->context, stage);
}

bool counts_shared(const struct model_run *run)
{
    return run->share == NULL || run->share->index == 0;
}

struct model_run run_in_fp32(const struct model_run *run)
{
    struct model_run wide = *run;
    wide.kernels = kernels_in(run->kernels, DTYPE_F32);
    ASSERT(wide.kernels != NULL, "kernels %s have no fp32 beside them", run->kernels->name);
    return wide;
}

enum status share_sum(const struct model_run *run, void *tensor, int64_t n, const char *what)
{
    enum status status = OK;
    if (run->share == NULL) return OK;
    if (dtype_of(run) == DTYPE_F32) return share_sum_floats(run, tensor, n, what);
    TRY(run->kernels->widen(run->wide, tensor, n, run->stream));
    TRY(share_sum_floats(run, run->wide, n, what));
    TRY(run->kernels->narrow(tensor, run->wide, n, run->stream));
out:
    return status;
}

enum status share_sum_floats(const struct model_run *run, float *values, int64_t n,
                             const char *what)
{
    if (run->share == NULL) return OK;
    return run->share->sum(run->share->context, values, n, what, run->stream);
}

enum status share_max(const struct model_run *run, float *values, int64_t n, const char *what)
{
    if (run->share == NULL) return OK;
    return run->share->max(run->share->context, values, n, what, run->stream);
}

static char *format_name(const char *format, va_list arguments)
{
    char *name = NULL;
    ASSERT(vasprintf(&name, format, arguments) >= 0, "no memory for a name");
    return name;
}

struct weight weight_find(const struct flat_weights *flat, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *name = format_name(format, arguments);
    va_end(arguments);
    const struct parameter *parameter = parameter_find(flat->table, name);
    ASSERT(parameter != NULL, "the table has no parameter %s", name);
    free(name);
    struct weight weight = {
        .value = element_at(flat->values, parameter->offset - flat->first, flat->dtype)};
    if (flat->gradients != NULL && parameter->gradient_offset >= 0)
        weight.gradient = flat->gradients + parameter->gradient_place;
    return weight;
}

struct linear linear_find(const struct flat_weights *flat, const char *name, int64_t out,
                          int64_t in)
{
    return (struct linear){.weight = weight_find(flat, "%s.weight", name),
                           .bias = weight_find(flat, "%s.bias", name),
                           .out = out,
                           .in = in};
}

static double linear_flops(const struct linear *linear, int64_t n)
{
    return 2.0 * (double)n * (double)linear->out * (double)linear->in;
}

enum status linear_apply(const struct model_run *run, const struct linear *linear, void *y,
                         const void *x, int64_t n)
{
    trace_push("kernel", "linear");
    const enum status status = run->kernels->linear_forward(
        y, x, linear->weight.value, linear->bias.value, n, linear->out, linear->in, run->stream);
    trace_pop(linear_flops(linear, n));
    return status;
}

enum status linear_add_gradients(const struct model_run *run, const struct linear *linear,
                                 const void *dy, const void *x, const void *ones, int64_t n)
{
    float *dw = linear->weight.gradient;
    float *db = linear->bias.gradient;
    if (dw != NULL) {
        trace_push("kernel", "linear weight gradient");
        const enum status status = run->kernels->linear_backward_weight(
            dw, db, dy, x, n, linear->out, linear->in, run->stream);
        trace_pop(linear_flops(linear, n));
        return status;
    }
    if (db != NULL)
        return run->kernels->linear_backward_weight(db, NULL, dy, ones, n, linear->out, 1,
                                                    run->stream);
    return OK;
}

enum status linear_propagate(const struct model_run *run, const struct linear *linear, void *dx,
                             const void *dy, int64_t n)
{
    trace_push("kernel", "linear input gradient");
    const enum status status = run->kernels->linear_backward_input(
        dx, dy, linear->weight.value, n, linear->out, linear->in, 0, run->stream);
    trace_pop(linear_flops(linear, n));
    return status;
}

struct norm norm_find(const struct flat_weights *flat, const char *name, bool has_bias)
{
    struct norm norm = {.weight = weight_find(flat, "%s.weight", name)};
    if (has_bias) norm.bias = weight_find(flat, "%s.bias", name);
    return norm;
}

float *take_floats(struct arena *arena, int64_t n, int64_t c)
{
    return arena_take(arena, size_multiply(size_multiply((size_t)n, (size_t)c), sizeof(float)));
}

void *take_tensor(struct arena *arena, enum dtype dtype, int64_t n, int64_t c)
{
    return arena_take(arena, size_multiply(size_multiply((size_t)n, (size_t)c), dtype_size(dtype)));
}

enum status zero_tensor(const struct model_run *run, void *tensor, int64_t n)
{
    return stream_zero(run->stream, tensor, (size_t)n * dtype_size(dtype_of(run)));
}

enum status fill_ones(const struct model_run *run, void *tensor, int64_t n)
{
    enum status status = OK;
    const enum dtype dtype = dtype_of(run);
    void *ones = memory_new((size_t)n + 1, dtype_size(dtype));
    for (int64_t i = 0; i < n; i++) {
        if (dtype == DTYPE_F32)
            ((float *)ones)[i] = 1.0f;
        else
            ((uint16_t *)ones)[i] = bf16_from_float(1.0f);
    }
    TRY(stream_copy(run->stream, tensor, ones, (size_t)n * dtype_size(dtype)));
    TRY(stream_wait(run->stream));
out:
    free(ones);
    return status;
}

enum status read_tensor(const struct model_run *run, float *out, const void *tensor, int64_t n)
{
    enum status status = OK;
    const enum dtype dtype = dtype_of(run);
    uint16_t *halves = NULL;
    if (dtype == DTYPE_F32) return stream_read(run->stream, out, tensor, (size_t)n * sizeof *out);
    halves = memory_new((size_t)n + 1, sizeof *halves);
    TRY(stream_read(run->stream, halves, tensor, (size_t)n * sizeof *halves));
    for (int64_t i = 0; i < n; i++) out[i] = bf16_to_float(halves[i]);
out:
    free(halves);
    return status;
}

bool observes_all(const struct model_run *run)
{
    return run->observer != NULL && run->observer->only == NULL;
}

static bool is_observed(const struct model_run *run, const char *format)
{
    if (run->observer == NULL) return false;
    return run->observer->only == NULL || strcmp(run->observer->only, format) == 0;
}

/* `run` with kernels of the data's type. */
static enum status show(const struct model_run *run, const void *data, int64_t rows,
                        int64_t columns, const char *name)
{
    enum status status = OK;
    const size_t n = (size_t)(rows * columns);
    const bool copies = kernels_on_gpu(run->kernels) || dtype_of(run) != DTYPE_F32;
    float *copy = copies ? memory_new(n + 1, sizeof *copy) : NULL;
    if (copies) TRY(read_tensor(run, copy, data, (int64_t)n));
    TRY(stream_wait(run->stream));
    run->observer->see(run->observer->context, name, copies ? copy : data, rows, columns);
out:
    free(copy);
    return status;
}

enum status observe(const struct model_run *run, const void *data, int64_t rows, int64_t columns,
                    const char *format, ...)
{
    if (!is_observed(run, format)) return OK;
    va_list arguments;
    va_start(arguments, format);
    char *name = format_name(format, arguments);
    va_end(arguments);
    const enum status status = show(run, data, rows, columns, name);
    free(name);
    return status;
}

enum status observe_floats(const struct model_run *run, const float *data, int64_t rows,
                           int64_t columns, const char *format, ...)
{
    if (!is_observed(run, format)) return OK;
    const struct model_run wide = run_in_fp32(run);
    va_list arguments;
    va_start(arguments, format);
    char *name = format_name(format, arguments);
    va_end(arguments);
    const enum status status = show(&wide, data, rows, columns, name);
    free(name);
    return status;
}
