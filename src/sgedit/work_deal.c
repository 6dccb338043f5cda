/* See work_deal.h. */
#include "sgedit/work_deal.h"

#include <stdlib.h>

#include "base/text_buffer.h"

void work_deal_init(struct work_deal *deal, int64_t n_items, int (*done)(const void *, int64_t),
                    const void *context)
{
    deal->pending = memory_new((size_t)n_items + 1, sizeof *deal->pending);
    deal->n_pending = 0;
    for (int64_t i = 0; i < n_items; i++)
        if (done == NULL || !done(context, i)) deal->pending[deal->n_pending++] = i;
}

void work_deal_release(struct work_deal *deal)
{
    free(deal->pending);
    *deal = (struct work_deal){0};
}

enum status work_deal_take(struct work_deal *deal, int64_t room, int64_t *items, int64_t *n_out)
{
    enum status status = OK;
    int64_t first = 0;
    *n_out = 0;
    if (room < 1 || deal->next >= deal->n_pending) return OK;
    const int64_t fair = (deal->n_pending - deal->next) / (2 * deal->n_ranks);
    const int64_t n = fair < 1 ? 1 : fair < room ? fair : room;
    TRY(shared_counters_add(deal->counters, deal->which, n, &first));
    deal->next = first + n;
    for (int64_t i = first; i < first + n && i < deal->n_pending; i++)
        items[(*n_out)++] = deal->pending[i];
out:
    return status;
}
