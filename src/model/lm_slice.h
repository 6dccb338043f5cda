/* Which part of a language model one of several sharers holds, and what the sharers do together.
 *
 * Heads, the inner width of the MLP and the vocabulary are split; key/value heads that are fewer
 * than the sharers are repeated. The vision side is whole everywhere, each sharer computing some of
 * the images. The model knows its slice and calls the functions of struct model_share; who moves
 * the bytes is not its affair. Narayanan et al. 2021 (Megatron-LM), Korthikanti et al. 2022
 * (sequence parallelism). */
#ifndef ROBIN_MODEL_LM_SLICE_H
#define ROBIN_MODEL_LM_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "model/model_config.h"

struct stream;

/* Every sharer calls the same ones in the same order with the same sizes, in the order of the
 * stream. `what` names the tensor and lives on; `first` [size + 1]: part r is
 * first[r] .. first[r + 1] - 1, in floats. */
struct model_share {
    int index, size; /* this sharer, of how many */
    bool sequence;   /* norms and residual stream in parts of rows, too */
    void *context;
    enum status (*sum)(void *context, float *values, int64_t n, const char *what,
                       struct stream *stream);
    enum status (*max)(void *context, float *values, int64_t n, const char *what,
                       struct stream *stream);
    /* In place: everybody gives the own part and has all after. */
    enum status (*gather)(void *context, float *values, const int64_t *first, const char *what,
                          struct stream *stream);
    /* out: the sum of the own part of everybody's values. */
    enum status (*scatter)(void *context, float *out, const float *values, const int64_t *first,
                           const char *what, struct stream *stream);
    /* The bytes, of the host's memory, become sharer 0's. */
    enum status (*tell)(void *context, void *bytes, size_t size);
};

struct lm_slice {
    const struct lm_config *config;
    int index, size;
    bool sequence;
    int64_t head_size;
    int64_t heads, first_head;
    int64_t kv_heads, first_kv_head;
    int64_t kv_replicas;        /* sharers that hold the same key/value heads */
    int64_t ffn, first_channel; /* with channels of zeros behind the last real ones: neutral */
    int64_t vocab, first_word;  /* real words; the matrices have vocab_held rows */
    int64_t real_ffn, vocab_held;
};

/* ERR_SHAPE with the allowed numbers of sharers where heads do not divide, or no channel or word is
 * left for the last one. Where the inner width or the vocabulary do not divide, the last sharers'
 * matrices are filled up with zeros, which stay zero: all hold the same sizes. `config` is
 * borrowed. */
enum status lm_slice_make(struct lm_slice *slice_out, const struct lm_config *config, int index,
                          int size);

/* The start of part `index` of `n` things shared by `size`; part sizes differ by one at most. */
static inline int64_t share_start(int64_t n, int index, int size)
{
    return n * index / size;
}

#endif
