/* Own code over generated tables, because no library at hand has the reference's mixture of
 * Unicode versions; everything here is linear in the text. */
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>

#include "text/unicode_tables.h"

#define HANGUL_S       0xAC00u
#define HANGUL_L       0x1100u
#define HANGUL_V       0x1161u
#define HANGUL_T       0x11A7u
#define HANGUL_L_COUNT 19u
#define HANGUL_V_COUNT 21u
#define HANGUL_T_COUNT 28u
#define HANGUL_S_COUNT (HANGUL_L_COUNT * HANGUL_V_COUNT * HANGUL_T_COUNT)

/* Length of the sequence that `lead` opens and the range its second byte must be in (which is what
 * rules out overlong forms, surrogates and code points beyond 0x10FFFF); 0: it opens none. */
static int lead_length(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) return 2;
    if (lead >= 0xE0 && lead <= 0xEF) {
        if (lead == 0xE0) *low = 0xA0;
        if (lead == 0xED) *high = 0x9F;
        return 3;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        if (lead == 0xF0) *low = 0x90;
        if (lead == 0xF4) *high = 0x8F;
        return 4;
    }
    return 0;
}

int utf8_decode(uint32_t *code_point_out, const char *text, size_t size)
{
    const unsigned char *byte = (const unsigned char *)text;
    if (byte[0] < 0x80) {
        *code_point_out = byte[0];
        return 1;
    }
    unsigned char low, high;
    int length = lead_length(byte[0], &low, &high);
    if (length == 0) return -1;
    uint32_t value = byte[0] & (0xFFu >> (length + 1));
    for (int i = 1; i < length; i++) {
        if ((size_t)i >= size || byte[i] < low || byte[i] > high) return -i;
        value = value << 6 | (byte[i] & 0x3Fu);
        low = 0x80;
        high = 0xBF;
    }
    *code_point_out = value;
    return length;
}

void utf8_append(struct text_buffer *out, uint32_t c)
{
    char bytes[4];
    size_t n = 0;
    if (c < 0x80) {
        bytes[n++] = (char)c;
    } else if (c < 0x800) {
        bytes[n++] = (char)(0xC0 | c >> 6);
        bytes[n++] = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        bytes[n++] = (char)(0xE0 | c >> 12);
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3F));
        bytes[n++] = (char)(0x80 | (c & 0x3F));
    } else {
        bytes[n++] = (char)(0xF0 | c >> 18);
        bytes[n++] = (char)(0x80 | (c >> 12 & 0x3F));
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3F));
        bytes[n++] = (char)(0x80 | (c & 0x3F));
    }
    text_append_bytes(out, bytes, n);
}

size_t utf8_valid_length(const char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        uint32_t ignored;
        int n = utf8_decode(&ignored, text + at, size - at);
        if (n < 0) break;
        at += (size_t)n;
    }
    return at;
}

/* The value of the range that holds `c`, 0 if none does. */
static uint32_t range_value(const struct unicode_range *ranges, size_t n, uint32_t c)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c > ranges[middle].last)
            low = middle + 1;
        else if (c < ranges[middle].first)
            high = middle;
        else
            return ranges[middle].value;
    }
    return 0;
}

static bool is_white_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == 32 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

enum unicode_class unicode_class_of(uint32_t c)
{
    if (c < 128) {
        if ((c | 32) >= 'a' && (c | 32) <= 'z') return UNICODE_LETTER;
        if (c >= '0' && c <= '9') return UNICODE_NUMBER;
        return is_white_space(c) ? UNICODE_SPACE : UNICODE_OTHER;
    }
    if (is_white_space(c)) return UNICODE_SPACE;
    return (enum unicode_class)range_value(unicode_classes, n_unicode_classes, c);
}

int unicode_digit(uint32_t c)
{
    for (size_t i = 0; i < n_unicode_zeros && unicode_zeros[i] <= c; i++)
        if (c - unicode_zeros[i] < 10) return (int)(c - unicode_zeros[i]);
    return -1;
}

bool unicode_is_python_space(uint32_t c)
{
    return is_white_space(c) || (c >= 0x1C && c <= 0x1F);
}

bool unicode_is_nfc(const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        if ((unsigned char)text[at] < 0xCC) { /* below U+0300: nothing to do, whatever follows */
            at++;
            continue;
        }
        uint32_t c;
        int n = utf8_decode(&c, text + at, size - at);
        if (n < 0 || range_value(unicode_attention, n_unicode_attention, c)) return false;
        at += (size_t)n;
    }
    return true;
}

struct code_points {
    uint32_t *points;
    uint8_t *classes; /* canonical combining class of each */
    size_t n, capacity;
};

static uint8_t mark_class(uint32_t c)
{
    return c < 0x300 ? 0 : (uint8_t)range_value(unicode_marks, n_unicode_marks, c);
}

static void push(struct code_points *list, uint32_t c)
{
    if (list->n == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 64;
        list->points = memory_resize(list->points, list->capacity, sizeof *list->points);
        list->classes = memory_resize(list->classes, list->capacity, 1);
    }
    list->points[list->n] = c;
    list->classes[list->n++] = mark_class(c);
}

static const struct unicode_triple *decomposition_of(uint32_t c)
{
    size_t low = 0, high = n_unicode_decompositions;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (unicode_decompositions[middle].a < c)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < n_unicode_decompositions && unicode_decompositions[low].a == c;
    return found ? &unicode_decompositions[low] : NULL;
}

static void push_decomposed(struct code_points *list, uint32_t c)
{
    if (c - HANGUL_S < HANGUL_S_COUNT) {
        uint32_t s = c - HANGUL_S;
        push(list, HANGUL_L + s / (HANGUL_V_COUNT * HANGUL_T_COUNT));
        push(list, HANGUL_V + s / HANGUL_T_COUNT % HANGUL_V_COUNT);
        if (s % HANGUL_T_COUNT) push(list, HANGUL_T + s % HANGUL_T_COUNT);
        return;
    }
    const struct unicode_triple *d = c < 0xC0 ? NULL : decomposition_of(c);
    if (!d) {
        push(list, c);
        return;
    }
    push_decomposed(list, d->b); /* the tables nest four deep at most */
    if (d->c) push_decomposed(list, d->c);
}

/* Sorts marks [first, last) by class, keeping the order of equal ones. Counting, since a hostile
 * text may hold a million marks in a row. */
static void sort_marks(struct code_points *list, size_t first, size_t last)
{
    size_t n = last - first, start[257] = {0};
    for (size_t i = first; i < last; i++) start[list->classes[i] + 1]++;
    for (size_t c = 0; c < 256; c++) start[c + 1] += start[c];
    uint32_t *points = memory_new(n, sizeof *points);
    for (size_t i = first; i < last; i++) points[start[list->classes[i]]++] = list->points[i];
    for (size_t i = 0; i < n; i++) {
        list->points[first + i] = points[i];
        list->classes[first + i] = mark_class(points[i]);
    }
    free(points);
}

static void reorder(struct code_points *list)
{
    for (size_t i = 0; i < list->n;) {
        if (list->classes[i] == 0) {
            i++;
            continue;
        }
        size_t first = i;
        bool sorted = true;
        for (; i < list->n && list->classes[i]; i++)
            if (i > first && list->classes[i] < list->classes[i - 1]) sorted = false;
        if (!sorted) sort_marks(list, first, i);
    }
}

/* 0 if b, c do not compose. */
static uint32_t compose_pair(uint32_t b, uint32_t c)
{
    if (b - HANGUL_L < HANGUL_L_COUNT && c - HANGUL_V < HANGUL_V_COUNT)
        return HANGUL_S + ((b - HANGUL_L) * HANGUL_V_COUNT + (c - HANGUL_V)) * HANGUL_T_COUNT;
    bool is_lv = b - HANGUL_S < HANGUL_S_COUNT && (b - HANGUL_S) % HANGUL_T_COUNT == 0;
    if (is_lv && c > HANGUL_T && c - HANGUL_T < HANGUL_T_COUNT) return b + (c - HANGUL_T);
    size_t low = 0, high = n_unicode_compositions;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct unicode_triple *t = &unicode_decompositions[unicode_compositions[middle]];
        if (t->b < b || (t->b == b && t->c < c))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == n_unicode_compositions) return 0;
    const struct unicode_triple *t = &unicode_decompositions[unicode_compositions[low]];
    return t->b == b && t->c == c ? t->a : 0;
}

/* A mark joins the last starter unless one of the same or a higher class stands between. */
static void compose(struct code_points *list)
{
    size_t n = 0, starter = 0;
    bool has_starter = false;
    for (size_t i = 0; i < list->n; i++) {
        uint32_t c = list->points[i];
        uint8_t class = list->classes[i];
        bool adjacent = has_starter && n == starter + 1;
        bool reachable = adjacent || (has_starter && list->classes[n - 1] < class);
        uint32_t composed = reachable ? compose_pair(list->points[starter], c) : 0;
        if (composed) {
            list->points[starter] = composed;
            continue;
        }
        if (class == 0) {
            starter = n;
            has_starter = true;
        }
        list->points[n] = c;
        list->classes[n++] = class;
    }
    list->n = n;
}

void unicode_to_nfc(struct text_buffer *out, const char *text, size_t size)
{
    struct code_points list = {0};
    for (size_t at = 0; at < size;) {
        uint32_t c;
        int n = utf8_decode(&c, text + at, size - at);
        if (n < 0) c = 0xFFFD;
        push_decomposed(&list, c);
        at += (size_t)abs(n);
    }
    reorder(&list);
    compose(&list);
    for (size_t i = 0; i < list.n; i++) utf8_append(out, list.points[i]);
    free(list.points);
    free(list.classes);
}
