/* What the tokenizer and the parsers must know of Unicode: UTF-8, letters and numbers (Unicode 14),
 * white space, normalisation form C (with the marks of Unicode 9, as the reference's library). */
#ifndef ROBIN_TEXT_UNICODE_H
#define ROBIN_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text_buffer.h"

enum unicode_class { UNICODE_OTHER, UNICODE_LETTER, UNICODE_NUMBER, UNICODE_SPACE };

/* Reads one code point at text[0 .. size-1], size >= 1. Returns its length in bytes; where the
 * bytes are not UTF-8, minus the length of the part to give up (one U+FFFD replaces it). */
int utf8_decode(uint32_t *code_point_out, const char *text, size_t size);
void utf8_append(struct text_buffer *out, uint32_t code_point);
/* Offset of the first byte that is not UTF-8, or `size`. */
size_t utf8_valid_length(const char *text, size_t size);

/* \p{L}, \p{N}, White_Space (25 code points), anything else. */
enum unicode_class unicode_class_of(uint32_t code_point);
/* Value of a decimal digit of any script (category Nd), or -1. */
int unicode_digit(uint32_t code_point);
/* White space as Python's str.strip and re know it: also U+001C .. U+001F. */
bool unicode_is_python_space(uint32_t code_point);

/* True if form C cannot change the (valid) text. */
bool unicode_is_nfc(const char *text, size_t size);
/* Appends form C of the (valid) text; linear in its length. */
void unicode_to_nfc(struct text_buffer *out, const char *text, size_t size);

#endif
