/* A growing string: always NUL-terminated, length known; running out of memory aborts (small
 * strings only). */
#ifndef ROBIN_BASE_TEXT_BUFFER_H
#define ROBIN_BASE_TEXT_BUFFER_H

#include <stdarg.h>
#include <stddef.h>

struct text_buffer { /* zeroed is empty and releasable */
    char *text;      /* NULL while empty */
    size_t length;
    size_t capacity;
};

void text_append(struct text_buffer *buffer, const char *text);
void text_append_bytes(struct text_buffer *buffer, const void *bytes, size_t size);
void text_append_char(struct text_buffer *buffer, char c);
void text_printf(struct text_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void text_vprintf(struct text_buffer *buffer, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
/* Keeps the memory. */
void text_clear(struct text_buffer *buffer);
void text_release(struct text_buffer *buffer);
/* The string itself ("" if empty), the caller's to free(); the buffer is empty afterwards. */
char *text_take(struct text_buffer *buffer);
/* The text, never NULL. */
const char *text_of(const struct text_buffer *buffer);

/* printf into new memory, to free(). Aborts when there is none. */
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* strdup that aborts when there is no memory. */
char *text_copy(const char *text);
/* malloc / realloc of n * size that abort when there is no memory or n * size overflows: for small
 * things of ours, never for sizes read from a file. */
void *memory_new(size_t n, size_t size); /* zeroed */
void *memory_resize(void *memory, size_t n, size_t size);

#endif
