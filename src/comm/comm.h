/* The ranks of a run and what they do together. Only this folder calls MPI; started without mpirun
 * a program is one rank of one.
 *
 * Every function marked collective must be called by all ranks in the same order with the same
 * counts. One thread at a time may call into a comm. A watchdog thread looks on: a collective that
 * lasts longer than the timeout, or a rank of this machine that is gone, is named in one line
 * (rank, host, step, collective, its number) and the whole run ends. */
#ifndef ROBIN_COMM_COMM_H
#define ROBIN_COMM_COMM_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct comm;

struct comm_options {
    double timeout_seconds; /* of one collective; 0: 1800 */
    int64_t chunk_elements; /* most elements handed to MPI in one call; 0: 2^26. The same on all. */
};

/* Starts MPI and tells base/log.h who speaks. Once per process. NULL: the defaults. */
enum status comm_create(struct comm **comm_out, const struct comm_options *options);
/* Collective. Ends MPI. NULL is fine. */
void comm_destroy(struct comm *comm);

int comm_rank(const struct comm *comm);
int comm_size(const struct comm *comm);

/* What the watchdog and comm_abort say beside the collective. */
void comm_set_step(struct comm *comm, int64_t step);

/* Collective. In place: every rank gets the sums over the ranks; n may be larger than 2^31. The
 * same bits on every rank and on every run of that many ranks. */
enum status comm_sum_float(struct comm *comm, float *values, int64_t n);
enum status comm_sum_double(struct comm *comm, double *values, int64_t n);
enum status comm_sum_int64(struct comm *comm, int64_t *values, int64_t n);
/* Collective. In place: the largest over the ranks. */
enum status comm_max_int64(struct comm *comm, int64_t *values, int64_t n);

/* Collective. `root` gives the bytes, the others receive them. */
enum status comm_broadcast(struct comm *comm, void *bytes, size_t size, int root);
enum status comm_barrier(struct comm *comm);

/* Collective. Rank 0 gets an array of comm_size strings in order of rank, to be freed with
 * names_free of base/file.h; the others get NULL. */
enum status comm_gather_strings(struct comm *comm, char ***texts_out, const char *text);

/* Collective: the one place where ranks learn of each other's failures. Each brings its own status;
 * if all are OK, all get OK. Else all get the code of the lowest failing rank, rank 0 has printed
 * its sentence as "rank R of N (HOST): ...", and none holds a sentence any more. (Printed here and
 * not by main: a launcher may end rank 0 as soon as another one has left with a failure.) A rank
 * that is alone keeps its sentence. A failure of the network itself (ERR_COMM) does not come back.
 */
enum status comm_agree(struct comm *comm, enum status status);

/* Not collective: for a rank that cannot go on and cannot meet the others. Prints one line with
 * rank, host, step, last collective and the text, and ends the whole run with exit code 1. */
void comm_abort(struct comm *comm, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

#endif
