/* What one call of a decoder is given, where its kernels reach it: on a GPU all numbers go there in
 * one copy; on the CPU it is used where it is. Internal to src/model. */
#ifndef ROBIN_MODEL_DECODER_INPUTS_H
#define ROBIN_MODEL_DECODER_INPUTS_H

#include "base/arena.h"
#include "model/decoder.h"

struct stream;

struct decoder_inputs { /* zeroed is releasable */
    bool on_gpu;
    struct stream *stream;
    int32_t *host, *device; /* [capacity]: numbers, before and after the copy */
    int64_t capacity, n;
    float *rows; /* [max_rows, D] on the device: of all sources */
    int64_t hidden;
    struct decoder_source *sources; /* [max_rows]: as the kernels see them */
};

/* The device's part. */
void decoder_inputs_layout(struct decoder_inputs *inputs, struct arena *arena,
                           const struct decoder_limits *limits, int64_t hidden);
/* The host's part, after that. */
enum status decoder_inputs_init(struct decoder_inputs *inputs, const struct decoder_limits *limits,
                                struct stream *stream);
void decoder_inputs_release(struct decoder_inputs *inputs);

/* `rows` as the kernels see them: its arrays sent, with `token_id` in the place of its own. The
 * caller's must stay as they are until the stream was waited for. */
enum status decoder_inputs_send(struct decoder_inputs *inputs, struct decoder_rows *on_device,
                                const struct decoder_rows *rows, const int32_t *token_id);
/* n numbers. */
enum status decoder_inputs_send_numbers(struct decoder_inputs *inputs, const int32_t **on_device,
                                        const int32_t *numbers, int64_t n);

#endif
