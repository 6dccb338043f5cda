/* What people read on stderr: one fact a line, lower case, cause then consequence. Rank 0 speaks
 * info; any rank warns, and tells details to who asked for them. */
#ifndef ROBIN_BASE_LOG_H
#define ROBIN_BASE_LOG_H

#include <stdbool.h>

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Who speaks: lines of other ranks than 0 carry "rank R: ". Called once, before threads start. */
void log_set_rank(int rank, int n_ranks);
void log_set_level(enum log_level level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* This process is rank 0, which tells people how things go. */
bool log_speaks(void);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Printed by rank 0 only. */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line that is written over by the next one and by every other line: for where a run stands. Only
 * where stderr is a terminal and rank 0 speaks; elsewhere nothing. */
void log_live(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool log_is_live(void);

#endif
