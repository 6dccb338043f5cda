/* Text of a record is data: it must not become control tokens of a conversation. */
#ifndef ROBIN_CORPUS_RECORD_TEXT_H
#define ROBIN_CORPUS_RECORD_TEXT_H

#include "base/status.h"
#include "corpus/record.h"
#include "text/tokenizer.h"

/* ERR_FORMAT naming record and field if one of its texts holds <image>, <mask>, <pos>, anything of
 * the form <|name|>, or an added token of the tokenizer (NULL: those of Qwen2.5). Refused rather
 * than rewritten: whoever made the record knows what was meant. */
enum status record_check_plain_text(const struct record *record, const struct tokenizer *tokenizer);

/* Length of the control token (<image>, <|name|>, ...) at `text`, which begins with '<'; 0: it is
 * none. */
size_t record_control_length(const char *text);

#endif
