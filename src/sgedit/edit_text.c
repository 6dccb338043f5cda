/* See edit_text.h. */
#include "sgedit/edit_text.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/text_buffer.h"
#include "text/unicode.h"

static bool is_space(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

char *edit_text_clean(const char *text)
{
    struct text_buffer out = {0};
    bool gap = false;
    for (; *text != '\0'; text++) {
        if (is_space((unsigned char)*text)) {
            gap = out.length > 0;
            continue;
        }
        if (gap) text_append_char(&out, ' ');
        gap = false;
        text_append_char(&out, *text);
    }
    return text_take(&out);
}

/* C0, DEL, C1, and what turns the direction of text, is not seen, or is no character. */
static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xffff) || c >= 0xe0000;
}

static bool has_control(const char *text)
{
    const size_t size = strlen(text);
    for (size_t at = 0; at < size;) {
        uint32_t c;
        const int n = utf8_decode(&c, text + at, size - at);
        if (n <= 0 || is_control(c)) return true;
        at += (size_t)n;
    }
    return utf8_valid_length(text, size) != size;
}

/* "<mask>", "<|im_end|>", "</p>", "<region3>": whatever an angle bracket could begin or end. */
static bool has_mark(const char *text)
{
    return strpbrk(text, "<>") != NULL || strstr(text, "[INST]") != NULL;
}

/* "region7" would be read as one of the graph's own. */
static bool has_region_number(const char *text)
{
    for (const char *at = strcasestr(text, "region"); at != NULL;
         at = strcasestr(at + 1, "region")) {
        const char *digit = at + strlen("region");
        while (*digit == ' ') digit++;
        if (isdigit((unsigned char)*digit)) return true;
    }
    return false;
}

const char *edit_text_refusal(const char *text, size_t max_bytes)
{
    if (*text == '\0') return "empty";
    if (strlen(text) > max_bytes) return "too long";
    if (has_control(text)) return "control characters";
    if (has_mark(text)) return "a special token";
    if (has_region_number(text)) return "a region's number";
    return NULL;
}
