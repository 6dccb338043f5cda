/* See corpus_html.h. Strings of records are never trusted: they reach the page escaped. */
#include "corpus/corpus_html.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/base64.h"

static const char *const colours[] = {"#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4",
                                      "#008080", "#9a6324", "#808000", "#800000", "#000075"};

#define N_COLOURS ((int64_t)(sizeof colours / sizeof colours[0]))

static const char head[] =
    "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\"><head><meta charset=\"utf-8\"/>"
    "<title>%s</title><style>\n"
    "body{font:14px sans-serif;margin:2em}\n"
    "section{display:flex;gap:2em;border-top:1px solid #bbb;padding:1em 0}\n"
    "svg{width:32em;flex:none;align-self:flex-start}\n"
    "h2{font-size:1em;margin:0 0 .5em}\nul{margin:0 0 .7em;padding-left:1.2em}\n"
    "b{font-weight:600}\ni{color:#666}\n"
    "p{line-height:1.7}\np *{white-space:pre-wrap}\n"
    "p span,p mark,p b{border-right:1px solid #ccc;padding:0 1px}\nmark{background:#cdebc5}\n"
    "</style></head><body>\n<h1>%s</h1>\n";

void corpus_html_escape(struct text_buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '&')
            text_append(out, "&amp;");
        else if (c == '<')
            text_append(out, "&lt;");
        else if (c == '>')
            text_append(out, "&gt;");
        else if (c == '"')
            text_append(out, "&quot;");
        else
            text_append_char(out, c < 0x20 && c != '\n' ? ' ' : (char)c); /* no XML has them */
    }
}

const char *corpus_html_colour(int64_t region)
{
    return colours[region % N_COLOURS];
}

/* One stroke for each run of set pixels down a column. */
static void append_mask(struct text_buffer *out, const struct rle *mask, const char *colour)
{
    text_printf(out, "<path stroke=\"%s\" stroke-width=\"1\" stroke-opacity=\".45\" d=\"", colour);
    int64_t at = 0;
    for (int64_t run = 0; run < mask->n_runs; run++) {
        const int64_t end = at + mask->runs[run];
        while (run % 2 == 1 && at < end) {
            const int64_t column = at / mask->height;
            const int64_t row = at % mask->height;
            const int64_t left = mask->height - row;
            const int64_t length = end - at < left ? end - at : left;
            text_printf(out, "M%" PRId64 ".5 %" PRId64 "v%" PRId64, column, row, length);
            at += length;
        }
        at = end;
    }
    text_append(out, "\"/>");
}

static void append_picture(struct text_buffer *out, const struct record *record)
{
    if (record->image_size == 0) return;
    text_printf(out,
                "<svg viewBox=\"0 0 %" PRId64 " %" PRId64 "\" xmlns=\"http://www.w3.org/2000/svg\">"
                "<image width=\"%" PRId64 "\" height=\"%" PRId64 "\" href=\"data:image/%s;base64,",
                record->width, record->height, record->width, record->height,
                record->image[0] == 0xff ? "jpeg" : "png");
    base64_append(out, record->image, record->image_size);
    text_append(out, "\"/>\n");
    const double size = (double)record->width / 40;
    for (int64_t i = 0; i < record->n_regions; i++) {
        const struct record_region *region = &record->regions[i];
        if (region->mask.n_runs != 0) append_mask(out, &region->mask, corpus_html_colour(i));
        text_printf(out,
                    "<rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\" fill=\"none\" "
                    "stroke=\"%s\" stroke-width=\"%g\"/><text x=\"%g\" y=\"%g\" fill=\"%s\" "
                    "font-size=\"%g\" font-weight=\"bold\">%" PRId64 "</text>\n",
                    region->box.x1, region->box.y1, region->box.x2 - region->box.x1,
                    region->box.y2 - region->box.y1, corpus_html_colour(i), size / 8,
                    region->box.x1 + size / 4, region->box.y1 + size, corpus_html_colour(i), size,
                    i + 1);
    }
    text_append(out, "</svg>\n");
}

static void append_name(struct text_buffer *out, const struct record *record, int64_t object)
{
    const int64_t region = record->objects[object].region;
    text_printf(out, "<b style=\"color:%s\">%" PRId64 " ", corpus_html_colour(region), region + 1);
    corpus_html_escape(out, record->objects[object].name);
    text_append(out, "</b>");
}

static void append_graph(struct text_buffer *out, const struct record *record)
{
    if (record->n_objects > 0) text_append(out, "<ul>");
    for (int64_t i = 0; i < record->n_objects; i++) {
        const struct record_object *object = &record->objects[i];
        text_append(out, "<li>");
        append_name(out, record, i);
        for (int64_t j = 0; j < object->n_attributes; j++) {
            text_append(out, j == 0 ? " " : ", ");
            corpus_html_escape(out, object->attributes[j]);
        }
        text_append(out, "</li>\n");
    }
    if (record->n_objects > 0) text_append(out, "</ul>\n");
    if (record->n_relations > 0) text_append(out, "<ul>");
    for (int64_t i = 0; i < record->n_relations; i++) {
        const struct record_relation *relation = &record->relations[i];
        text_append(out, "<li>");
        append_name(out, record, relation->subject);
        text_append_char(out, ' ');
        corpus_html_escape(out, relation->predicate);
        text_append_char(out, ' ');
        append_name(out, record, relation->object);
        text_printf(out, " <i>%s</i></li>\n", relation->kind);
    }
    if (record->n_relations > 0) text_append(out, "</ul>\n");
}

static void append_texts(struct text_buffer *out, const struct record *record)
{
    for (int64_t i = 0; i < record->n_texts; i++) {
        const struct record_text *text = &record->texts[i];
        text_append(out, "<h2>");
        corpus_html_escape(out, text->task);
        if (text->region >= 0) text_printf(out, ", region%" PRId64, text->region + 1);
        text_append(out, "</h2><ul>");
        for (int64_t j = 0; j < text->n_turns; j++) {
            text_append(out, "<li><i>");
            corpus_html_escape(out, text->turns[j].question);
            text_append(out, "</i> ");
            corpus_html_escape(out, text->turns[j].answer);
            text_append(out, "</li>\n");
        }
        text_append(out, "</ul>\n");
    }
}

void corpus_html_begin(struct text_buffer *out, const char *title)
{
    struct text_buffer escaped = {0};
    corpus_html_escape(&escaped, title);
    text_printf(out, head, text_of(&escaped), text_of(&escaped));
    text_release(&escaped);
}

void corpus_html_record(struct text_buffer *out, const struct record *record, const char *title,
                        const char *more)
{
    text_append(out, "<section>\n");
    append_picture(out, record);
    text_append(out, "<div><h2>");
    corpus_html_escape(out, title);
    text_append(out, ": ");
    corpus_html_escape(out, record->id);
    text_append(out, " <i>");
    corpus_html_escape(out, record->source);
    text_append(out, "</i></h2>\n");
    text_append(out, more);
    append_graph(out, record);
    append_texts(out, record);
    text_append(out, "</div></section>\n");
}

void corpus_html_end(struct text_buffer *out)
{
    text_append(out, "</body></html>\n");
}

enum status corpus_html(struct text_buffer *out, const struct corpus *corpus,
                        const int64_t *numbers, int64_t n)
{
    enum status status = OK;
    corpus_html_begin(out, corpus_name(corpus));
    for (int64_t i = 0; i < n; i++) {
        struct record record = {0};
        TRY(corpus_read(corpus, numbers[i], &record));
        char *title = text_format("%" PRId64, numbers[i]);
        corpus_html_record(out, &record, title, "");
        free(title);
        record_release(&record);
    }
    corpus_html_end(out);
out:
    return status;
}
