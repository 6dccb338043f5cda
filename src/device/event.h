/* Places in the work of a stream: whether it has come there, one stream that waits for another, and
 * the time between two places. On the CPU work is done when the call returns: an event has then
 * happened as soon as it is recorded. */
#ifndef ROBIN_DEVICE_EVENT_H
#define ROBIN_DEVICE_EVENT_H

#include <stdbool.h>

#include "base/status.h"

struct event;
struct stream;

/* Of the stream's device. Not recorded yet, it has happened. */
enum status event_create(struct event **event_out, struct stream *stream);
void event_destroy(struct event *event);

/* From now on it is the end of what the stream was handed so far. */
enum status event_record(struct event *event, struct stream *stream);
/* What the stream is handed from now on begins after the event. The host does not wait. */
enum status event_hold(struct stream *stream, const struct event *event);
/* Does not wait. The first error of the work before it is reported. */
enum status event_happened(const struct event *event, bool *happened_out);
/* Waits for it. */
enum status event_wait(const struct event *event);
/* Between two events that have happened. */
enum status event_elapsed(const struct event *from, const struct event *to, double *ms_out);

#endif
