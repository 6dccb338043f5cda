/* What all ranks together may ask of a teacher: calls under way, calls and tokens a minute, and a
 * budget that is never passed. The buckets are counters that all ranks share, so a rank with much
 * to ask uses what another one leaves. */
#ifndef ROBIN_SGEDIT_TEACHER_LIMITS_H
#define ROBIN_SGEDIT_TEACHER_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "comm/shared_counters.h"
#include "config/run_config.h"
#include "sgedit/journal.h"

enum teacher_counter { /* from `first` on; the last three say what was spent */
                       TEACHER_COUNT_FLYING,
                       TEACHER_COUNT_REQUEST_TIME,
                       TEACHER_COUNT_TOKEN_TIME,
                       TEACHER_COUNT_CALLS,
                       TEACHER_COUNT_TOKENS,
                       TEACHER_COUNT_NANO,
                       TEACHER_LIMIT_COUNTERS
};

struct teacher_limits {
    struct shared_counters *counters;
    int first;
    const struct config_teacher *config;
    double price_factor; /* of batches 0.5 */
};

/* Not collective, by one rank before the others ask: what earlier runs spent counts. */
enum status teacher_limits_begin(struct teacher_limits *limits,
                                 const struct journal_totals *before);

struct teacher_cost {
    int64_t tokens, nano; /* nano: money in 1e-9 */
};
struct teacher_cost teacher_cost_of(const struct teacher_limits *limits, int64_t tokens_in,
                                    int64_t tokens_out);

/* May a call of that cost (at most) begin? *wait_out: 0 and it is counted, or seconds after which
 * to ask again. ERR_LIMIT when the budget would be passed. */
enum status teacher_limits_admit(struct teacher_limits *limits, struct teacher_cost most,
                                 double *wait_out);
/* It ended. Not `paid`: it does not count. */
enum status teacher_limits_settle(struct teacher_limits *limits, struct teacher_cost most,
                                  struct teacher_cost real, bool paid);

/* The budget alone, of calls that wait in a batch: taken, and what it came to. */
enum status teacher_limits_reserve(struct teacher_limits *limits, struct teacher_cost most);
enum status teacher_limits_count(struct teacher_limits *limits, struct teacher_cost most,
                                 struct teacher_cost real, bool paid);

#endif
