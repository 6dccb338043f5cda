/* See mixture_page.h. What is shown is what sample_rows.h makes: nothing is made again here. */
#include "train/mixture_page.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "corpus/corpus_html.h"
#include "text/unicode.h"

/* A token's text; bytes that are no whole character as \xe2, line ends also as an arrow. */
static void append_token(struct text_buffer *out, const struct tokenizer *tokenizer, int32_t id)
{
    struct text_buffer text = {0};
    size_t size = 0;
    const char *bytes = tokenizer_bytes(tokenizer, id, &size);
    if (bytes == NULL) tokenizer_decode(tokenizer, &id, 1, false, &text);
    for (size_t at = 0; at < size;) {
        uint32_t point;
        const int length = utf8_decode(&point, bytes + at, size - at);
        if (length < 0)
            text_printf(&text, "\\x%02x", (unsigned char)bytes[at]);
        else if (bytes[at] == '\n')
            text_append(&text, "\xe2\x86\xb5\n");
        else
            text_append_bytes(&text, bytes + at, (size_t)length);
        at += length < 0 ? 1 : (size_t)length;
    }
    corpus_html_escape(out, text_of(&text));
    text_release(&text);
}

static void append_row(struct text_buffer *out, const struct tokenizer *tokenizer,
                       const struct sample_rows *rows, int64_t r)
{
    const int32_t id = rows->token_id[r], label = rows->label[r];
    const bool learnt = r > 0 && label != IGNORE_LABEL;
    text_printf(out, "<%s data-id=\"%" PRId32 "\" title=\"row %" PRId64 ": %" PRId32 "\"",
                learnt ? "mark" : "span", id, r, id);
    if (learnt && label != id) text_printf(out, " data-label=\"%" PRId32 "\"", label);
    text_append_char(out, '>');
    append_token(out, tokenizer, id);
    text_append(out, learnt ? "</mark>" : "</span>");
}

/* Rows without a token: of the picture, and two of each region. */
static int64_t append_features(struct text_buffer *out, const struct sample *sample,
                               const struct sample_rows *rows, int64_t image_rows, int64_t r)
{
    if (rows->image_row >= 0 && r == rows->image_row) {
        const int64_t left = rows->n_rows - r, n = image_rows < left ? image_rows : left;
        text_printf(out, "<i>[picture: %" PRId64 " rows]</i>", n);
        return n;
    }
    for (int64_t q = 0; q < rows->n_regions; q++) {
        if (rows->region_row[q] != r && rows->region_row[q] + 1 != r) continue;
        const char *what = rows->region_row[q] == r ? "mask" : "position";
        const int64_t region = sample->regions[q];
        if (region < 0)
            text_printf(out, "<b>[%s of the picture]</b>", what);
        else
            text_printf(out, "<b style=\"color:%s\">[%s of %" PRId64 "]</b>",
                        corpus_html_colour(region), what, region + 1);
        return 1;
    }
    text_append(out, "<b>[no token]</b>");
    return 1;
}

static void append_rows(struct text_buffer *out, const struct sample *sample,
                        const struct sample_rows *rows, const struct tokenizer *tokenizer,
                        int64_t image_rows)
{
    text_printf(out,
                "<p><i>%" PRId64 " rows, %" PRId64 " learnt (marked), %" PRId64 " cut off, %" PRId64
                " relations left out</i></p>\n<p>",
                rows->n_rows, rows->n_targets, rows->n_cut, sample->n_dropped_relations);
    for (int64_t r = 0; r < rows->n_rows;) {
        if (rows->token_id[r] < 0) {
            r += append_features(out, sample, rows, image_rows, r);
            continue;
        }
        append_row(out, tokenizer, rows, r);
        r++;
    }
    text_append(out, "</p>\n");
}

static enum status append_sample(struct text_buffer *out, const struct mixture *mixture,
                                 const struct sample_rows_options *options, int64_t position)
{
    enum status status = OK;
    const struct order_item item = order_item_at(mixture->order, position);
    const struct sample_source source = corpus_source_samples(&mixture->samples);
    const char *skipped = NULL;
    struct sample sample = {0};
    struct sample_rows rows = {0};
    struct text_buffer more = {0};
    char *title = text_format("%" PRId64 ": %s, task %s, sample %016" PRIx64, position,
                              order_source(mixture->order, item.source)->name,
                              mixture->entries[item.source].tasks[item.task]->name, item.id);
    TRY(source.build(source.context, &item, &sample, &skipped));
    if (skipped != NULL) {
        text_append(out, "<section><div><h2>");
        corpus_html_escape(out, title);
        text_append(out, "</h2><p>nothing to learn: ");
        corpus_html_escape(out, skipped);
        text_append(out, "</p></div></section>\n");
        goto out;
    }
    TRY(sample_rows_create(&rows, &sample, options));
    append_rows(&more, &sample, &rows, mixture->tokenizer, options->image_rows);
    corpus_html_record(out, &sample.record, title, text_of(&more));
out:
    free(title);
    text_release(&more);
    sample_rows_release(&rows);
    sample_release(&sample);
    return status;
}

enum status mixture_page(struct text_buffer *out, const struct mixture *mixture,
                         const struct sample_rows_options *options, int64_t first, int64_t n)
{
    enum status status = OK;
    corpus_html_begin(out, "samples as they are trained on");
    for (int64_t i = first; i < first + n; i++) TRY(append_sample(out, mixture, options, i));
    corpus_html_end(out);
out:
    return status;
}
