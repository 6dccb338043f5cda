/* How far a long command is: one line with the share done, the rate and the time left, written anew
 * twice a second on a terminal, and every half minute into a file. Only rank 0 shows it. */
#ifndef ROBIN_BASE_RATE_LINE_H
#define ROBIN_BASE_RATE_LINE_H

#include <stdbool.h>
#include <stdint.h>

struct rate_line {
    const char *what, *unit; /* "import gqa", "records"; borrowed */
    int64_t first, total;
    double begun_s, shown_s;
    bool on_terminal, is_open; /* a line without its end stands on the terminal */
};

/* `done` of `total` were there before: they do not count in the rate. */
struct rate_line rate_line_begin(const char *what, const char *unit, int64_t done, int64_t total);
void rate_line_update(struct rate_line *line, int64_t done);
void rate_line_end(struct rate_line *line);

#endif
