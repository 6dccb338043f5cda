/* Rates by the generic cell rate algorithm (ITU-T I.371): one number, the time at which the bucket
 * would be empty, moved on by every call. */
#include "sgedit/teacher_limits.h"

#include <inttypes.h>
#include <time.h>

#include "base/status.h"

#define BURST_US 1000000.0 /* what a quiet second saved may go at once */

static int64_t now_us(void)
{
    struct timespec now; /* the same clock on every machine, near enough */
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static enum status add(struct teacher_limits *limits, int which, int64_t amount, int64_t *before)
{
    return shared_counters_add(limits->counters, limits->first + which, amount, before);
}

enum status teacher_limits_begin(struct teacher_limits *limits, const struct journal_totals *before)
{
    enum status status = OK;
    TRY(add(limits, TEACHER_COUNT_CALLS, before->n_calls + before->n_open, NULL));
    TRY(add(limits, TEACHER_COUNT_TOKENS, before->n_tokens, NULL));
    TRY(add(limits, TEACHER_COUNT_NANO, before->cost_nano, NULL));
out:
    return status;
}

struct teacher_cost teacher_cost_of(const struct teacher_limits *limits, int64_t tokens_in,
                                    int64_t tokens_out)
{
    const double money = (double)tokens_in * limits->config->price_in +
                         (double)tokens_out * limits->config->price_out; /* in 1e-6 */
    return (struct teacher_cost){tokens_in + tokens_out,
                                 (int64_t)(money * 1000 * limits->price_factor)};
}

/* Moves the bucket's time on by `us` if that is not further ahead than the burst. */
static enum status take_time(struct teacher_limits *limits, int which, double us, double *wait_out)
{
    enum status status = OK;
    int64_t expected = 0, before = 0;
    TRY(add(limits, which, 0, &before));
    do {
        expected = before;
        const int64_t now = now_us();
        const int64_t from = expected > now ? expected : now;
        if ((double)(from - now) > BURST_US) {
            *wait_out = ((double)(from - now) - BURST_US) / 1e6;
            return OK;
        }
        TRY(shared_counters_swap(limits->counters, limits->first + which, expected,
                                 from + (int64_t)us, &before));
    } while (before != expected);
    *wait_out = 0;
out:
    return status;
}

static enum status take_rates(struct teacher_limits *limits, int64_t tokens, double *wait_out)
{
    enum status status = OK;
    const double requests = (double)limits->config->requests_per_minute;
    const double per_minute = (double)limits->config->tokens_per_minute;
    *wait_out = 0;
    if (requests > 0) TRY(take_time(limits, TEACHER_COUNT_REQUEST_TIME, 60e6 / requests, wait_out));
    if (*wait_out > 0 || per_minute == 0) goto out;
    TRY(take_time(limits, TEACHER_COUNT_TOKEN_TIME, 60e6 * (double)tokens / per_minute, wait_out));
    if (*wait_out > 0 && requests > 0)
        TRY(add(limits, TEACHER_COUNT_REQUEST_TIME, -(int64_t)(60e6 / requests), NULL));
out:
    return status;
}

/* Takes from one budget; over it: gives back and says so. */
static enum status take_budget(struct teacher_limits *limits, int which, int64_t amount,
                               int64_t budget, const char *what)
{
    enum status status = OK;
    int64_t before = 0;
    TRY(add(limits, which, amount, &before));
    if (budget == 0 || before + amount <= budget) goto out;
    TRY(add(limits, which, -amount, NULL));
    FAIL(ERR_LIMIT, "the budget is spent: %s; raise it and start again to go on", what);
out:
    return status;
}

static enum status take_budgets(struct teacher_limits *limits, struct teacher_cost most)
{
    enum status status = OK;
    const struct config_teacher *config = limits->config;
    int taken = 0;
    TRY(take_budget(limits, TEACHER_COUNT_CALLS, 1, config->budget_calls, "teacher.budget_calls"));
    taken++;
    TRY(take_budget(limits, TEACHER_COUNT_TOKENS, most.tokens, config->budget_tokens,
                    "teacher.budget_tokens"));
    taken++;
    TRY(take_budget(limits, TEACHER_COUNT_NANO, most.nano, (int64_t)(config->budget_money * 1e9),
                    "teacher.budget_money"));
out:
    if (status == ERR_LIMIT && taken > 0) (void)add(limits, TEACHER_COUNT_CALLS, -1, NULL);
    if (status == ERR_LIMIT && taken > 1)
        (void)add(limits, TEACHER_COUNT_TOKENS, -most.tokens, NULL);
    return status;
}

enum status teacher_limits_admit(struct teacher_limits *limits, struct teacher_cost most,
                                 double *wait_out)
{
    enum status status = OK;
    const double full_wait = 0.02; /* seconds until a place may be free */
    int64_t flying = 0;
    TRY(add(limits, TEACHER_COUNT_FLYING, 1, &flying));
    *wait_out = full_wait;
    if (flying < limits->config->in_flight) TRY(take_rates(limits, most.tokens, wait_out));
    if (*wait_out > 0) {
        TRY(add(limits, TEACHER_COUNT_FLYING, -1, NULL));
        goto out;
    }
    status = take_budgets(limits, most);
    if (status != OK) (void)add(limits, TEACHER_COUNT_FLYING, -1, NULL);
    if (status == ERR_LIMIT && flying > 0) { /* those may cost less than they were taken to */
        status_clear();
        status = OK;
        *wait_out = full_wait;
    }
out:
    return status;
}

enum status teacher_limits_reserve(struct teacher_limits *limits, struct teacher_cost most)
{
    return take_budgets(limits, most);
}

enum status teacher_limits_count(struct teacher_limits *limits, struct teacher_cost most,
                                 struct teacher_cost real, bool paid)
{
    enum status status = OK;
    const struct teacher_cost count = paid ? real : (struct teacher_cost){0};
    TRY(add(limits, TEACHER_COUNT_TOKENS, count.tokens - most.tokens, NULL));
    TRY(add(limits, TEACHER_COUNT_NANO, count.nano - most.nano, NULL));
    if (!paid) TRY(add(limits, TEACHER_COUNT_CALLS, -1, NULL));
out:
    return status;
}

enum status teacher_limits_settle(struct teacher_limits *limits, struct teacher_cost most,
                                  struct teacher_cost real, bool paid)
{
    enum status status = OK;
    TRY(add(limits, TEACHER_COUNT_FLYING, -1, NULL));
    TRY(teacher_limits_count(limits, most, real, paid));
out:
    return status;
}
