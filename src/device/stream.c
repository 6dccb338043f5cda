/* Streams of the CPU; those of a GPU are its driver's. */
#include "device/stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/thread_pool.h"
#include "device/device_driver.h"

#define MEMORY_ALIGNMENT 256

enum status stream_create(struct stream **stream_out, int n_threads)
{
    enum status status = OK;
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) FAIL(ERR_MEMORY, "no memory for a stream");
    if (n_threads != 1) TRY(thread_pool_create(&stream->pool, n_threads));
    *stream_out = stream;
    stream = NULL;
out:
    stream_destroy(stream);
    return status;
}

void stream_destroy(struct stream *stream)
{
    if (stream == NULL) return;
    if (stream->driver != NULL) stream->driver->stream_release(stream);
    thread_pool_destroy(stream->pool);
    free(stream);
}

int stream_threads(const struct stream *stream)
{
    return thread_pool_size(stream->pool);
}

enum status stream_wait(struct stream *stream)
{
    /* CPU work is done when the call that asked for it returns. */
    return stream->driver != NULL ? stream->driver->wait(stream) : OK;
}

enum status stream_copy(struct stream *stream, void *to, const void *from, size_t bytes)
{
    if (bytes == 0) return OK;
    if (stream->driver != NULL) return stream->driver->copy(stream, to, from, bytes);
    memmove(to, from, bytes);
    return OK;
}

enum status stream_read(struct stream *stream, void *to, const void *from, size_t bytes)
{
    enum status status = OK;
    TRY(stream_copy(stream, to, from, bytes));
    TRY(stream_wait(stream));
out:
    return status;
}

enum status stream_zero(struct stream *stream, void *memory, size_t bytes)
{
    if (bytes == 0) return OK;
    if (stream->driver != NULL) return stream->driver->zero(stream, memory, bytes);
    memset(memory, 0, bytes);
    return OK;
}

/* ---- memory ---- */

static enum status take_on_cpu(void **memory_out, size_t bytes, const char *what)
{
    enum status status = OK;
    const size_t rounded = (bytes + MEMORY_ALIGNMENT) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT;
    void *memory = bytes < rounded ? aligned_alloc(MEMORY_ALIGNMENT, rounded) : NULL;
    if (memory == NULL)
        FAIL(ERR_MEMORY,
             "cannot take %zu bytes (%.2f GiB) of memory for %s; free some or make the job smaller",
             bytes, (double)bytes / (1024.0 * 1024.0 * 1024.0), what);
    *memory_out = memory;
out:
    return status;
}

enum status stream_take(struct stream *stream, void **memory_out, size_t bytes, const char *what)
{
    if (stream->driver != NULL) return stream->driver->take(memory_out, bytes, what);
    return take_on_cpu(memory_out, bytes, what);
}

void stream_give(struct stream *stream, void *memory)
{
    if (stream->driver != NULL)
        stream->driver->give(memory);
    else
        free(memory);
}

enum status stream_take_host(struct stream *stream, void **memory_out, size_t bytes,
                             const char *what)
{
    if (stream->driver != NULL) return stream->driver->take_host(memory_out, bytes, what);
    return take_on_cpu(memory_out, bytes, what);
}

void stream_give_host(struct stream *stream, void *memory)
{
    if (stream->driver != NULL)
        stream->driver->give_host(memory);
    else
        free(memory);
}
