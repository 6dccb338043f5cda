/* Marks inside the texts of a record (record.h), written as a conversation has them. */
#ifndef ROBIN_CORPUS_TASK_MARKUP_H
#define ROBIN_CORPUS_TASK_MARKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "corpus/task.h"

enum markup_style {
    MARKUP_BOXES,   /* <regionN>: its box; <pointN>: the point;
                       a phrase: <|object_ref_start|>phrase<|object_ref_end|> and its boxes */
    MARKUP_MASKS,   /* <regionN>: <mask><pos>, added to the sample */
    MARKUP_NUMBERS, /* <regionN>: regionK of the sample's list; a phrase: |phrase| at [regionK] */
};

/* ERR_FORMAT when a mark names a region or point that the record does not have. */
enum status markup_write(struct text_buffer *out, const char *text, enum markup_style style,
                         struct task_sample *sample, const struct record *record,
                         const struct task_options *options);

/* The number N of a "<regionN>" or "<pointN>" (word "region" or "point") at `text`, and how long
 * the mark is; 0: there is none. */
int64_t markup_number(const char *text, const char *word, size_t *length_out);
/* Whether the text holds such a mark. */
bool markup_holds(const char *text, const char *word);

#endif
