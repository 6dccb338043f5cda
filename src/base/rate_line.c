/* See rate_line.h. */
#include "base/rate_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text_buffer.h"

#define TERMINAL_SECONDS 0.5
#define FILE_SECONDS     30.0

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

struct rate_line rate_line_begin(const char *what, const char *unit, int64_t done, int64_t total)
{
    const double time = now();
    return (struct rate_line){.what = what,
                              .unit = unit,
                              .first = done,
                              .total = total,
                              .begun_s = time,
                              .shown_s = time,
                              .on_terminal = isatty(STDERR_FILENO) != 0};
}

/* "2 h 05 min", "3 min 20 s", "12 s"; to free(). */
static char *duration(double seconds)
{
    const int64_t s = (int64_t)(seconds + 0.5);
    if (s >= 3600) return text_format("%" PRId64 " h %02" PRId64 " min", s / 3600, s / 60 % 60);
    if (s >= 60) return text_format("%" PRId64 " min %02" PRId64 " s", s / 60, s % 60);
    return text_format("%" PRId64 " s", s);
}

void rate_line_update(struct rate_line *line, int64_t done)
{
    const double time = now();
    const double wait = line->on_terminal ? TERMINAL_SECONDS : FILE_SECONDS;
    if (time - line->shown_s < wait || done <= line->first || !log_speaks()) return;
    line->shown_s = time;
    const double rate = (double)(done - line->first) / (time - line->begun_s);
    char *left = duration((double)(line->total - done) / rate);
    char *text = text_format("%s: %" PRId64 " of %" PRId64 " %s (%.1f %%), %.3g a second, %s left",
                             line->what, done, line->total, line->unit,
                             100 * (double)done / (double)line->total, rate, left);
    if (line->on_terminal)
        fprintf(stderr, "\r%-79s", text);
    else
        log_info("%s", text);
    line->is_open = line->on_terminal;
    free(text);
    free(left);
}

void rate_line_end(struct rate_line *line)
{
    if (line->is_open) fprintf(stderr, "\r%79s\r", "");
    line->is_open = false;
}
