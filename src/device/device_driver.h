/* What a kind of GPU does for device.h and stream.h: one const table per kind. */
#ifndef ROBIN_DEVICE_DEVICE_DRIVER_H
#define ROBIN_DEVICE_DEVICE_DRIVER_H

#include <stddef.h>

#include "base/status.h"
#include "device/stream.h"

#define DEVICE_TEXT_BYTES 320

struct device_driver {
    /* Makes number `index` modulo their count this thread's GPU, and describes it. */
    enum status (*open)(int index, int *number_out, char text[DEVICE_TEXT_BYTES]);
    /* Later threads that use the GPU come by here first. */
    enum status (*use)(int number);
    enum status (*stream_init)(struct stream *stream);
    void (*stream_release)(struct stream *stream);
    enum status (*wait)(struct stream *stream);
    enum status (*copy)(struct stream *stream, void *to, const void *from, size_t bytes);
    enum status (*zero)(struct stream *stream, void *memory, size_t bytes);
    enum status (*take)(void **memory_out, size_t bytes, const char *what);
    void (*give)(void *memory);
    enum status (*take_host)(void **memory_out, size_t bytes, const char *what);
    void (*give_host)(void *memory);
};

/* NULL where the build has none: its file is then not linked. */
extern const struct device_driver cuda_driver __attribute__((weak));

#endif
