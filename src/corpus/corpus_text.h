/* The conversations that tasks make of a corpus, as plain text: what a small vocabulary is learnt
 * from. */
#ifndef ROBIN_CORPUS_CORPUS_TEXT_H
#define ROBIN_CORPUS_CORPUS_TEXT_H

#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "corpus/shard.h"
#include "corpus/task.h"

/* Appends the conversations of the first `n_records` records (all, if there are fewer) under each
 * of the tasks, with control tokens, one behind the other. Records that a task skips give
 * nothing. */
enum status corpus_text(struct text_buffer *out, const struct corpus *corpus, int64_t n_records,
                        const struct task *const *tasks, int64_t n_tasks);

#endif
