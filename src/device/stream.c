/* Streams of the CPU; those of a GPU are its driver's. */
#include "device/stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/thread_pool.h"
#include "device/device_driver.h"

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
