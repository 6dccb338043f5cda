/* See base64.h. */
#include "base/base64.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_append(struct text_buffer *out, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i += 3) {
        const uint32_t second = i + 1 < size ? bytes[i + 1] : 0;
        const uint32_t third = i + 2 < size ? bytes[i + 2] : 0;
        const uint32_t word = (uint32_t)bytes[i] << 16 | second << 8 | third;
        const char four[4] = {digits[word >> 18], digits[word >> 12 & 63],
                              i + 1 < size ? digits[word >> 6 & 63] : '=',
                              i + 2 < size ? digits[word & 63] : '='};
        text_append_bytes(out, four, 4);
    }
}

/* value[c] of the digits; 64 for every other byte. */
static void make_values(uint8_t value[256])
{
    memset(value, 64, 256);
    for (uint8_t i = 0; i < 64; i++) value[(unsigned char)digits[i]] = i;
}

enum status base64_decode(uint8_t **bytes_out, size_t *size_out, const char *text, size_t limit)
{
    enum status status = OK;
    uint8_t value[256];
    uint8_t *bytes = NULL;
    const size_t length = strlen(text);
    size_t padding = 0;
    make_values(value);
    while (padding < 2 && padding < length && text[length - 1 - padding] == '=') padding++;
    if (length % 4 != 0)
        FAIL(ERR_FORMAT, "base64 of %zu characters; the number must be a multiple of 4", length);
    const size_t size = length / 4 * 3 - padding;
    if (size > limit) FAIL(ERR_LIMIT, "base64 of %zu bytes; the limit is %zu", size, limit);
    bytes = malloc(size + 3);
    if (bytes == NULL) FAIL(ERR_MEMORY, "no memory for %zu bytes of base64", size);
    uint32_t spare = 0; /* bits that stand for no byte */
    for (size_t i = 0; i < length; i += 4) {
        uint32_t word = 0;
        for (size_t k = 0; k < 4; k++) {
            const bool padded = i + k >= length - padding;
            const uint8_t six = padded ? 0 : value[(unsigned char)text[i + k]];
            if (six == 64)
                FAIL(ERR_FORMAT, "character %zu (0x%02x) is none of base64's", i + k,
                     (unsigned char)text[i + k]);
            word = word << 6 | six;
        }
        for (size_t k = 0; k < 3; k++) bytes[i / 4 * 3 + k] = (uint8_t)(word >> (16 - 8 * k));
        if (i + 4 == length) spare = word & ((1u << 8 * padding) - 1);
    }
    if (spare != 0) FAIL(ERR_FORMAT, "base64 ends inside a byte");
    *bytes_out = bytes;
    *size_out = size;
    bytes = NULL;
out:
    free(bytes);
    return status;
}
