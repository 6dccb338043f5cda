/* The vocabulary of a byte-level BPE as tables: bytes of each id, id of bytes, merges by pair.
 * Read-only once opened, so any number of threads may use it. */
#ifndef ROBIN_TEXT_VOCABULARY_H
#define ROBIN_TEXT_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "text/tokenizer.h"

#define VOCABULARY_MAX_ID ((int64_t)1 << 24) /* exclusive */

struct added_token { /* matched in the raw text, before normalisation and merging */
    char *text;
    size_t size;
    int32_t id;
    bool special; /* left out by decoding with skip_special */
};

struct merge {
    uint64_t pair; /* left id << 32 | right id; UINT64_MAX: an empty slot */
    int32_t rank;  /* line of merges.txt: the lowest goes first */
    int32_t id;    /* of the result */
};

struct vocabulary { /* zeroed is releasable */
    char *bytes;    /* all tokens, one behind the other */
    size_t n_bytes;
    uint32_t *start;  /* [n_ids]: offset of id's bytes */
    uint32_t *length; /* [n_ids]: 0 where there is no such id, or it is an added token */
    int32_t n_ids;    /* highest id + 1, added tokens included */
    uint8_t *whole;   /* [n_ids]: the merges turn id's bytes into this one id */
    int32_t *slots;   /* open addressing by bytes, -1: empty */
    size_t slot_mask;
    int32_t byte_id[256];
    struct merge *merges; /* open addressing by pair */
    size_t merge_mask;
    struct added_token *added;
    int64_t n_added;
};

/* Reads vocab.json, merges.txt, and added_tokens.json and tokenizer_config.json where present.
 * ERR_FORMAT naming file and entry: not JSON, characters outside the byte alphabet, ids that repeat
 * or leave the limit, a byte without a token, a merge of unknown tokens or with an unknown result,
 * a merge given twice. */
enum status vocabulary_open(struct vocabulary *vocabulary_out, const char *directory);
void vocabulary_release(struct vocabulary *vocabulary);

/* -1 if no token consists of exactly these bytes. */
int32_t vocabulary_find(const struct vocabulary *vocabulary, const char *bytes, size_t size);
/* NULL if the pair does not merge. */
const struct merge *vocabulary_merge(const struct vocabulary *vocabulary, int32_t left,
                                     int32_t right);

/* Appends the ids of one pre-token: merges by rank, leftmost first. n log n in its length. */
void vocabulary_encode_word(const struct vocabulary *vocabulary, const char *bytes, size_t size,
                            struct token_list *ids);

/* More ids, up to n in all, without tokens as yet. */
void vocabulary_grow(struct vocabulary *vocabulary, int64_t n);

/* The byte alphabet of GPT-2: a printable character for every byte. */
uint32_t byte_to_alphabet(unsigned char byte);
int byte_from_alphabet(uint32_t code_point); /* -1: none */

#endif
