/* A decoder that several sharers of a model hold together: sharer 0 leads, the others do what it
 * says. What it says is rows as decoder_run has them, without the sources: those are the leader's
 * to add. Internal to src/model. */
#ifndef ROBIN_MODEL_DECODER_SHARE_H
#define ROBIN_MODEL_DECODER_SHARE_H

#include "model/decoder.h"
#include "model/lm_slice.h"

enum decoder_order { DECODER_RUNS, DECODER_COPIES, DECODER_ENDS };

/* One order with its numbers, as sent and as heard. */
struct decoder_message { /* zeroed is releasable */
    int64_t head[8];     /* the order, and how many of everything */
    int32_t *body;
    int64_t capacity;
};
void decoder_message_release(struct decoder_message *message);

/* The leader's: collective over the sharers with decoder_hear. */
enum status decoder_tell_rows(struct decoder_message *message, const struct model_share *share,
                              const struct decoder_rows *rows);
enum status decoder_tell_copies(struct decoder_message *message, const struct model_share *share,
                                const int32_t *to_from, int64_t n);
enum status decoder_tell_end(struct decoder_message *message, const struct model_share *share);

/* The others'. What was heard stays the message's. */
enum status decoder_hear(struct decoder_message *message, const struct model_share *share,
                         enum decoder_order *order_out);
struct decoder_rows decoder_heard_rows(const struct decoder_message *message);
const int32_t *decoder_heard_copies(const struct decoder_message *message, int64_t *n_out);

#endif
