/* Where kernels run, in order. On the CPU a stream is a thread pool and calls return when the work
 * is done; on a GPU (later, in this same header) it is a CUDA stream and calls return at once. */
#ifndef ROBIN_DEVICE_STREAM_H
#define ROBIN_DEVICE_STREAM_H

#include <stddef.h>

#include "base/status.h"

struct thread_pool;

struct stream {
    struct thread_pool *pool; /* NULL: the caller's thread alone */
};

/* A CPU stream with `n_threads` >= 1 threads. */
enum status stream_create(struct stream **stream_out, int n_threads);
void stream_destroy(struct stream *stream);
int stream_threads(const struct stream *stream);
/* Waits until all work handed to the stream is done; reports its first error. */
enum status stream_wait(struct stream *stream);

#endif
