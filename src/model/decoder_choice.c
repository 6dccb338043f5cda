/* See decoder_choice.h. */
#include "model/decoder_choice.h"

#include <string.h>

#include "base/assertion.h"
#include "device/stream.h"

/* Where everything lies in either memory, for n rows. */
struct places {
    size_t allowed, temperature, top_p, uniform, masks; /* sent */
    size_t token, log_probability, margin;              /* come back, in the first places */
};

static int64_t mask_words(const struct decoder_choice *choice)
{
    return (choice->vocab + 31) / 32;
}

static struct places places_of(int64_t n)
{
    const size_t each = (size_t)n * sizeof(float), pointers = (size_t)n * sizeof(uint32_t *);
    return (struct places){.allowed = 0,
                           .temperature = pointers,
                           .top_p = pointers + each,
                           .uniform = pointers + 2 * each,
                           .masks = pointers + 3 * each,
                           .token = 0,
                           .log_probability = each,
                           .margin = 2 * each};
}

/* What comes back lies behind the masks. */
static size_t results_at(const struct decoder_choice *choice)
{
    const size_t masks = (size_t)(choice->max_logits * mask_words(choice)) * sizeof(uint32_t);
    return places_of(choice->max_logits).masks + masks;
}

void decoder_choice_layout(struct decoder_choice *choice, struct arena *arena, int64_t max_logits,
                           int64_t vocab)
{
    choice->max_logits = max_logits;
    choice->vocab = vocab;
    choice->bytes = results_at(choice) + (size_t)(3 * max_logits) * sizeof(float);
    const size_t picks = (size_t)(2 * DECODER_PICKS * max_logits) * sizeof(float);
    if (choice->bytes < picks) choice->bytes = picks;
    choice->device = arena_take(arena, choice->bytes);
}

enum status decoder_choice_init(struct decoder_choice *choice, const struct kernels *kernels,
                                struct stream *stream)
{
    enum status status = OK;
    void *host = NULL;
    choice->kernels = kernels;
    choice->stream = stream;
    choice->on_gpu = kernels_on_gpu(kernels);
    if (!choice->on_gpu) goto out;
    TRY(stream_take_host(stream, &host, choice->bytes, "choices of a decoder"));
    choice->host = host;
out:
    return status;
}

void decoder_choice_release(struct decoder_choice *choice)
{
    if (choice->host != NULL) stream_give_host(choice->stream, choice->host);
}

/* The n rows' wishes to the device; masks as far as there are any. */
static enum status send(const struct decoder_choice *choice, const struct token_choice *asked,
                        int64_t n)
{
    const struct places at = places_of(n);
    const size_t each = (size_t)n * sizeof(float);
    const size_t mask = (size_t)mask_words(choice) * sizeof(uint32_t);
    size_t end = at.masks;
    for (int64_t i = 0; i < n; i++) {
        const unsigned char *allowed = NULL;
        if (asked->allowed[i] != NULL) {
            memcpy(choice->host + end, asked->allowed[i], mask);
            allowed = choice->device + end;
            end += mask;
        }
        memcpy(choice->host + at.allowed + (size_t)i * sizeof allowed, &allowed, sizeof allowed);
    }
    memcpy(choice->host + at.temperature, asked->temperature, each);
    memcpy(choice->host + at.top_p, asked->top_p, each);
    memcpy(choice->host + at.uniform, asked->uniform, each);
    return stream_copy(choice->stream, choice->device, choice->host, end);
}

static const void *device_at(const struct decoder_choice *choice, size_t at)
{
    return choice->device + at;
}

enum status decoder_choice_make(const struct decoder_choice *choice, struct chosen_tokens *chosen,
                                const float *logits, const struct token_choice *asked, int64_t n)
{
    enum status status = OK;
    const struct places at = places_of(n);
    const size_t each = (size_t)n * sizeof(float);
    if (n == 0) return stream_wait(choice->stream);
    if (!choice->on_gpu)
        return choice->kernels->choose_tokens(chosen->token, chosen->log_probability,
                                              chosen->margin, logits, asked, n, choice->vocab,
                                              choice->stream);
    ASSERT(n <= choice->max_logits, "%lld choices of %lld", (long long)n,
           (long long)choice->max_logits);
    const struct token_choice there = {.allowed = device_at(choice, at.allowed),
                                       .temperature = device_at(choice, at.temperature),
                                       .top_p = device_at(choice, at.top_p),
                                       .uniform = device_at(choice, at.uniform)};
    unsigned char *results = choice->device + results_at(choice);
    unsigned char *here = choice->host + results_at(choice);
    TRY(send(choice, asked, n));
    TRY(choice->kernels->choose_tokens(
        (void *)(results + at.token), (void *)(results + at.log_probability),
        (void *)(results + at.margin), logits, &there, n, choice->vocab, choice->stream));
    TRY(stream_read(choice->stream, here, results, 3 * each));
    memcpy(chosen->token, here + at.token, each);
    memcpy(chosen->log_probability, here + at.log_probability, each);
    memcpy(chosen->margin, here + at.margin, each);
out:
    return status;
}

enum status decoder_choice_pick(const struct decoder_choice *choice, float *out,
                                const float *logits, const int32_t *index, int64_t n,
                                int64_t n_rows)
{
    enum status status = OK;
    const size_t bytes = (size_t)n * sizeof *out;
    const struct kernels *k = choice->kernels;
    const int64_t all = n_rows * choice->vocab;
    if (!choice->on_gpu) return k->rows_gather(out, logits, index, all, n, 1, choice->stream);
    ASSERT(n <= DECODER_PICKS * choice->max_logits, "%lld logits are picked of %lld rows",
           (long long)n, (long long)n_rows);
    unsigned char *picked = choice->device + bytes;
    memcpy(choice->host, index, bytes);
    TRY(stream_copy(choice->stream, choice->device, choice->host, bytes));
    TRY(k->rows_gather(picked, logits, device_at(choice, 0), all, n, 1, choice->stream));
    TRY(stream_read(choice->stream, choice->host + bytes, picked, bytes));
    memcpy(out, choice->host + bytes, bytes);
out:
    return status;
}
