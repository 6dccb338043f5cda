/* Numbers for TensorBoard: an event file as TensorFlow defines it, records framed by lengths and
 * masked CRC-32Cs (tensorflow/core/lib/io/record_writer.h), each a protobuf message Event
 * (tensorflow/core/util/event.proto) with one scalar summary. */
#ifndef ROBIN_TRAIN_EVENT_FILE_H
#define ROBIN_TRAIN_EVENT_FILE_H

#include <stdint.h>

#include "base/status.h"

struct event_file;

/* A new file events.out.tfevents.TIME.HOST.PID in the directory; what earlier files hold of steps
 * after `steps_done` is declared void. ERR_IO. */
enum status event_file_open(struct event_file **file_out, const char *directory,
                            int64_t steps_done);
void event_file_close(struct event_file *file);

/* One number of one step; written out by event_file_flush. Numbers that are not finite stay as
 * they are: TensorBoard shows them. */
void event_file_add(struct event_file *file, int64_t step, const char *tag, double value);
enum status event_file_flush(struct event_file *file);

#endif
