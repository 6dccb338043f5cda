/* Finding the rank that the others wait for. */
#include "comm/rank_report.h"

#include <string.h>

#include "comm/rank_link.h"

bool rank_report_is_valid(struct rank_report *report, uint64_t token, int size)
{
    report->call[sizeof report->call - 1] = '\0';
    report->place[sizeof report->place - 1] = '\0';
    return report->magic == RANK_LINK_MAGIC && report->token == token && report->rank >= 0 &&
           report->rank < size && report->kind >= 0 && report->kind < N_REPORT_KINDS &&
           report->n_groups >= 0 && report->n_groups <= REPORT_GROUPS && report->quiet_ms >= 0 &&
           report->inside_ms >= -1;
}

static bool is_watched(const struct rank_seen *seen)
{
    return seen->state == SEEN_ALIVE;
}

static int64_t silence_of(const struct rank_seen *seen, int64_t now_ms)
{
    return now_ms - seen->heard_ms;
}

/* -1: in none */
static int64_t waited_by(const struct rank_seen *seen, int64_t now_ms)
{
    if (!is_watched(seen) || seen->report.inside_ms < 0) return -1;
    return seen->report.inside_ms + silence_of(seen, now_ms);
}

/* Whether this rank is a member of that communicator and has not come to that collective. */
static bool is_late(const struct rank_seen *seen, struct report_group wanted)
{
    if (!is_watched(seen)) return false;
    for (int i = 0; i < seen->report.n_groups; i++) {
        const struct report_group own = seen->report.groups[i];
        if (own.group == wanted.group) return own.sequence < wanted.sequence;
    }
    return false;
}

static int longest_waiter(const struct rank_seen *seen, int n, int64_t now_ms)
{
    int longest = -1;
    int64_t most = -1;
    for (int rank = 0; rank < n; rank++) {
        const int64_t waited = waited_by(&seen[rank], now_ms);
        if (waited <= most) continue;
        most = waited;
        longest = rank;
    }
    return longest;
}

/* The late one that waits for nobody, else the one that has waited longest itself; -1: none is. */
static int late_rank(const struct rank_seen *seen, int n, int waiter, int64_t now_ms)
{
    int found = -1;
    for (int rank = 0; rank < n; rank++) {
        if (rank == waiter || !is_late(&seen[rank], seen[waiter].report.inside)) continue;
        if (seen[rank].report.inside_ms < 0) return rank;
        if (found < 0 || waited_by(&seen[rank], now_ms) > waited_by(&seen[found], now_ms))
            found = rank;
    }
    return found;
}

/* What a rank did last is not known while reports of it are missing. */
static bool somebody_is_silent(const struct rank_seen *seen, int n, int64_t now_ms)
{
    for (int rank = 0; rank < n; rank++)
        if (is_watched(&seen[rank]) && silence_of(&seen[rank], now_ms) > REPORT_LATE_MS + n)
            return true;
    return false;
}

static int64_t quiet_of(const struct rank_seen *seen, int64_t now_ms)
{
    return seen->report.quiet_ms + silence_of(seen, now_ms);
}

/* Whether nobody has done anything for so long. Also not who has left, or is no member of the
 * communicator that the waiter was in when it reported: it may have come out of it since. */
static bool all_are_quiet(const struct rank_seen *seen, int n, int64_t now_ms, int64_t limit_ms)
{
    for (int rank = 0; rank < n; rank++)
        if (seen[rank].state != SEEN_NEVER && quiet_of(&seen[rank], now_ms) < limit_ms)
            return false;
    return true;
}

/* From one who waits to the one who is waited for; who has just done something is not to blame,
 * nor is anybody who waits for that one. */
static struct verdict follow(const struct rank_seen *seen, int n, int64_t now_ms, int64_t limit_ms)
{
    const struct verdict fine = {.kind = VERDICT_FINE, .rank = -1, .waiter = -1};
    int waiter = longest_waiter(seen, n, now_ms);
    if (waiter < 0 || waited_by(&seen[waiter], now_ms) < limit_ms) return fine;
    for (int hops = 0; hops < n; hops++) {
        const int late = late_rank(seen, n, waiter, now_ms);
        if (late < 0 && !all_are_quiet(seen, n, now_ms, limit_ms)) return fine;
        if (late < 0) return (struct verdict){VERDICT_NO_END, waiter, -1};
        if (quiet_of(&seen[late], now_ms) < limit_ms) return fine;
        if (seen[late].report.inside_ms < 0) return (struct verdict){VERDICT_STUCK, late, waiter};
        waiter = late;
    }
    return (struct verdict){VERDICT_CIRCLE, waiter, -1};
}

struct verdict rank_verdict(const struct rank_seen *seen, int n, int64_t now_ms, int64_t limit_ms)
{
    for (int rank = 0; rank < n; rank++)
        if (seen[rank].state == SEEN_GONE)
            return (struct verdict){VERDICT_DEAD, rank, longest_waiter(seen, n, now_ms)};
    for (int rank = 0; rank < n; rank++)
        if (is_watched(&seen[rank]) && silence_of(&seen[rank], now_ms) >= limit_ms)
            return (struct verdict){VERDICT_SILENT, rank, longest_waiter(seen, n, now_ms)};
    if (somebody_is_silent(seen, n, now_ms)) return (struct verdict){VERDICT_FINE, -1, -1};
    return follow(seen, n, now_ms, limit_ms);
}
