/* Growing strings and the allocations that may not fail. */
#include "base/text_buffer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"

static void reserve(struct text_buffer *buffer, size_t extra)
{
    ASSERT(extra < SIZE_MAX - buffer->length - 1, "a text of %zu + %zu bytes", buffer->length,
           extra);
    size_t needed = buffer->length + extra + 1;
    if (needed <= buffer->capacity) return;
    size_t capacity = buffer->capacity ? buffer->capacity : 64;
    while (capacity < needed) capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    buffer->text = memory_resize(buffer->text, capacity, 1);
    buffer->capacity = capacity;
}

void text_append_bytes(struct text_buffer *buffer, const void *bytes, size_t size)
{
    reserve(buffer, size);
    if (size > 0) memcpy(buffer->text + buffer->length, bytes, size);
    buffer->length += size;
    buffer->text[buffer->length] = '\0';
}

void text_append(struct text_buffer *buffer, const char *text)
{
    text_append_bytes(buffer, text, strlen(text));
}

void text_append_char(struct text_buffer *buffer, char c)
{
    text_append_bytes(buffer, &c, 1);
}

void text_vprintf(struct text_buffer *buffer, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    ASSERT(length >= 0, "cannot format \"%s\"", format);
    reserve(buffer, (size_t)length);
    vsnprintf(buffer->text + buffer->length, (size_t)length + 1, format, arguments);
    buffer->length += (size_t)length;
}

void text_printf(struct text_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text_vprintf(buffer, format, arguments);
    va_end(arguments);
}

void text_clear(struct text_buffer *buffer)
{
    buffer->length = 0;
    if (buffer->text != NULL) buffer->text[0] = '\0';
}

void text_release(struct text_buffer *buffer)
{
    free(buffer->text);
    *buffer = (struct text_buffer){0};
}

char *text_take(struct text_buffer *buffer)
{
    reserve(buffer, 0);
    char *text = buffer->text;
    text[buffer->length] = '\0';
    *buffer = (struct text_buffer){0};
    return text;
}

const char *text_of(const struct text_buffer *buffer)
{
    return buffer->text != NULL ? buffer->text : "";
}

char *text_format(const char *format, ...)
{
    struct text_buffer buffer = {0};
    va_list arguments;
    va_start(arguments, format);
    text_vprintf(&buffer, format, arguments);
    va_end(arguments);
    return text_take(&buffer);
}

char *text_copy(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memory_new(size, 1);
    memcpy(copy, text, size);
    return copy;
}

void *memory_new(size_t n, size_t size)
{
    void *memory = calloc(n ? n : 1, size ? size : 1); /* calloc checks the product */
    ASSERT(memory != NULL, "no memory for %zu x %zu bytes", n, size);
    return memory;
}

void *memory_resize(void *memory, size_t n, size_t size)
{
    void *resized = reallocarray(memory, n ? n : 1, size ? size : 1);
    ASSERT(resized != NULL, "no memory for %zu x %zu bytes", n, size);
    return resized;
}
