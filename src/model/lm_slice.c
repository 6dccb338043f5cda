#include "model/lm_slice.h"

#include <stdlib.h>

#include "base/text_buffer.h"

static int64_t part_of(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

/* Whether parts of equal size leave something for the last sharer. */
static bool is_enough(int64_t n, int64_t size)
{
    return part_of(n, size) * (size - 1) < n;
}

static int64_t smaller_int64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool divides(const struct lm_config *config, int64_t size)
{
    return config->heads % size == 0 &&
           (config->kv_heads % size == 0 || size % config->kv_heads == 0) &&
           is_enough(config->ffn, size) && is_enough(config->vocab, size);
}

/* "1, 2, 4", to free() */
static char *list_allowed(const struct lm_config *config)
{
    struct text_buffer text = {0};
    for (int64_t size = 1; size <= config->heads; size++)
        if (divides(config, size))
            text_printf(&text, "%s%lld", size > 1 ? ", " : "", (long long)size);
    return text_take(&text);
}

enum status lm_slice_make(struct lm_slice *slice_out, const struct lm_config *config, int index,
                          int size)
{
    enum status status = OK;
    char *allowed = NULL;
    struct lm_slice slice = {.config = config, .index = index, .size = size};
    if (!divides(config, size)) {
        allowed = list_allowed(config);
        FAIL(ERR_SHAPE,
             "a language model with %lld heads, %lld key/value heads, inner width %lld and %lld "
             "words cannot be split over %d ranks; parallel.tp may be %s",
             (long long)config->heads, (long long)config->kv_heads, (long long)config->ffn,
             (long long)config->vocab, size, allowed);
    }
    slice.head_size = config->hidden / config->heads;
    slice.heads = config->heads / size;
    slice.first_head = slice.heads * index;
    const bool repeated = size > config->kv_heads;
    slice.kv_replicas = repeated ? size / config->kv_heads : 1;
    slice.kv_heads = repeated ? 1 : config->kv_heads / size;
    slice.first_kv_head = repeated ? index / slice.kv_replicas : slice.kv_heads * index;
    slice.ffn = part_of(config->ffn, size);
    slice.first_channel = slice.ffn * index;
    slice.real_ffn = smaller_int64(slice.ffn, config->ffn - slice.first_channel);
    slice.vocab_held = part_of(config->vocab, size);
    slice.first_word = slice.vocab_held * index;
    slice.vocab = smaller_int64(slice.vocab_held, config->vocab - slice.first_word);
    *slice_out = slice;
out:
    free(allowed);
    return status;
}
