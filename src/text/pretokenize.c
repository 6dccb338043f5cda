/* The expression as a scanner: each alternative is decided by the class of one or two characters,
 * so that nothing is ever tried twice. */
#include "text/pretokenize.h"

#include <stdbool.h>
#include <stdint.h>

#include "text/unicode.h"

#define O UNICODE_OTHER
#define L UNICODE_LETTER
#define N UNICODE_NUMBER
#define S UNICODE_SPACE
static const uint8_t ascii_class[128] = {
    O, O, O, O, O, O, O, O, O, S, S, S, S, S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,
    S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, N, N, N, N, N, N, N, N, N, N, O, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
};
#undef O
#undef L
#undef N
#undef S

struct character {
    enum unicode_class class;
    uint32_t code_point;
    size_t size;
};

static inline struct character character_at(const char *text, size_t size)
{
    unsigned char byte = (unsigned char)text[0];
    if (byte < 128) return (struct character){(enum unicode_class)ascii_class[byte], byte, 1};
    struct character c = {.size = 1};
    int n = utf8_decode(&c.code_point, text, size);
    if (n > 0) c.size = (size_t)n;
    c.class = unicode_class_of(c.code_point);
    return c;
}

/* End of the run of this class that starts at `at`. */
static size_t run_end(const char *text, size_t size, size_t at, enum unicode_class class)
{
    while (at < size) {
        struct character c = character_at(text + at, size - at);
        if (c.class != class) break;
        at += c.size;
    }
    return at;
}

static bool is_line_end(char c)
{
    return c == '\r' || c == '\n';
}

/* Length of 's, 't, 're, ... in either case (long s included) at an apostrophe; 0: none. */
static size_t contraction_length(const char *text, size_t size)
{
    if (size < 2) return 0;
    if (size >= 3 && (unsigned char)text[1] == 0xC5 && (unsigned char)text[2] == 0xBF) return 3;
    char a = (char)(text[1] | 32);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    char b = size >= 3 ? (char)(text[2] | 32) : '\0';
    bool two = (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l');
    return two ? 3 : 0;
}

static size_t others_length(const char *text, size_t size, size_t at)
{
    at = run_end(text, size, at, UNICODE_OTHER);
    while (at < size && is_line_end(text[at])) at++;
    return at;
}

/* White space: up to its last line end if it has one; else all but the last character when a word
 * follows, which takes that one along. */
static size_t space_length(const char *text, size_t size)
{
    size_t at = 0, last_start = 0, after_line_end = 0;
    while (at < size) {
        struct character c = character_at(text + at, size - at);
        if (c.class != UNICODE_SPACE) break;
        last_start = at;
        at += c.size;
        if (c.code_point == '\r' || c.code_point == '\n') after_line_end = at;
    }
    if (after_line_end > 0) return after_line_end;
    return at == size || last_start == 0 ? at : last_start;
}

size_t pretoken_length(const char *text, size_t size)
{
    struct character first = character_at(text, size);
    if (first.code_point == '\'') {
        size_t length = contraction_length(text, size);
        if (length > 0) return length;
    }
    if (first.class == UNICODE_LETTER) return run_end(text, size, first.size, UNICODE_LETTER);
    if (first.class == UNICODE_NUMBER) return first.size;
    struct character second = {.class = UNICODE_SPACE};
    if (first.size < size) second = character_at(text + first.size, size - first.size);
    if (second.class == UNICODE_LETTER && !is_line_end(text[0]))
        return run_end(text, size, first.size + second.size, UNICODE_LETTER);
    if (first.class == UNICODE_OTHER) return others_length(text, size, first.size);
    if (text[0] == ' ' && second.class == UNICODE_OTHER)
        return others_length(text, size, first.size + second.size);
    return space_length(text, size);
}
