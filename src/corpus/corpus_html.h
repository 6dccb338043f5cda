/* Records as one static page: the picture with its masks and boxes, the graph and the texts beside
 * it. Everything is inside the file, nothing is fetched. */
#ifndef ROBIN_CORPUS_CORPUS_HTML_H
#define ROBIN_CORPUS_CORPUS_HTML_H

#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "corpus/shard.h"

/* Records first .. first + count - 1, fewer at the end of the corpus. The page is XML as well as
 * HTML. ERR_ARGUMENT when the corpus has no record `first`. */
enum status corpus_html(struct text_buffer *out, const struct corpus *corpus, int64_t first,
                        int64_t count);

#endif
