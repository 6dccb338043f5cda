#include "model/lm_slice.h"

#include <stdlib.h>

#include "base/text_buffer.h"

static bool divides(const struct lm_config *config, int64_t size)
{
    return config->heads % size == 0 &&
           (config->kv_heads % size == 0 || size % config->kv_heads == 0) && size <= config->ffn &&
           size <= config->vocab;
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
    slice.first_channel = share_start(config->ffn, index, size);
    slice.ffn = share_start(config->ffn, index + 1, size) - slice.first_channel;
    slice.first_word = share_start(config->vocab, index, size);
    slice.vocab = share_start(config->vocab, index + 1, size) - slice.first_word;
    *slice_out = slice;
out:
    free(allowed);
    return status;
}
