/* Learns a small byte-level vocabulary from text and writes it as vocab.json, merges.txt and
 * added_tokens.json: what tokenizer_open reads. */
#ifndef ROBIN_TEXT_TOKENIZER_TRAIN_H
#define ROBIN_TEXT_TOKENIZER_TRAIN_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* `vocabulary_size` counts everything: the 256 bytes, the merges, <|endoftext|>, the tokens of chat
 * and boxes, <mask> and <pos>. Where one of them (or <image>) stands in the text, words end. The
 * same text gives the same files. ERR_ARGUMENT when the size leaves no room
 * for the bytes and special tokens, ERR_LIMIT when the text holds fewer merges than asked for. */
enum status tokenizer_train(const char *directory, const char *text, size_t size,
                            int64_t vocabulary_size);

#endif
