/* The sharers' sums and gathers are the comm's; what runs on the stream before must be done. MPI
 * never sees a GPU's memory: there the values go through the host. */
#include "parallel/tensor_parallel.h"

#include <stdbool.h>

#include "base/arena.h"
#include "device/stream.h"

/* Values [n] of the stream's device as the host reaches them. */
struct staged {
    struct stream *stream;
    float *values, *device;
    int64_t n;
};

static enum status stage(struct staged *staged, struct stream *stream, float *values, int64_t n)
{
    enum status status = OK;
    void *copy = NULL;
    *staged = (struct staged){.stream = stream, .values = values, .n = n};
    TRY(stream_wait(stream));
    if (stream->driver == NULL) goto out;
    const size_t bytes = size_multiply((size_t)n, sizeof *values);
    TRY(stream_take_host(stream, &copy, bytes, "values of all sharers"));
    staged->values = copy;
    staged->device = values;
    TRY(stream_read(stream, copy, values, bytes));
out:
    return status;
}

/* Sends the values back, if `status` is OK and they are `written`. */
static enum status unstage(struct staged *staged, enum status status, bool written)
{
    if (staged->device == NULL) return status;
    if (status == OK && written)
        status = stream_read(staged->stream, staged->device, staged->values,
                             size_multiply((size_t)staged->n, sizeof *staged->values));
    stream_give_host(staged->stream, staged->values);
    return status;
}

static enum status sum(void *context, float *values, int64_t n, const char *what,
                       struct stream *stream)
{
    struct staged own;
    enum status status = stage(&own, stream, values, n);
    if (status == OK) status = comm_all_reduce(context, own.values, n, what);
    return unstage(&own, status, true);
}

static enum status max(void *context, float *values, int64_t n, const char *what,
                       struct stream *stream)
{
    struct staged own;
    enum status status = stage(&own, stream, values, n);
    if (status == OK) status = comm_all_reduce_max(context, own.values, n, what);
    return unstage(&own, status, true);
}

static enum status gather(void *context, float *values, const int64_t *first, const char *what,
                          struct stream *stream)
{
    struct staged own;
    enum status status = stage(&own, stream, values, first[comm_size(context)]);
    if (status == OK) status = comm_all_gather(context, own.values, first, what);
    return unstage(&own, status, true);
}

static enum status scatter(void *context, float *out, const float *values, const int64_t *first,
                           const char *what, struct stream *stream)
{
    const int rank = comm_rank(context);
    struct staged all = {0}, own = {0};
    enum status status = stage(&all, stream, (float *)values, first[comm_size(context)]);
    if (status == OK) status = stage(&own, stream, out, first[rank + 1] - first[rank]);
    if (status == OK) status = comm_reduce_scatter(context, own.values, all.values, first, what);
    status = unstage(&own, status, true);
    return unstage(&all, status, false);
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
