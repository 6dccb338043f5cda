/* CPU streams. */
#include "device/stream.h"

#include <stdlib.h>

#include "base/thread_pool.h"

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
    thread_pool_destroy(stream->pool);
    free(stream);
}

int stream_threads(const struct stream *stream)
{
    return thread_pool_size(stream->pool);
}

enum status stream_wait(struct stream *stream)
{
    (void)stream; /* CPU work is done when the call that asked for it returns */
    return OK;
}
