/* Items dealt to ranks one after the other, as each has room: a counter that all ranks share says
 * which is next. (Collective rounds would let every rank wait for the slowest call of a round; a
 * counter makes nobody wait.) A rank takes fewer at once the fewer are left, at the end one by one,
 * so none is idle while another holds items it has not begun. */
#ifndef ROBIN_SGEDIT_WORK_DEAL_H
#define ROBIN_SGEDIT_WORK_DEAL_H

#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"
#include "comm/shared_counters.h"

struct work_deal { /* zeroed is releasable */
    struct shared_counters *counters;
    int which; /* the counter */
    int64_t n_ranks;
    int64_t *pending; /* [n_pending] items to do, ascending; the same on all ranks */
    int64_t n_pending;
    int64_t next; /* as last seen */
};

/* Items 0 .. n_items-1 but for those of `done` (NULL: none). */
void work_deal_init(struct work_deal *deal, int64_t n_items, int (*done)(const void *, int64_t),
                    const void *context);
void work_deal_release(struct work_deal *deal);

/* Up to `room` items into items[room]; *n_out 0: none is left. */
enum status work_deal_take(struct work_deal *deal, int64_t room, int64_t *items, int64_t *n_out);

#endif
