/* From a decoder's logits to tokens on the host: what is asked of each row goes to where the logits
 * are, and only tokens, their probabilities and margins come back. Internal to src/model. */
#ifndef ROBIN_MODEL_DECODER_CHOICE_H
#define ROBIN_MODEL_DECODER_CHOICE_H

#include "base/arena.h"
#include "kernels.h"
#include "model/decoder.h"

#define DECODER_PICKS 16 /* logits that may be picked, for every row */

struct decoder_choice { /* zeroed is releasable */
    bool on_gpu;
    const struct kernels *kernels; /* fp32, as logits are */
    struct stream *stream;
    int64_t max_logits, vocab;
    unsigned char *host, *device; /* [bytes]: what is sent; and then what comes back */
    size_t bytes;
};

/* The device's part. */
void decoder_choice_layout(struct decoder_choice *choice, struct arena *arena, int64_t max_logits,
                           int64_t vocab);
/* The host's part, after that. */
enum status decoder_choice_init(struct decoder_choice *choice, const struct kernels *kernels,
                                struct stream *stream);
void decoder_choice_release(struct decoder_choice *choice);

/* kernels.h, choose_tokens, with everything but the logits [n, V] on the host. Waits. */
enum status decoder_choice_make(const struct decoder_choice *choice, struct chosen_tokens *chosen,
                                const float *logits, const struct token_choice *asked, int64_t n);
/* out [n] = logits[index[n]], of all of n_rows rows; at most DECODER_PICKS a row. Waits. */
enum status decoder_choice_pick(const struct decoder_choice *choice, float *out,
                                const float *logits, const int32_t *index, int64_t n,
                                int64_t n_rows);

#endif
