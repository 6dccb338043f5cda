/* A thread that looks on while MPI starts, before the ranks know of each other and watchdog.h can:
 * a rank that waits too long for the others there says so in one line and leaves with code 1. */
#ifndef ROBIN_COMM_START_WATCH_H
#define ROBIN_COMM_START_WATCH_H

#include "base/status.h"

struct start_watch;

/* For as many seconds as ROBIN_START_TIMEOUT_S says, else 120. ERR_ARGUMENT where that is no number
 * of 1 to 86400. `doing` is what this rank is about to do, and must live on. */
enum status start_watch_begin(struct start_watch **watch_out, const char *doing);
/* What it does next; counts from anew. */
void start_watch_next(struct start_watch *watch, const char *doing);
/* It came through. NULL is fine. */
void start_watch_end(struct start_watch *watch);

#endif
