/* The bandwidth of every rank to others, against the median: rank by rank in pairs, in as many
 * rounds as there are bits in their number. */
#ifndef ROBIN_PLAN_LINK_CHECK_H
#define ROBIN_PLAN_LINK_CHECK_H

#include "comm/comm.h"

struct link_check {
    double ratio;       /* of this rank's bandwidth to the median of its round; the best round of
                           partners on its machine or of others, whichever is lower */
    double least_ratio; /* over all ranks */
    double median;      /* bytes per second and direction, of the slowest round */
};

/* Collective over two ranks or more. */
enum status link_check_run(struct link_check *out, struct comm *comm);

#endif
