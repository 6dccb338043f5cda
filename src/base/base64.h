/* Bytes as text (RFC 4648, the alphabet with + and /, padded). */
#ifndef ROBIN_BASE_BASE64_H
#define ROBIN_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"

void base64_append(struct text_buffer *out, const uint8_t *bytes, size_t size);

/* The bytes, to free(). ERR_FORMAT for anything that base64_append does not write: other
 * characters (line ends too), missing padding, bits behind the last byte; ERR_LIMIT for more than
 * `limit` bytes. */
enum status base64_decode(uint8_t **bytes_out, size_t *size_out, const char *text, size_t limit);

#endif
