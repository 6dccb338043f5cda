/* The files of a tokenizer folder: vocab.json, merges.txt, added_tokens.json and
 * tokenizer_config.json, parted by a line of four dashes. */
#include <string.h>

#include "base/status.h"
#include "fuzz/fuzz.h"
#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"vocab.json", "merges.txt", "added_tokens.json",
                                        "tokenizer_config.json"};
    static const char border[] = "\n----\n";
    const uint8_t *end = data + size;
    for (int i = 0; i < 4; i++) {
        const uint8_t *cut = i < 3 ? memmem(data, (size_t)(end - data), border, 6) : NULL;
        fuzz_folder_file(names[i], data, (size_t)((cut ? cut : end) - data));
        data = cut ? cut + 6 : end;
    }
    struct tokenizer *tokenizer = NULL;
    if (tokenizer_open(&tokenizer, fuzz_folder()) != OK) return 0;
    struct token_list ids = {0};
    struct text_buffer text = {0};
    static const char sample[] = "There is region1 <mask><pos> for the entire image.\n \xc3\xa9";
    if (tokenizer_encode(tokenizer, sample, sizeof sample - 1, &ids) == OK)
        tokenizer_decode(tokenizer, ids.ids, ids.n, false, &text);
    token_list_release(&ids);
    text_release(&text);
    tokenizer_close(tokenizer);
    return 0;
}
