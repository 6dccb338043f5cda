/* How a function says that it failed: a code returned, and one sentence kept per thread.
 *
 * FAIL records the sentence where the error is decided, TRY passes it up, TRY_WHERE puts what was
 * being done in front of it. Only main prints. Every function that can fail has one `out:` label
 * that undoes in reverse.
 *
 *     enum status shard_open(struct shard **shard_out, const char *path)
 *     {
 *         enum status status = OK;
 *         ...
 *         if (fd < 0) FAIL(ERR_IO, "cannot open %s: %s", path, strerror(errno));
 *         TRY(shard_read_header(shard));
 *     out:
 *         ...
 *         return status;
 *     }
 */
#ifndef ROBIN_BASE_STATUS_H
#define ROBIN_BASE_STATUS_H

#include <stdarg.h>
#include <stddef.h>

enum status {
    OK = 0,
    ERR_ARGUMENT,    /* command line or configuration */
    ERR_IO,          /* the system refused: open, read, write, no space */
    ERR_FORMAT,      /* a file or message is not what it must be */
    ERR_SHAPE,       /* sizes that do not fit together */
    ERR_MEMORY,      /* no memory */
    ERR_LIMIT,       /* well formed, and beyond a stated limit */
    ERR_UNSUPPORTED, /* this build or backend cannot */
    ERR_COMM,        /* a rank or the network failed */
    ERR_STOPPED,     /* asked to stop; the work so far is saved */
    ERR_DIVERGED     /* the numbers are not finite, or not learning what they must */
};

#define FAIL(code, ...)                                                                            \
    do {                                                                                           \
        status = status_fail(code, __VA_ARGS__);                                                   \
        goto out;                                                                                  \
    } while (0)

#define TRY(call)                                                                                  \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status != OK) goto out;                                                                \
    } while (0)

/* TRY, and on failure the sentence becomes "CONTEXT: sentence". */
#define TRY_WHERE(call, ...)                                                                       \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status != OK) {                                                                        \
            status_add_context(__VA_ARGS__);                                                       \
            goto out;                                                                              \
        }                                                                                          \
    } while (0)

/* Records the sentence of this thread's error (replacing any earlier one) and returns `code`. */
enum status status_fail(enum status code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts "text: " in front of this thread's sentence. */
void status_add_context(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* This thread's last sentence; "" if none. Valid until the next failure on this thread. */
const char *status_message(void);

/* "ERR_IO" and so on. */
const char *status_name(enum status code);

/* Forgets this thread's sentence. */
void status_clear(void);

#endif
