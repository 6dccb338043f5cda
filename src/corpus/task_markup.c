/* See task_markup.h. */
#include "corpus/task_markup.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "corpus/record_text.h"
#include "corpus/task_parts.h"

#define PHRASE_BEGIN "<p>"
#define PHRASE_END   "</p>"

int64_t markup_number(const char *text, const char *word, size_t *length_out)
{
    const size_t size = strlen(word);
    if (text[0] != '<' || strncmp(text + 1, word, size) != 0) return 0;
    size_t n = size + 1;
    int64_t number = 0;
    for (; isdigit((unsigned char)text[n]) && number < RECORD_MAX_ITEMS; n++)
        number = number * 10 + (text[n] - '0');
    if (text[n] != '>') return 0;
    *length_out = n + 1;
    return number;
}

bool markup_holds(const char *text, const char *word)
{
    size_t length;
    for (const char *at = text; (at = strchr(at, '<')); at++)
        if (markup_number(at, word, &length) > 0) return true;
    return false;
}

struct writer {
    struct text_buffer *out;
    int64_t *n_control; /* control tokens that were put in place of marks */
    enum markup_style style;
    struct task_sample *sample;
    const struct record *record;
    const struct task_options *options;
};

static int64_t count_control(const char *text)
{
    int64_t n = 0;
    for (const char *at = text; (at = strchr(at, '<')); at++) n += record_control_length(at) > 0;
    return n;
}

static enum status check_number(int64_t number, int64_t n, const char *what)
{
    if (number <= n) return OK;
    return status_fail(ERR_FORMAT,
                       "a text speaks of %s%lld, but there are %lld; correct the record", what,
                       (long long)number, (long long)n);
}

static enum status write_region(const struct writer *w, int64_t region)
{
    enum status status = OK;
    const size_t before = w->out->length;
    switch (w->style) {
    case MARKUP_BOXES: TRY(task_append_box(w->out, w->record, region, w->options)); break;
    case MARKUP_MASKS:
        TRY(task_append_region(w->out, w->sample, w->record, region, w->options));
        break;
    case MARKUP_NUMBERS:
        text_printf(w->out, "region%lld", (long long)task_place_of(w->sample, region) + 1);
        break;
    }
    *w->n_control += count_control(w->out->text + before);
out:
    return status;
}

static enum status write_point(const struct writer *w, int64_t point)
{
    const struct record_point p = w->record->points[point];
    const double xy[2] = {p.x, p.y};
    return point_text_write(w->out, xy, 1, w->record->width, w->record->height);
}

/* The regions behind a phrase: how many marks, and how long they are together. */
static enum status phrase_regions(const struct writer *w, const char *text, int64_t **regions_out,
                                  int64_t *n_out, size_t *length_out)
{
    enum status status = OK;
    int64_t *regions = NULL, n = 0;
    size_t at = 0, length = 0;
    for (int64_t number; (number = markup_number(text + at, "region", &length)) > 0; at += length) {
        TRY(check_number(number, w->record->n_regions, "region"));
        if (w->style == MARKUP_NUMBERS && task_place_of(w->sample, number - 1) < 0) continue;
        regions = memory_resize(regions, (size_t)n + 1, sizeof *regions);
        regions[n++] = number - 1;
    }
    *regions_out = regions;
    regions = NULL;
    *n_out = n;
    *length_out = at;
out:
    free(regions);
    return status;
}

static enum status write_boxes(const struct writer *w, const int64_t *regions, int64_t n)
{
    struct box *boxes = memory_new((size_t)n + 1, sizeof *boxes);
    const size_t before = w->out->length;
    for (int64_t i = 0; i < n; i++) boxes[i] = w->record->regions[regions[i]].box;
    text_append_char(w->out, ' ');
    const enum status status = box_text_write(w->out, boxes, n, w->record->width, w->record->height,
                                              &w->options->box_format);
    *w->n_control += count_control(w->out->text + before);
    free(boxes);
    return status;
}

static enum status write_marked(const struct writer *w, const char *phrase, int size,
                                const int64_t *regions, int64_t n)
{
    enum status status = OK;
    const bool plain = w->options->box_format.style == BOX_STYLE_PLAIN;
    if (n == 0) {
        text_append_bytes(w->out, phrase, (size_t)size);
    } else if (w->style == MARKUP_NUMBERS) {
        text_printf(w->out, "|%.*s| at [", size, phrase);
        for (int64_t i = 0; i < n; i++) {
            text_append(w->out, i > 0 ? ", " : "");
            TRY(write_region(w, regions[i]));
        }
        text_append_char(w->out, ']');
    } else {
        text_printf(w->out,
                    plain ? "<phrase>%.*s</phrase>" : "<|object_ref_start|>%.*s<|object_ref_end|>",
                    size, phrase);
        *w->n_control += plain ? 0 : 2;
        TRY(write_boxes(w, regions, n));
    }
out:
    return status;
}

/* A phrase at `text`, which begins with PHRASE_BEGIN; *length_out is 0 if it never ends. */
static enum status write_phrase(const struct writer *w, const char *text, size_t *length_out)
{
    enum status status = OK;
    int64_t *regions = NULL, n = 0;
    size_t marks = 0;
    const char *phrase = text + strlen(PHRASE_BEGIN);
    const char *end = strstr(phrase, PHRASE_END);
    *length_out = 0;
    if (end == NULL) goto out;
    TRY(phrase_regions(w, end + strlen(PHRASE_END), &regions, &n, &marks));
    TRY(write_marked(w, phrase, (int)(end - phrase), regions, n));
    *length_out = (size_t)(end - text) + strlen(PHRASE_END) + marks;
out:
    free(regions);
    return status;
}

/* The mark at `text`, which begins with '<'; *length_out is 0 if there is none. */
static enum status write_mark(const struct writer *w, const char *text, size_t *length_out)
{
    enum status status = OK;
    int64_t number = markup_number(text, "region", length_out);
    if (number > 0) {
        TRY(check_number(number, w->record->n_regions, "region"));
        TRY(write_region(w, number - 1));
        goto out;
    }
    number = markup_number(text, "point", length_out);
    if (number > 0) {
        TRY(check_number(number, w->record->n_points, "point"));
        TRY(write_point(w, number - 1));
        goto out;
    }
    *length_out = 0;
    if (strncmp(text, PHRASE_BEGIN, strlen(PHRASE_BEGIN)) == 0)
        TRY(write_phrase(w, text, length_out));
out:
    return status;
}

enum status markup_write(struct text_buffer *out, const char *text, enum markup_style style,
                         struct task_sample *sample, const struct record *record,
                         const struct task_options *options)
{
    enum status status = OK;
    int64_t n_control = 0;
    const size_t before = out->length;
    const struct writer w = {out, &n_control, style, sample, record, options};
    const char *whole = text;
    for (const char *at; (at = strchr(text, '<'));) {
        size_t length = 0;
        text_append_bytes(out, text, (size_t)(at - text));
        TRY(write_mark(&w, at, &length));
        if (length == 0) text_append_char(out, '<');
        text = at + (length > 0 ? length : 1);
    }
    text_append(out, text);
    if (out->length > before && count_control(out->text + before) != n_control)
        FAIL(ERR_FORMAT, "\"%s\" holds a control token once its marks are gone; correct the record",
             whole);
out:
    return status;
}
