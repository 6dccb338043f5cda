/* The flat gradients and weights of a parameter table in pieces that are reduced, updated and
 * gathered one by one. A bucket is one range of both buffers, of one module, of one kind: slices
 * are summed over dp, whole parameters over dp x tp. Each of these ranks owns one shard of it: its
 * part of the summed gradient, the moments of it, and the new weights. Rajbhandari et al. 2020
 * (ZeRO, stage 1). Every rank of a group makes the same list. */
#ifndef ROBIN_PARALLEL_BUCKETS_H
#define ROBIN_PARALLEL_BUCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "model/parameters.h"

/* Shards begin at multiples of it within their bucket; squares are summed by such blocks. */
#define BUCKET_BLOCK 4096

struct bucket_range { /* elements of the bucket */
    int64_t first, end;
};

struct bucket {
    int64_t gradient, weight; /* where the range begins in the flat buffers */
    int64_t place;            /* where the model adds its gradient */
    bool windowed;            /* which is another layer's place as well */
    int64_t n;
    enum module module;
    bool split;     /* slices of the language model */
    int64_t stage;  /* of the backward: after it the gradient is complete (parameters.h) */
    int64_t *first; /* [ranks + 1]: shard of rank r is first[r] .. first[r + 1] - 1 */
    int64_t state;  /* where this rank's shard begins among all its shards */
    int64_t block;  /* number of its first block among those of all buckets */
    int replicas;   /* sharers that hold the same slice of the parameters in `repeated` */
    struct bucket_range *repeated;
    int64_t n_repeated;
};

struct bucket_options {
    int dp_rank, dp_size, tp_rank, tp_size;
    int64_t elements; /* a bucket is closed when it has so many */
};

struct bucket_list { /* zeroed is releasable */
    struct bucket_options options;
    struct bucket *buckets; /* in the order in which the backward completes them */
    int64_t n;
    int64_t n_state;  /* elements of all shards of this rank */
    int64_t n_blocks; /* of all buckets */
    int64_t largest;  /* elements of the largest bucket */
};

void buckets_make(struct bucket_list *list, const struct parameter_table *table,
                  const struct bucket_options *options);
void buckets_release(struct bucket_list *list);

/* This rank's shard of bucket b, in elements of the bucket; how many ranks share the bucket. */
struct bucket_range bucket_shard(const struct bucket_list *list, int64_t b);
int bucket_ranks(const struct bucket_list *list, int64_t b);

/* squares [N_MODULES] += those of the blocks of slices, or of whole parameters, in their order. */
void buckets_sum_blocks(const struct bucket_list *list, const double *blocks, bool split,
                        double *squares);
/* Makes the others 0. */
void buckets_keep_blocks(const struct bucket_list *list, double *blocks, bool split);

#endif
