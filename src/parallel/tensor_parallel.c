/* The sharers' sums and gathers are the comm's, in the order of the stream. */
#include "parallel/tensor_parallel.h"

#include "comm/comm_device.h"

static enum status sum(void *context, float *values, int64_t n, const char *what,
                       struct stream *stream)
{
    return comm_device_sum(context, values, n, what, stream);
}

static enum status max(void *context, float *values, int64_t n, const char *what,
                       struct stream *stream)
{
    return comm_device_max(context, values, n, what, stream);
}

static enum status gather(void *context, float *values, const int64_t *first, const char *what,
                          struct stream *stream)
{
    return comm_device_all_gather(context, values, first, what, stream);
}

static enum status scatter(void *context, float *out, const float *values, const int64_t *first,
                           const char *what, struct stream *stream)
{
    return comm_device_reduce_scatter(context, out, values, first, what, stream);
}

static enum status tell(void *context, void *bytes, size_t size)
{
    return comm_broadcast(context, bytes, size, 0);
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
                                .scatter = scatter,
                                .tell = tell};
}
