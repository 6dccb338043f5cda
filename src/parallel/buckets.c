#include "parallel/buckets.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"

static bool has_gradient(const struct parameter *parameter)
{
    return parameter->gradient_offset >= 0;
}

/* Whether `parameter` stands behind the bucket's last one in both buffers, and is of its kind. */
static bool continues(const struct bucket *bucket, const struct parameter *last,
                      const struct parameter *parameter)
{
    if (bucket->windowed != parameter->windowed ||
        (bucket->windowed && bucket->stage != parameter->stage) ||
        parameter->gradient_place - last->gradient_place !=
            parameter->gradient_offset - last->gradient_offset)
        return false;
    return bucket->module == parameter->module && bucket->split == parameter_is_split(parameter) &&
           parameter->offset - last->offset == parameter->gradient_offset - last->gradient_offset;
}

static struct bucket *open_bucket(struct bucket_list *list, const struct parameter *parameter)
{
    list->buckets = memory_resize(list->buckets, (size_t)list->n + 1, sizeof *list->buckets);
    struct bucket *bucket = &list->buckets[list->n++];
    *bucket = (struct bucket){.gradient = parameter->gradient_offset,
                              .weight = parameter->offset,
                              .place = parameter->gradient_place,
                              .windowed = parameter->windowed,
                              .module = parameter->module,
                              .split = parameter_is_split(parameter),
                              .replicas = 1};
    return bucket;
}

static void add_parameter(struct bucket *bucket, const struct parameter *parameter)
{
    const int64_t first = parameter->gradient_offset - bucket->gradient;
    bucket->n = first + parameter->n_elements;
    if (parameter->stage > bucket->stage) bucket->stage = parameter->stage;
    if (parameter->slice.replicas <= 1) return;
    bucket->replicas = (int)parameter->slice.replicas;
    if (bucket->n_repeated > 0 && bucket->repeated[bucket->n_repeated - 1].end == first) {
        bucket->repeated[bucket->n_repeated - 1].end = bucket->n;
        return;
    }
    bucket->repeated =
        memory_resize(bucket->repeated, (size_t)bucket->n_repeated + 1, sizeof *bucket->repeated);
    bucket->repeated[bucket->n_repeated++] = (struct bucket_range){first, bucket->n};
}

/* In the order of the table; a bucket that is full is closed before the next parameter. */
static void cut(struct bucket_list *list, const struct parameter_table *table, int64_t elements)
{
    struct bucket *bucket = NULL;
    const struct parameter *last = NULL;
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        if (!has_gradient(parameter)) continue;
        if (bucket == NULL || bucket->n >= elements || !continues(bucket, last, parameter))
            bucket = open_bucket(list, parameter);
        add_parameter(bucket, parameter);
        last = parameter;
    }
}

static int compare_buckets(const void *a, const void *b)
{
    const struct bucket *x = a, *y = b;
    if (x->stage != y->stage) return x->stage < y->stage ? -1 : 1;
    return (x->gradient > y->gradient) - (x->gradient < y->gradient);
}

/* Whole blocks to each rank, as evenly as they go; the last block may be short. */
static void share_out(struct bucket *bucket, int size)
{
    const int64_t blocks = (bucket->n + BUCKET_BLOCK - 1) / BUCKET_BLOCK;
    bucket->first = memory_new((size_t)size + 1, sizeof *bucket->first);
    for (int rank = 1; rank <= size; rank++) {
        const int64_t end = blocks * rank / size * BUCKET_BLOCK;
        bucket->first[rank] = end < bucket->n ? end : bucket->n;
    }
}

void buckets_make(struct bucket_list *list, const struct parameter_table *table,
                  const struct bucket_options *options)
{
    *list = (struct bucket_list){.options = *options};
    cut(list, table, options->elements);
    if (list->n > 0) qsort(list->buckets, (size_t)list->n, sizeof *list->buckets, compare_buckets);
    for (int64_t b = 0; b < list->n; b++) {
        struct bucket *bucket = &list->buckets[b];
        share_out(bucket, bucket_ranks(list, b));
        const struct bucket_range shard = bucket_shard(list, b);
        bucket->state = list->n_state;
        bucket->block = list->n_blocks;
        list->n_state += shard.end - shard.first;
        list->n_blocks += (bucket->n + BUCKET_BLOCK - 1) / BUCKET_BLOCK;
        if (bucket->n > list->largest) list->largest = bucket->n;
    }
}

void buckets_release(struct bucket_list *list)
{
    for (int64_t b = 0; b < list->n; b++) {
        free(list->buckets[b].first);
        free(list->buckets[b].repeated);
    }
    free(list->buckets);
    *list = (struct bucket_list){0};
}

int bucket_ranks(const struct bucket_list *list, int64_t b)
{
    const struct bucket_options *options = &list->options;
    return list->buckets[b].split ? options->dp_size : options->dp_size * options->tp_size;
}

struct bucket_range bucket_shard(const struct bucket_list *list, int64_t b)
{
    const struct bucket *bucket = &list->buckets[b];
    const struct bucket_options *options = &list->options;
    const int rank =
        bucket->split ? options->dp_rank : options->dp_rank * options->tp_size + options->tp_rank;
    return (struct bucket_range){bucket->first[rank], bucket->first[rank + 1]};
}

void buckets_sum_blocks(const struct bucket_list *list, const double *blocks, bool split,
                        double *squares)
{
    for (int64_t b = 0; b < list->n; b++) {
        const struct bucket *bucket = &list->buckets[b];
        const int64_t n = (bucket->n + BUCKET_BLOCK - 1) / BUCKET_BLOCK;
        for (int64_t i = 0; bucket->split == split && i < n; i++)
            squares[bucket->module] += blocks[bucket->block + i];
    }
}

void buckets_keep_blocks(const struct bucket_list *list, double *blocks, bool split)
{
    for (int64_t b = 0; b < list->n; b++) {
        const struct bucket *bucket = &list->buckets[b];
        const int64_t n = (bucket->n + BUCKET_BLOCK - 1) / BUCKET_BLOCK;
        if (bucket->split != split) memset(blocks + bucket->block, 0, (size_t)n * sizeof *blocks);
    }
}
