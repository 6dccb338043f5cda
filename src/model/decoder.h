/* Decoding: rows of many sequences through the language model, their keys and values in a cache
 * of blocks. Which rows, where their keys go and which keys they see is the caller's; a row's
 * results depend on its own sequence alone, bit for bit, whatever other rows are in the call.
 *
 * Of a model that several sharers hold each has a decoder of the same limits. Sharer 0 leads: it
 * runs rows and copies blocks, while the others follow (decoder_follow). Sums over the sharers are
 * made in their order, so rows keep to themselves there, too. */
#ifndef ROBIN_MODEL_DECODER_H
#define ROBIN_MODEL_DECODER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "kernels.h"
#include "model/robin_model.h"

struct decoder; /* opaque */

struct decoder_limits {
    int64_t max_rows;   /* of one call */
    int64_t max_logits; /* rows of one call whose logits are wanted */
    int64_t n_blocks, block;
    int64_t n_positions; /* positions are 0 .. n_positions - 1 */
    /* Of a GPU, where nobody shares the model: passes that only decode are handed over as a graph,
     * written down when one of their size comes again. */
    bool graphs;
};

struct decoder_memory { /* bytes */
    size_t cache, activations, logits, tables;
};
struct lm_slice;
struct decoder_memory decoder_plan(const struct lm_slice *slice,
                                   const struct decoder_limits *limits,
                                   const struct kernels *kernels);

/* Weights, kernels and stream are the model's. ERR_UNSUPPORTED if the kernels cannot decode. */
enum status decoder_create(struct decoder **decoder_out, struct model *model,
                           const struct decoder_limits *limits);
void decoder_destroy(struct decoder *decoder);

/* Rows that were embedded before (model_embed). */
struct decoder_source {
    const float *rows; /* [n, D] */
    int64_t n;
    const int32_t *index; /* [n]: which row of the call each is; -1: none */
};

struct decoder_rows {
    int64_t n_rows;          /* T */
    const int32_t *token_id; /* [T]; -1 where a source's row stands */
    const struct decoder_source *sources;
    int64_t n_sources;
    const int32_t *slot; /* [T]: where its key and value go (kernels.h, cache_store) */
    struct cached_rows cached;
    const int32_t *logit_row; /* [n_logits] */
    int64_t n_logits;
};

/* Runs the rows, which must stay as they are until the stream was waited for; logits_out
 * [n_logits, V] stay the decoder's, until the next call, and are where its kernels are. */
enum status decoder_run(struct decoder *decoder, const struct decoder_rows *rows,
                        const float **logits_out);

/* What a row gets. */
struct chosen_tokens {
    int32_t *token;
    float *log_probability, *margin;
};
/* The tokens that follow the n rows whose logits the last call gave (kernels.h, choose_tokens); all
 * of it in the host's memory. Waits for them. */
enum status decoder_choose(struct decoder *decoder, struct chosen_tokens *chosen,
                           const struct token_choice *asked, int64_t n);
/* out [n] = the logits [n_rows, V] at index[n], on the host; at most 16 a row. Waits for them. */
enum status decoder_pick(struct decoder *decoder, float *out, const int32_t *index, int64_t n,
                         int64_t n_rows);

/* Block to_from[2 n] of every layer becomes a copy of block to_from[2 n + 1]. */
enum status decoder_copy_blocks(struct decoder *decoder, const int32_t *to_from, int64_t n);

/* For all sharers but the first: does what that does, until it ends. */
enum status decoder_follow(struct decoder *decoder);
/* For the first, while the others follow: they come back. Nothing where nobody shares. */
enum status decoder_end(struct decoder *decoder);

#endif
