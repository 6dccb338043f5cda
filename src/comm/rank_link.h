/* How reports (rank_report.h) get from every rank to rank 0 and back: a star of TCP connections.
 *
 * Not MPI, which is what hangs; not a file of the run directory, whose file system may be what
 * hangs, and which another machine sees late; not shared memory, which ends at the machine. A
 * connection also tells at once, on any machine, that the process at its other end is gone. Lines
 * of text go nowhere here: fixed records under a secret of the run. No thread of its own: one
 * thread calls all of these, but for rank_link_send. */
#ifndef ROBIN_COMM_RANK_LINK_H
#define ROBIN_COMM_RANK_LINK_H

#include <netinet/in.h>

#include "base/status.h"
#include "comm/rank_report.h"

#define RANK_LINK_MAGIC     0x3154524f50455252ull
#define RANK_LINK_ADDRESSES 16

/* Where rank 0 listens, for the others to be told by other means. */
struct rank_invitation {
    uint64_t token;
    uint16_t port;
    int32_t n_addresses;
    struct in_addr addresses[RANK_LINK_ADDRESSES]; /* IPv4; the loopback first */
};

struct rank_link;

/* Rank 0. Listens on all its addresses. */
enum status rank_link_listen(struct rank_link **link_out, struct rank_invitation *invitation_out,
                             int size);
/* The others. Tries the addresses in turn, the loopback only where `same_host`; ERR_COMM where
 * none answers. */
enum status rank_link_join(struct rank_link **link_out, const struct rank_invitation *invitation,
                           bool same_host);
void rank_link_close(struct rank_link *link);

/* Waits up to that long and takes in what has come. seen [size]: all ranks at rank 0; elsewhere
 * rank 0 alone is known. `now_ms` is what is noted as the time. True: somebody ends the run, and
 * at rank 0 all others have been told so. */
bool rank_link_receive(struct rank_link *link, struct rank_seen *seen, int wait_ms, int64_t now_ms);
/* Whether a rank was heard of for the first time since the last call. */
bool rank_link_met(struct rank_link *link);
/* To everybody at the other end; a rank that takes nothing in is passed over. Any thread. */
void rank_link_send(struct rank_link *link, const struct rank_report *report);

#endif
