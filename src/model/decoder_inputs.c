/* See decoder_inputs.h. */
#include "model/decoder_inputs.h"

#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "device/stream.h"
#include "model/model_run.h"

/* Each row has a word, a place, a position, an index of a source, and at most a sequence of its own
 * with a row of the table, its start, a group, and what that shares. */
static int64_t most_numbers(const struct decoder_limits *limits)
{
    const int64_t width = (limits->n_positions + limits->block - 1) / limits->block;
    return limits->max_rows * (width + 7) + limits->max_logits + 2;
}

void decoder_inputs_layout(struct decoder_inputs *inputs, struct arena *arena,
                           const struct decoder_limits *limits, int64_t hidden)
{
    inputs->capacity = most_numbers(limits);
    inputs->hidden = hidden;
    inputs->device =
        arena_take(arena, size_multiply((size_t)inputs->capacity, sizeof *inputs->device));
    inputs->rows = take_floats(arena, limits->max_rows, hidden);
}

enum status decoder_inputs_init(struct decoder_inputs *inputs, const struct decoder_limits *limits,
                                struct stream *stream)
{
    enum status status = OK;
    void *host = NULL;
    inputs->on_gpu = true;
    inputs->stream = stream;
    TRY(stream_take_host(stream, &host, (size_t)inputs->capacity * sizeof *inputs->host,
                         "what a decoder is given"));
    inputs->host = host;
    inputs->sources = memory_new((size_t)limits->max_rows, sizeof *inputs->sources);
out:
    return status;
}

void decoder_inputs_release(struct decoder_inputs *inputs)
{
    if (inputs->host != NULL) stream_give_host(inputs->stream, inputs->host);
    free(inputs->sources);
}

/* Numbers join those to be sent. */
static void join(struct decoder_inputs *inputs, const int32_t **numbers, int64_t n)
{
    ASSERT(inputs->n + n <= inputs->capacity, "a decoder is given more than %lld numbers",
           (long long)inputs->capacity);
    memcpy(inputs->host + inputs->n, *numbers, (size_t)n * sizeof *inputs->host);
    *numbers = inputs->device + inputs->n;
    inputs->n += n;
}

static enum status send(const struct decoder_inputs *inputs)
{
    return stream_copy(inputs->stream, inputs->device, inputs->host,
                       (size_t)inputs->n * sizeof *inputs->host);
}

enum status decoder_inputs_send_numbers(struct decoder_inputs *inputs, const int32_t **on_device,
                                        const int32_t *numbers, int64_t n)
{
    enum status status = OK;
    *on_device = numbers;
    if (!inputs->on_gpu) return OK;
    TRY(stream_wait(inputs->stream)); /* for the last copy out of host */
    inputs->n = 0;
    join(inputs, on_device, n);
    TRY(send(inputs));
out:
    return status;
}

/* The sources' rows, one source behind the other. */
static enum status send_sources(struct decoder_inputs *inputs, struct decoder_rows *rows)
{
    enum status status = OK;
    int64_t at = 0;
    for (int64_t i = 0; i < rows->n_sources; i++) {
        struct decoder_source *source = &inputs->sources[i];
        const size_t bytes = (size_t)(source->n * inputs->hidden) * sizeof *source->rows;
        float *to = inputs->rows + at * inputs->hidden;
        TRY(stream_copy(inputs->stream, to, source->rows, bytes));
        source->rows = to;
        at += source->n;
    }
    rows->sources = inputs->sources;
out:
    return status;
}

enum status decoder_inputs_send(struct decoder_inputs *inputs, struct decoder_rows *on_device,
                                const struct decoder_rows *rows, const int32_t *token_id)
{
    enum status status = OK;
    struct cached_rows *cached = &on_device->cached;
    int64_t n_embedded = 0;
    *on_device = *rows;
    on_device->token_id = token_id;
    if (!inputs->on_gpu) return OK;
    for (int64_t i = 0; i < rows->n_sources; i++) n_embedded += rows->sources[i].n;
    ASSERT(n_embedded <= rows->n_rows, "%lld rows of sources for %lld rows", (long long)n_embedded,
           (long long)rows->n_rows);
    TRY(stream_wait(inputs->stream)); /* for the last copy out of host */
    inputs->n = 0;
    join(inputs, &on_device->token_id, rows->n_rows);
    join(inputs, &on_device->slot, rows->n_rows);
    join(inputs, &cached->position, rows->n_rows);
    join(inputs, &cached->row_start, cached->n_sequences + 1);
    join(inputs, &cached->table, cached->n_sequences * cached->table_width);
    join(inputs, &cached->group_start, cached->n_groups + 1);
    join(inputs, &cached->shared, cached->n_groups);
    join(inputs, &on_device->logit_row, rows->n_logits);
    for (int64_t i = 0; i < rows->n_sources; i++) {
        inputs->sources[i] = rows->sources[i];
        join(inputs, &inputs->sources[i].index, rows->sources[i].n);
    }
    TRY(send(inputs));
    TRY(send_sources(inputs, on_device));
out:
    return status;
}
