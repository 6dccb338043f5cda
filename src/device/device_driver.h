/* What a kind of GPU does for device.h and stream.h: one const table per kind. */
#ifndef ROBIN_DEVICE_DEVICE_DRIVER_H
#define ROBIN_DEVICE_DEVICE_DRIVER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "device/device.h"
#include "device/stream.h"

struct trace_follower;

struct device_driver {
    const struct trace_follower *ranges; /* spans as ranges of the GPU's profilers */
    /* Makes number `index` modulo their count this thread's GPU, and describes it. */
    enum status (*open)(int index, int *number_out, char text[DEVICE_TEXT_BYTES]);
    /* Later threads that use the GPU come by here first. */
    enum status (*use)(int number);
    /* Which of all GPUs of the machine number `number` is, whoever counts them. */
    enum status (*identify)(int number, char text[DEVICE_TEXT_BYTES]);
    /* `scratch`: for kernels; without, a stream of copies and messages. */
    enum status (*stream_init)(struct stream *stream, bool scratch);
    void (*stream_release)(struct stream *stream);
    enum status (*wait)(struct stream *stream);
    enum status (*copy)(struct stream *stream, void *to, const void *from, size_t bytes);
    enum status (*zero)(struct stream *stream, void *memory, size_t bytes);
    enum status (*take)(void **memory_out, size_t bytes, const char *what);
    void (*give)(void *memory);
    enum status (*take_host)(void **memory_out, size_t bytes, const char *what);
    void (*give_host)(void *memory);
    /* of event.h */
    enum status (*event_init)(void **handle_out);
    void (*event_release)(void *handle);
    enum status (*event_record)(void *handle, struct stream *stream);
    enum status (*event_hold)(struct stream *stream, void *handle);
    enum status (*event_happened)(void *handle, bool *happened_out);
    enum status (*event_wait)(void *handle);
    enum status (*event_elapsed)(void *from, void *to, double *ms_out);
    /* of graph.h; handle_out NULL: what was written down is dropped */
    enum status (*graph_begin)(struct stream *stream);
    enum status (*graph_end)(void **handle_out, struct stream *stream);
    enum status (*graph_run)(void *handle, struct stream *stream);
    void (*graph_release)(void *handle);
};

/* NULL where the build has none: its file is then not linked. */
extern const struct device_driver cuda_driver __attribute__((weak));

#endif
