/* Event files of TensorBoard. */
#include "train/event_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/text_buffer.h"

/* Fields of Event, Summary, Summary.Value and SessionLog. */
enum {
    EVENT_WALL_TIME = 1,
    EVENT_STEP = 2,
    EVENT_FILE_VERSION = 3,
    EVENT_SUMMARY = 5,
    EVENT_SESSION_LOG = 7,
    SUMMARY_VALUE = 1,
    VALUE_TAG = 1,
    VALUE_SIMPLE = 2,
    SESSION_STATUS = 1,
    SESSION_START = 1
};
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct event_file {
    FILE *file;
    char *path;
};

static void put_varint(struct text_buffer *out, uint64_t value)
{
    for (; value >= 128; value >>= 7) text_append_char(out, (char)(value % 128 + 128));
    text_append_char(out, (char)value);
}

static void put_key(struct text_buffer *out, int field, int wire)
{
    put_varint(out, (uint64_t)(field * 8 + wire));
}

/* Little-endian, as every machine that this is built for. */
static void put_fixed(struct text_buffer *out, int field, const void *bytes, size_t size)
{
    put_key(out, field, size == 8 ? WIRE_64 : WIRE_32);
    text_append_bytes(out, bytes, size);
}

static void put_bytes(struct text_buffer *out, int field, const void *bytes, size_t size)
{
    put_key(out, field, WIRE_BYTES);
    put_varint(out, size);
    text_append_bytes(out, bytes, size);
}

static uint32_t masked_crc(const void *bytes, size_t size)
{
    const uint32_t crc = crc32c(0, bytes, size);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* The record of one Event; its own fields, then `more`. Errors stay in the stream. */
static void write_event(struct event_file *file, int64_t step, const struct text_buffer *more)
{
    struct text_buffer event = {0};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const double wall = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    put_fixed(&event, EVENT_WALL_TIME, &wall, sizeof wall);
    if (step > 0) {
        put_key(&event, EVENT_STEP, WIRE_VARINT);
        put_varint(&event, (uint64_t)step);
    }
    text_append_bytes(&event, more->text, more->length);
    const uint64_t length = event.length;
    const uint32_t length_crc = masked_crc(&length, sizeof length);
    const uint32_t data_crc = masked_crc(event.text, event.length);
    fwrite(&length, sizeof length, 1, file->file);
    fwrite(&length_crc, sizeof length_crc, 1, file->file);
    fwrite(event.text, 1, event.length, file->file);
    fwrite(&data_crc, sizeof data_crc, 1, file->file);
    text_release(&event);
}

static void write_head(struct event_file *file, int64_t steps_done)
{
    static const char version[] = "brain.Event:2";
    struct text_buffer head = {0}, session = {0};
    put_bytes(&head, EVENT_FILE_VERSION, version, strlen(version));
    write_event(file, 0, &head);
    text_clear(&head);
    put_key(&session, SESSION_STATUS, WIRE_VARINT);
    put_varint(&session, SESSION_START);
    put_bytes(&head, EVENT_SESSION_LOG, session.text, session.length);
    write_event(file, steps_done + 1, &head);
    text_release(&session);
    text_release(&head);
}

enum status event_file_open(struct event_file **file_out, const char *directory, int64_t steps_done)
{
    enum status status = OK;
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    struct event_file *file = memory_new(1, sizeof *file);
    file->path = text_format("%s/events.out.tfevents.%010" PRId64 ".%s.%d", directory,
                             (int64_t)time(NULL), host, (int)getpid());
    file->file = fopen(file->path, "ae");
    if (file->file == NULL) FAIL(ERR_IO, "cannot open %s: %s", file->path, strerror(errno));
    write_head(file, steps_done);
    TRY(event_file_flush(file));
    *file_out = file;
    file = NULL;
out:
    event_file_close(file);
    return status;
}

void event_file_close(struct event_file *file)
{
    if (file == NULL) return;
    if (file->file != NULL) fclose(file->file);
    free(file->path);
    free(file);
}

void event_file_add(struct event_file *file, int64_t step, const char *tag, double value)
{
    struct text_buffer inner = {0}, summary = {0}, more = {0};
    const float simple = (float)value;
    put_bytes(&inner, VALUE_TAG, tag, strlen(tag));
    put_fixed(&inner, VALUE_SIMPLE, &simple, sizeof simple);
    put_bytes(&summary, SUMMARY_VALUE, inner.text, inner.length);
    put_bytes(&more, EVENT_SUMMARY, summary.text, summary.length);
    write_event(file, step, &more);
    text_release(&more);
    text_release(&summary);
    text_release(&inner);
}

enum status event_file_flush(struct event_file *file)
{
    enum status status = OK;
    if (fflush(file->file) != 0 || ferror(file->file))
        FAIL(ERR_IO, "cannot write to %s: %s", file->path, strerror(errno));
out:
    return status;
}
