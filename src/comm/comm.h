/* The ranks of a run, or those along one axis of its mesh (mesh.h), and what they do together. Only
 * this folder calls MPI; started without mpirun a program is one rank of one.
 *
 * Every function marked collective must be called by all ranks of the comm in the same order with
 * the same counts; with `check_calls` that is checked before each. One thread at a time may call
 * into a comm; two threads may call into two comms at once where comm_is_threaded says so. Every
 * call has a name and a number. A watchdog thread looks on: a rank that is gone, stopped, or does
 * nothing while others wait for it, is named in one line within the timeout (rank, host, process,
 * step, collective, its number) and the whole run ends. */
#ifndef ROBIN_COMM_COMM_H
#define ROBIN_COMM_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct comm;

struct comm_options {
    double timeout_seconds; /* of the watchdog; 0: 300 */
    int64_t chunk_elements; /* most elements handed to MPI in one call; 0: 2^26. The same on all. */
    bool check_calls;       /* compare every call over its ranks first; always so where the program
                               is built with ROBIN_DEBUG */
    const char *host;       /* said to be this rank's machine; NULL: as MPI says */
};

/* Starts MPI and tells base/log.h who speaks. Once per process. NULL: the defaults. */
enum status comm_create(struct comm **comm_out, const struct comm_options *options);
/* Collective over `parent`. Ranks that give the same colour become a comm of their own, in order of
 * their ranks in `parent`; `axis` is its name in messages and counts, and must live on. */
enum status comm_split(struct comm *parent, struct comm **comm_out, int colour, const char *axis);
/* Collective. Ends MPI where the comm is that of comm_create, after all others. NULL is fine. */
void comm_destroy(struct comm *comm);
/* comm_destroy at the end of a program that may have failed: comm_check_together before it. */
void comm_end(struct comm *comm, enum status status);

int comm_rank(const struct comm *comm);
int comm_size(const struct comm *comm);
const char *comm_host(const struct comm *comm);
/* Whether several threads may call at once, each into a comm of its own; the same on all ranks. */
bool comm_is_threaded(const struct comm *comm);

/* Within how many seconds of the last sign of life (base/heartbeat.h) a rank that others wait for
 * is named and the run ended. */
void comm_set_timeout(struct comm *comm, double seconds);
/* What the watchdog and comm_abort say beside the collective. */
void comm_set_step(struct comm *comm, int64_t step);

/* Collective. In place: every rank gets the sums over the ranks; n may be larger than 2^31. The
 * same bits on every rank and on every run of that many ranks. */
enum status comm_sum_float(struct comm *comm, float *values, int64_t n);
enum status comm_sum_double(struct comm *comm, double *values, int64_t n);
enum status comm_sum_int64(struct comm *comm, int64_t *values, int64_t n);
/* Collective. In place: the largest over the ranks. */
enum status comm_max_int64(struct comm *comm, int64_t *values, int64_t n);

/* ---- tensors: `what` names them in counts and messages, and must live on ---- */

/* Collective. In place, sums and largest values, as above. */
enum status comm_all_reduce(struct comm *comm, float *values, int64_t n, const char *what);
enum status comm_all_reduce_max(struct comm *comm, float *values, int64_t n, const char *what);
/* Collective. Rank r's part of `values` is first[r] .. first[r + 1] - 1, `first` [size + 1] from 0,
 * the same on all; parts may be empty. Every rank gives its own part and has all of them after. */
enum status comm_all_gather(struct comm *comm, float *values, const int64_t *first,
                            const char *what);
/* Collective. out: the sums over the ranks of this rank's part of `values`, which is only read. */
enum status comm_reduce_scatter(struct comm *comm, float *out, const float *values,
                                const int64_t *first, const char *what);
/* Collective. Every rank sends rank r the part r of its `values`. pieces [size, own part]: what the
 * ranks sent, in order of rank: a reduce-scatter whose order of summing is the caller's. */
enum status comm_exchange(struct comm *comm, float *pieces, const float *values,
                          const int64_t *first, const char *what);

/* Collective. `root` gives the bytes, the others receive them. */
enum status comm_broadcast(struct comm *comm, void *bytes, size_t size, int root);
enum status comm_barrier(struct comm *comm);

/* Collective. Rank 0 gets an array of comm_size strings in order of rank, to be freed with
 * names_free of base/file.h; the others get NULL. */
enum status comm_gather_strings(struct comm *comm, char ***texts_out, const char *text);

/* ---- what was sent ---- */

/* What one rank did under one name along one axis, since the start or the last reset. */
struct comm_count {
    const char *what; /* "sum_float" and so on, or the caller's `what` */
    const char *axis; /* "world" or that of comm_split */
    const char *kind; /* "all_reduce", "all_gather", "reduce_scatter", "exchange", "broadcast",
                         "gather", "barrier" */
    int64_t calls;    /* collectives; pieces of one that is larger than MPI's int are one */
    int64_t bytes;    /* of the whole tensor: of all ranks' parts together where it is in parts */
};

/* Copies at most `most` rows, in order of their first call; returns how many there are. Counts are
 * of this process, over all its comms; a comm of one rank sends nothing and counts nothing. */
int64_t comm_counts(const struct comm *comm, struct comm_count *counts, int64_t most);
void comm_counts_reset(struct comm *comm);

/* ---- failures ---- */

/* Collective: the one place where ranks learn of each other's failures. Each brings its own status;
 * if all are OK, all get OK. Else all get the code of the lowest failing rank, rank 0 has printed
 * its sentence as "rank R of N (HOST): ...", and none holds a sentence any more. (Printed here and
 * not by main: a launcher may end rank 0 as soon as another one has left with a failure.) A rank
 * that is alone keeps its sentence. A failure of the network itself (ERR_COMM) does not come back.
 */
enum status comm_agree(struct comm *comm, enum status status);

/* Not collective: to be called with a job's status before its release. A failure that the ranks
 * have not agreed on is this rank's alone: the others wait for it somewhere, so comm_abort. */
void comm_check_together(struct comm *comm, enum status status);

/* Not collective: for a rank that cannot go on and cannot meet the others. Prints one line with
 * rank, host, step, last collective and the text, and ends the whole run with exit code 1. */
void comm_abort(struct comm *comm, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

#endif
