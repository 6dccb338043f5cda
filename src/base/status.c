/* The error of each thread: a code on the way up and one sentence in memory that cannot run out.
 * A fixed buffer on purpose: recording "no memory" must not need memory. */
#include "base/status.h"

#include <stdio.h>
#include <string.h>

#define MESSAGE_SIZE 4096

static _Thread_local char message[MESSAGE_SIZE];

/* Marks a sentence that did not fit, so that nobody takes it for whole. */
static void mark_if_cut(char *text, int length)
{
    if (length >= MESSAGE_SIZE) memcpy(text + MESSAGE_SIZE - 4, "...", 4);
}

enum status status_fail(enum status code, const char *format, ...)
{
    char fresh[MESSAGE_SIZE]; /* the arguments may point into `message` */
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(fresh, sizeof fresh, format, arguments);
    va_end(arguments);
    mark_if_cut(fresh, length);
    memcpy(message, fresh, strlen(fresh) + 1);
    return code;
}

void status_add_context(const char *format, ...)
{
    char fresh[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(fresh, sizeof fresh, format, arguments);
    va_end(arguments);
    mark_if_cut(fresh, length);
    size_t used = strlen(fresh);
    int rest = snprintf(fresh + used, sizeof fresh - used, ": %s", message);
    mark_if_cut(fresh, (int)used + rest);
    memcpy(message, fresh, strlen(fresh) + 1);
}

const char *status_message(void)
{
    return message;
}

const char *status_name(enum status code)
{
    switch (code) {
    case OK: return "OK";
    case ERR_ARGUMENT: return "ERR_ARGUMENT";
    case ERR_IO: return "ERR_IO";
    case ERR_FORMAT: return "ERR_FORMAT";
    case ERR_SHAPE: return "ERR_SHAPE";
    case ERR_MEMORY: return "ERR_MEMORY";
    case ERR_LIMIT: return "ERR_LIMIT";
    case ERR_UNSUPPORTED: return "ERR_UNSUPPORTED";
    case ERR_COMM: return "ERR_COMM";
    case ERR_STOPPED: return "ERR_STOPPED";
    case ERR_DIVERGED: return "ERR_DIVERGED";
    }
    return "unknown status";
}

void status_clear(void)
{
    message[0] = '\0';
}
