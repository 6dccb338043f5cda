/* Records as one static page: the picture with its masks and boxes, the graph and the texts beside
 * it. Everything is inside the file, nothing is fetched; the page is XML as well as HTML. */
#ifndef ROBIN_CORPUS_CORPUS_HTML_H
#define ROBIN_CORPUS_CORPUS_HTML_H

#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "corpus/shard.h"

/* The page of these records of the corpus. ERR_ARGUMENT when it does not have one of them. */
enum status corpus_html(struct text_buffer *out, const struct corpus *corpus,
                        const int64_t *numbers, int64_t n);

/* The same in pieces, for pages that say more: `more` is HTML, it stands before the graph. */
void corpus_html_begin(struct text_buffer *out, const char *title);
void corpus_html_record(struct text_buffer *out, const struct record *record, const char *title,
                        const char *more);
void corpus_html_end(struct text_buffer *out);

void corpus_html_escape(struct text_buffer *out, const char *text);
/* Of region 0, 1, ...: as its box and mask are drawn. */
const char *corpus_html_colour(int64_t region);

#endif
