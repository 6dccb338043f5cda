/* Qwen2's byte-level BPE: NFC, the pre-tokenisation pattern, merges by rank, special tokens found
 * before anything else. Reads vocab.json, merges.txt and, if there, added_tokens.json /
 * tokenizer_config.json of a Hugging Face folder. */
#ifndef ROBIN_TEXT_TOKENIZER_H
#define ROBIN_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"

struct tokenizer;

struct token_list { /* zeroed is empty and releasable */
    int32_t *ids;
    int64_t n, capacity;
};
void token_list_append(struct token_list *list, int32_t id);
void token_list_release(struct token_list *list);

/* `directory` holds vocab.json and merges.txt. <mask> and <pos> are added after the known special
 * tokens, as ROBIN does. */
enum status tokenizer_open(struct tokenizer **tokenizer_out, const char *directory);
void tokenizer_close(struct tokenizer *tokenizer);

/* Appends the ids of `text`. Special tokens in the text become their ids. Thread-safe. ERR_FORMAT
 * on invalid UTF-8. */
enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t size,
                             struct token_list *ids);
/* Appends UTF-8 with replacement characters where bytes do not form any, as the reference decodes.
 * Ids without a token (the embedding has more rows than there are tokens) give nothing. */
void tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, int64_t n,
                      bool skip_special, struct text_buffer *out);
/* The bytes of a plain token, not always whole characters; NULL and 0 for added tokens and ids
 * without a token. */
const char *tokenizer_bytes(const struct tokenizer *tokenizer, int32_t id, size_t *size_out);
/* Of an added token or of the bytes of a plain one; -1 if there is no such token. */
int32_t tokenizer_id(const struct tokenizer *tokenizer, const char *token);
/* The first added token (<|im_end|>, <mask>, <tool_call>, ...) that `text` would encode to, or
 * NULL: data must not hold one. */
const char *tokenizer_find_added(const struct tokenizer *tokenizer, const char *text, size_t size);
int32_t tokenizer_size(const struct tokenizer *tokenizer); /* highest id + 1 */

#endif
