/* Time for measuring, not for dates. */
#ifndef ROBIN_BASE_CLOCK_H
#define ROBIN_BASE_CLOCK_H

/* Seconds since some moment in the past; never goes back. */
double monotonic_seconds(void);

#endif
