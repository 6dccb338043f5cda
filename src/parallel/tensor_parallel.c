/* The sharers' sums and gathers are the comm's; what runs on the stream before must be done. */
#include "parallel/tensor_parallel.h"

#include "device/stream.h"

static enum status sum(void *context, float *values, int64_t n, const char *what,
                       struct stream *stream)
{
    enum status status = OK;
    TRY(stream_wait(stream));
    TRY(comm_all_reduce(context, values, n, what));
out:
    return status;
}

static enum status max(void *context, float *values, int64_t n, const char *what,
                       struct stream *stream)
{
    enum status status = OK;
    TRY(stream_wait(stream));
    TRY(comm_all_reduce_max(context, values, n, what));
out:
    return status;
}

static enum status gather(void *context, float *values, const int64_t *first, const char *what,
                          struct stream *stream)
{
    enum status status = OK;
    TRY(stream_wait(stream));
    TRY(comm_all_gather(context, values, first, what));
out:
    return status;
}

static enum status scatter(void *context, float *out, const float *values, const int64_t *first,
                           const char *what, struct stream *stream)
{
    enum status status = OK;
    TRY(stream_wait(stream));
    TRY(comm_reduce_scatter(context, out, values, first, what));
out:
    return status;
}

struct model_share tensor_parallel_share(struct comm *tp, bool sequence)
{
    return (struct model_share){.index = comm_rank(tp),
                                .size = comm_size(tp),
                                .sequence = sequence,
                                .context = tp,
                                .sum = sum,
                                .max = max,
                                .gather = gather,
                                .scatter = scatter};
}
