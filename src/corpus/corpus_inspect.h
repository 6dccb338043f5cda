/* A corpus for people: what is in it, and one record in words. */
#ifndef ROBIN_CORPUS_CORPUS_INSPECT_H
#define ROBIN_CORPUS_CORPUS_INSPECT_H

#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "corpus/record.h"
#include "corpus/shard.h"

/* Counts and the commonest predicates, names and tasks. Reads every record. */
enum status corpus_summarise(struct text_buffer *out, const struct corpus *corpus);

/* The record in lines; bytes that would move a terminal's cursor are shown as '?'. */
void record_describe(struct text_buffer *out, const struct record *record);

#endif
