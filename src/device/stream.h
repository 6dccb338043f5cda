/* Where kernels run, in order. On the CPU a stream is a thread pool and calls return when the work
 * is done; on a GPU it is a CUDA stream and calls return at once. */
#ifndef ROBIN_DEVICE_STREAM_H
#define ROBIN_DEVICE_STREAM_H

#include <stddef.h>

#include "base/status.h"

struct thread_pool;
struct cuda_stream;
struct device_driver;

/* Zeroed: a stream of the CPU with the caller's thread alone. */
struct stream {
    struct thread_pool *pool;           /* NULL: the caller's thread alone */
    struct cuda_stream *cuda;           /* NULL: on the CPU */
    const struct device_driver *driver; /* of a GPU; NULL: on the CPU */
};

/* A CPU stream with `n_threads` >= 1 threads. */
enum status stream_create(struct stream **stream_out, int n_threads);
void stream_destroy(struct stream *stream);
int stream_threads(const struct stream *stream);
/* Waits until all work handed to the stream is done; reports its first error. */
enum status stream_wait(struct stream *stream);

/* In the order of the stream's work, between any two places of host and device. Host memory must
 * stay as it is until the stream was waited for. */
enum status stream_copy(struct stream *stream, void *to, const void *from, size_t bytes);
/* stream_copy to the host, and waits for it. */
enum status stream_read(struct stream *stream, void *to, const void *from, size_t bytes);
enum status stream_zero(struct stream *stream, void *memory, size_t bytes);

/* Memory that the stream's kernels reach, aligned to 256 bytes, not zeroed. ERR_MEMORY says what
 * for, how much was asked for and, of a GPU, how much is free. */
enum status stream_take(struct stream *stream, void **memory_out, size_t bytes, const char *what);
void stream_give(struct stream *stream, void *memory);
/* Host memory that copies to and from the stream's device at full speed. */
enum status stream_take_host(struct stream *stream, void **memory_out, size_t bytes,
                             const char *what);
void stream_give_host(struct stream *stream, void *memory);

#endif
