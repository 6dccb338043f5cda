/* What the ranks of a run tell each other about themselves beside MPI, and who is to blame when
 * some wait. Pure: no sockets, no clock. */
#ifndef ROBIN_COMM_RANK_REPORT_H
#define ROBIN_COMM_RANK_REPORT_H

#include <stdbool.h>
#include <stdint.h>

enum report_kind {
    REPORT_ALIVE,
    REPORT_LEAVING, /* done: its silence from now on means nothing */
    REPORT_ENDING,  /* somebody has said what is wrong and ends the run: the others say nothing */
    N_REPORT_KINDS
};

/* Between the reports of a rank, and when one is late; a millisecond more for each rank. */
#define REPORT_MS      250
#define REPORT_LATE_MS 700

/* Communicators of one rank that may be told of. */
#define REPORT_GROUPS 16

/* How far a rank has come among those of one communicator; members agree on its number. */
struct report_group {
    uint64_t group;
    int64_t sequence; /* of the last collective entered */
};

/* One message, as it is sent. All times are of the sender's watchdog (watchdog.h). */
struct rank_report {
    uint64_t magic, token;
    int32_t rank, pid;
    int32_t kind;
    int32_t n_groups;
    int64_t quiet_ms;  /* since its last sign of life */
    int64_t inside_ms; /* since it entered the oldest collective that has not come back; -1: none */
    struct report_group inside;
    struct report_group groups[REPORT_GROUPS];
    char state;      /* of its main thread, as /proc has it: R, S, D ...; '?': not known */
    char call[119];  /* "barrier, collective 44": the oldest not back */
    char place[256]; /* "step 17, in barrier, collective 44" */
};

/* Whether received bytes are such a report of a run with that token and number of ranks. Ends its
 * texts. */
bool rank_report_is_valid(struct rank_report *report, uint64_t token, int size);

/* A rank as it is known elsewhere. */
struct rank_seen {
    enum { SEEN_NEVER, SEEN_ALIVE, SEEN_LEAVING, SEEN_GONE } state; /* GONE: its process ended */
    int64_t heard_ms;                                               /* when the last report came */
    struct rank_report report;
};

enum verdict_kind {
    VERDICT_FINE,
    VERDICT_DEAD,   /* its process is gone */
    VERDICT_SILENT, /* nothing heard: stopped, or its machine or the network is gone */
    VERDICT_STUCK,  /* others wait for it, and it does nothing */
    VERDICT_CIRCLE, /* ranks wait for each other in different collectives */
    VERDICT_NO_END  /* all are in the same collective, and it does not end */
};

struct verdict {
    enum verdict_kind kind;
    int rank;   /* to blame */
    int waiter; /* who waits for it, or has waited longest for anybody; -1: nobody */
};

/* Of `n` ranks at `now_ms`, when the silence of one, or a wait for one that shows no sign of life,
 * may last less than `limit_ms`. The blame goes along the waits: to the rank that has not come to
 * the collective in which another waits, or to the one that this rank waits for itself. */
struct verdict rank_verdict(const struct rank_seen *seen, int n, int64_t now_ms, int64_t limit_ms);

#endif
