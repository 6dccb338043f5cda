/* Whether a text of a teacher or model may stand in a graph: it becomes training data, so nothing
 * in it may act as a mark, a token or a line of the format. */
#ifndef ROBIN_SGEDIT_EDIT_TEXT_H
#define ROBIN_SGEDIT_EDIT_TEXT_H

#include <stddef.h>

#define EDIT_MAX_NAME_BYTES      200
#define EDIT_MAX_PREDICATE_BYTES 120

/* The text without white space at its ends, inner runs made one space; to free(). */
char *edit_text_clean(const char *text);

/* NULL, or why a cleaned text is refused: "empty", "longer than 200 bytes", "control characters",
 * "a special token", "a region's number". */
const char *edit_text_refusal(const char *text, size_t max_bytes);

#endif
