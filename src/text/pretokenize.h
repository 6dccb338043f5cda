/* Cutting text into the pieces inside which merges happen. */
#ifndef ROBIN_TEXT_PRETOKENIZE_H
#define ROBIN_TEXT_PRETOKENIZE_H

#include <stddef.h>

/* Length in bytes of the first piece of valid UTF-8 text, size >= 1, as Qwen2's expression cuts it:
 *     (?i:'s|'t|'re|'ve|'m|'ll|'d) | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N} | ?[^\s\p{L}\p{N}]+[\r\n]*
 *     | \s*[\r\n]+ | \s+(?!\S) | \s+
 * Calling it piece after piece is linear in the text. */
size_t pretoken_length(const char *text, size_t size);

#endif
