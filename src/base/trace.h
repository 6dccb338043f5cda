/* What a process does when: spans of time with a kind and a name, of every thread, for as long as
 * somebody records them. Written in the format that chrome://tracing and Perfetto read; and summed
 * up as a table. While nobody records, a span costs three loads. */
#ifndef ROBIN_BASE_TRACE_H
#define ROBIN_BASE_TRACE_H

#include "base/status.h"

/* Around some work of this thread; spans nest. Kind ("phase", "part", "kernel", "collective") and
 * name must live on. */
void trace_push(const char *kind, const char *name);
/* Ends the span begun last. `flops` that it did; 0: not counted. */
void trace_pop(double flops);

/* Somebody who is told of every span that begins from now on, recorded or not, by its own thread; a
 * GPU's ranges for NVIDIA's profilers. Lives on; NULL: nobody any more. */
struct trace_follower {
    void (*push)(const char *name);
    void (*pop)(void);
};
void trace_follow(const struct trace_follower *follower);

/* From here on spans that begin are kept; until trace_stop. */
void trace_start(void);
void trace_stop(void);
/* Writes what was kept, as process number `rank`. */
enum status trace_write(const char *path, int rank);
/* A line for every kind and name, longest first within their kinds: calls, time, share of the
 * recorded time, rate; to free(). */
char *trace_table(void);
/* Forgets what was kept. */
void trace_clear(void);

#endif
