/* See device.h. */
#include "device/device.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "base/trace.h"
#include "device/device_driver.h"
#include "device/stream.h"

struct device {
    const struct device_driver *driver; /* NULL: the CPU */
    int number;
    char text[DEVICE_TEXT_BYTES];
};

enum status device_open(struct device **device_out, const char *name, int index)
{
    enum status status = OK;
    struct device *device = memory_new(1, sizeof *device);
    const bool gpu = strcmp(name, "cpu") != 0;
    if (gpu && strcmp(name, "cuda") != 0)
        FAIL(ERR_ARGUMENT, "there is no device '%s'; take cpu or cuda", name);
    if (gpu && &cuda_driver == NULL)
        FAIL(ERR_UNSUPPORTED, "built without CUDA; rebuild with make CUDA=1");
    if (gpu) device->driver = &cuda_driver;
    memcpy(device->text, "CPU", sizeof "CPU");
    if (gpu) TRY(device->driver->open(index, &device->number, device->text));
    if (gpu) trace_follow(device->driver->ranges);
    *device_out = device;
    device = NULL;
out:
    device_close(device);
    return status;
}

void device_close(struct device *device)
{
    free(device);
}

const char *device_text(const struct device *device)
{
    return device->text;
}

bool device_is_gpu(const struct device *device)
{
    return device->driver != NULL;
}

enum status device_identity(const struct device *device, char text[DEVICE_TEXT_BYTES])
{
    memcpy(text, "CPU", sizeof "CPU");
    return device->driver != NULL ? device->driver->identify(device->number, text) : OK;
}

enum status device_use(const struct device *device)
{
    return device->driver != NULL ? device->driver->use(device->number) : OK;
}

static enum status make_stream(struct device *device, struct stream **stream_out, int n_threads,
                               bool scratch)
{
    enum status status = OK;
    struct stream *stream = NULL;
    TRY(stream_create(&stream, n_threads));
    if (device->driver != NULL) {
        TRY(device_use(device));
        stream->driver = device->driver;
        TRY(device->driver->stream_init(stream, scratch));
    }
    *stream_out = stream;
    stream = NULL;
out:
    stream_destroy(stream);
    return status;
}

enum status device_stream(struct device *device, struct stream **stream_out, int n_threads)
{
    return make_stream(device, stream_out, n_threads, true);
}

enum status device_side_stream(struct device *device, struct stream **stream_out)
{
    return make_stream(device, stream_out, 1, false);
}
