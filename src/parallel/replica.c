/* Comparing replicas by checksum. */
#include "parallel/replica.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/crc32c.h"
#include "base/text_buffer.h"

enum status replica_check(struct comm *comm, const float *values, int64_t n, const char *what)
{
    enum status status = OK;
    const int size = comm_size(comm);
    int64_t *sums = memory_new((size_t)size, sizeof *sums);
    sums[comm_rank(comm)] = crc32c(0, values, size_multiply((size_t)n, sizeof *values));
    TRY(comm_sum_int64(comm, sums, size));
    for (int rank = 1; rank < size && status == OK; rank++)
        if (sums[rank] != sums[0])
            status = status_fail(ERR_DIVERGED,
                                 "the %s of rank %d (checksum %08" PRIx64
                                 ") are not those of rank 0 (%08" PRIx64
                                 "); a processor, its memory or the network is at fault",
                                 what, rank, (uint64_t)sums[rank], (uint64_t)sums[0]);
    TRY(comm_agree(comm, status));
out:
    free(sums);
    return status;
}
