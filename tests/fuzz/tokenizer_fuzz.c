/* Any bytes as text to encode, any ids to decode. The tokenizer is the scenes corpus's. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "fuzz/fuzz.h"
#include "text/tokenizer.h"

static struct tokenizer *tokenizer;

static void close_tokenizer(void)
{
    tokenizer_close(tokenizer);
}

static void open_tokenizer(void)
{
    const char *folder = "datasets/tokenizer-scenes";
    fuzz_require(tokenizer_open(&tokenizer, folder) == OK, "datasets/tokenizer-scenes opens");
    atexit(close_tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (tokenizer == NULL) open_tokenizer();
    struct token_list ids = {0}, again = {0};
    struct text_buffer text = {0}, second = {0};
    struct fuzz_input input = {data, size};
    size_t n_bytes;
    char *copy = fuzz_rest(&input, &n_bytes);
    if (tokenizer_encode(tokenizer, copy, n_bytes, &ids) == OK) {
        for (int64_t i = 0; i < ids.n; i++)
            fuzz_require(ids.ids[i] >= 0 && ids.ids[i] < tokenizer_size(tokenizer),
                         "ids are of the vocabulary");
        /* Decoded text is in NFC: from there encoding and decoding go round. */
        tokenizer_decode(tokenizer, ids.ids, ids.n, false, &text);
        if (tokenizer_encode(tokenizer, text_of(&text), text.length, &again) == OK) {
            tokenizer_decode(tokenizer, again.ids, again.n, false, &second);
            fuzz_require(second.length == text.length &&
                             memcmp(text_of(&second), text_of(&text), text.length) == 0,
                         "decoded text survives encoding");
        }
    }
    text_clear(&text);
    tokenizer_decode(tokenizer, (const int32_t *)(const void *)copy, (int64_t)(n_bytes / 4), true,
                     &text);
    tokenizer_find_added(tokenizer, copy, strlen(copy));
    text_release(&text);
    text_release(&second);
    token_list_release(&ids);
    token_list_release(&again);
    free(copy);
    return 0;
}
