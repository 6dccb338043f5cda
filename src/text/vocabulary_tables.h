/* What the parts of the vocabulary share among themselves: how the two tables are hashed by those
 * who fill and those who search, and the reading of added tokens. */
#ifndef ROBIN_TEXT_VOCABULARY_TABLES_H
#define ROBIN_TEXT_VOCABULARY_TABLES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "text/vocabulary.h"

#define MERGE_EMPTY UINT64_MAX

size_t vocabulary_hash(const char *bytes, size_t size);
size_t vocabulary_hash_pair(uint64_t pair);

/* Fills in added tokens: those of tokenizer_config.json and added_tokens.json, then, unless <mask>
 * is among them, those of Qwen2.5 that are missing and <mask>, <pos>, numbered from the highest id
 * on. */
enum status vocabulary_read_added(struct vocabulary *vocabulary, const char *directory);

#endif
