/* See event.h. */
#include "device/event.h"

#include <stdlib.h>
#include <time.h>

#include "base/text_buffer.h"
#include "device/device_driver.h"

struct event {
    const struct device_driver *driver; /* NULL: the CPU */
    void *handle;
    double ms; /* of the CPU's clock */
};

enum status event_create(struct event **event_out, struct stream *stream)
{
    enum status status = OK;
    struct event *event = memory_new(1, sizeof *event);
    event->driver = stream->driver;
    if (event->driver != NULL) TRY(event->driver->event_init(&event->handle));
    *event_out = event;
    event = NULL;
out:
    event_destroy(event);
    return status;
}

void event_destroy(struct event *event)
{
    if (event == NULL) return;
    if (event->handle != NULL) event->driver->event_release(event->handle);
    free(event);
}

enum status event_record(struct event *event, struct stream *stream)
{
    struct timespec now;
    if (event->driver != NULL) return event->driver->event_record(event->handle, stream);
    clock_gettime(CLOCK_MONOTONIC, &now);
    event->ms = (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
    return OK;
}

enum status event_hold(struct stream *stream, const struct event *event)
{
    return event->driver != NULL ? event->driver->event_hold(stream, event->handle) : OK;
}

enum status event_happened(const struct event *event, bool *happened_out)
{
    *happened_out = true;
    return event->driver != NULL ? event->driver->event_happened(event->handle, happened_out) : OK;
}

enum status event_wait(const struct event *event)
{
    return event->driver != NULL ? event->driver->event_wait(event->handle) : OK;
}

enum status event_elapsed(const struct event *from, const struct event *to, double *ms_out)
{
    if (from->driver != NULL) return from->driver->event_elapsed(from->handle, to->handle, ms_out);
    *ms_out = to->ms - from->ms;
    return OK;
}
