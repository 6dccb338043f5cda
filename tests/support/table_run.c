/* See table_run.h. */
#include "support/table_run.h"

#include <stdlib.h>

#include "base/assertion.h"
#include "base/bf16.h"
#include "base/text_buffer.h"
#include "device/device.h"
#include "device/stream.h"

static void ok(enum status status)
{
    ASSERT(status == OK, "%s: %s", status_name(status), status_message());
}

bool table_run_init(struct table_run *run, const char *name, int n_threads)
{
    *run = (struct table_run){.kernels = kernels_find(name)};
    if (run->kernels == NULL) return false;
    ok(device_open(&run->device, run->kernels->device, 0));
    ok(device_stream(run->device, &run->stream, n_threads));
    return true;
}

void table_rewind(struct table_run *run, int n)
{
    ok(stream_wait(run->stream));
    while (run->n > n) stream_give(run->stream, run->buffers[--run->n]);
}

void table_run_release(struct table_run *run)
{
    if (run->kernels == NULL) return;
    table_rewind(run, 0);
    stream_destroy(run->stream);
    device_close(run->device);
}

void *table_take(struct table_run *run, size_t bytes)
{
    ASSERT(run->n < TABLE_RUN_BUFFERS, "more than %d buffers", TABLE_RUN_BUFFERS);
    ok(stream_take(run->stream, &run->buffers[run->n], bytes, "a test"));
    return run->buffers[run->n++];
}

void *table_send(struct table_run *run, const void *from, size_t bytes)
{
    void *to = table_take(run, bytes);
    ok(stream_copy(run->stream, to, from, bytes));
    ok(stream_wait(run->stream));
    return to;
}

void *table_send_tensor(struct table_run *run, const float *from, int64_t n)
{
    if (run->kernels->dtype == DTYPE_F32) return table_send(run, from, (size_t)n * sizeof *from);
    uint16_t *rounded = memory_new((size_t)n + 1, sizeof *rounded);
    for (int64_t i = 0; i < n; i++) rounded[i] = bf16_from_float(from[i]);
    void *to = table_send(run, rounded, (size_t)n * sizeof *rounded);
    free(rounded);
    return to;
}

void table_read(struct table_run *run, void *to, const void *from, size_t bytes)
{
    ok(stream_read(run->stream, to, from, bytes));
}
