/* Byte-pair training for small vocabularies: words are counted once, and every round counts all
 * pairs anew. That is linear in the distinct words a round, which is what keeps it simple. */
#include "text/tokenizer_train.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/file.h"
#include "base/text_buffer.h"
#include "text/pretokenize.h"
#include "text/unicode.h"
#include "text/vocabulary.h"
#include "text/vocabulary_tables.h"

#define MAX_VOCABULARY 65536
#define IMAGE          "<image>" /* never in a vocabulary: features stand there */

static const char *const added_tokens[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>",
                                           "<|box_start|>", "<|box_end|>",  "<mask>",
                                           "<pos>"};
#define N_ADDED ((int64_t)(sizeof added_tokens / sizeof added_tokens[0]))

struct word {
    const char *text; /* in the normalised text */
    size_t size;
    int64_t count;
    int32_t *symbols;
    size_t n_symbols;
};

struct pair_count {
    uint64_t pair;
    int64_t count; /* 0: an empty slot */
};

struct training {
    struct text_buffer text; /* normalised */
    struct word *words;      /* by first appearance */
    int64_t n_words;
    int64_t *word_slots; /* open addressing by bytes: index + 1, 0 empty */
    size_t word_mask;
    struct pair_count *pairs;
    size_t pair_mask;
    struct text_buffer *tokens; /* [n_tokens]: bytes of each id */
    int64_t n_tokens;
    uint64_t *merges;
    int64_t n_merges;
};

static void training_release(struct training *t)
{
    for (int64_t i = 0; i < t->n_words; i++) free(t->words[i].symbols);
    for (int64_t i = 0; i < t->n_tokens; i++) text_release(&t->tokens[i]);
    free(t->words);
    free(t->word_slots);
    free(t->pairs);
    free(t->tokens);
    free(t->merges);
    text_release(&t->text);
}

static size_t slots_for(size_t n)
{
    size_t slots = 64;
    while (slots < 2 * n) slots *= 2;
    return slots;
}

static int32_t symbol_of(const struct training *t, unsigned char byte)
{
    for (int32_t id = 0; id < 256; id++)
        if ((unsigned char)t->tokens[id].text[0] == byte) return id;
    return -1;
}

static void add_word(struct training *t, const char *text, size_t size)
{
    size_t slot = vocabulary_hash(text, size) & t->word_mask;
    for (; t->word_slots[slot]; slot = (slot + 1) & t->word_mask) {
        struct word *word = &t->words[t->word_slots[slot] - 1];
        if (word->size == size && memcmp(word->text, text, size) == 0) {
            word->count++;
            return;
        }
    }
    if (t->n_words % 1024 == 0)
        t->words = memory_resize(t->words, (size_t)t->n_words + 1024, sizeof *t->words);
    struct word *word = &t->words[t->n_words++];
    t->word_slots[slot] = t->n_words;
    *word = (struct word){.text = text, .size = size, .count = 1, .n_symbols = size};
    word->symbols = memory_new(size, sizeof *word->symbols);
    for (size_t i = 0; i < size; i++) word->symbols[i] = symbol_of(t, (unsigned char)text[i]);
}

/* The bytes first, in the order of their alphabet: printable ones, then the others. */
static void start_tokens(struct training *t, int64_t n)
{
    t->tokens = memory_new((size_t)n, sizeof *t->tokens);
    for (uint32_t c = 0; c < 512 && t->n_tokens < 256; c++) {
        int byte = byte_from_alphabet(c);
        if (byte >= 0) text_append_char(&t->tokens[t->n_tokens++], (char)byte);
    }
}

/* Length of the special token at `text`, 0 if none: no word reaches over one. */
static size_t special_length(const char *text, size_t size)
{
    for (int64_t i = 0; i < N_ADDED; i++) {
        size_t length = strlen(added_tokens[i]);
        if (length <= size && memcmp(text, added_tokens[i], length) == 0) return length;
    }
    size_t length = strlen(IMAGE);
    return length <= size && memcmp(text, IMAGE, length) == 0 ? length : 0;
}

/* The text between special tokens: takes it off the front, and the token behind it. */
static size_t next_stretch(const char **text, size_t *size)
{
    size_t at = 0, special = 0;
    while (at < *size && !(special = special_length(*text + at, *size - at))) at++;
    *text += at + special;
    *size -= at + special;
    return at;
}

static void count_words(struct training *t)
{
    size_t slots = slots_for(t->text.length);
    t->word_slots = memory_new(slots, sizeof *t->word_slots);
    t->word_mask = slots - 1;
    const char *rest = text_of(&t->text);
    for (size_t size = t->text.length; size > 0;) {
        const char *stretch = rest;
        size_t length = next_stretch(&rest, &size);
        for (size_t at = 0; at < length;) {
            size_t piece = pretoken_length(stretch + at, length - at);
            add_word(t, stretch + at, piece);
            at += piece;
        }
    }
}

static void count_pair(struct training *t, uint64_t pair, int64_t count)
{
    size_t slot = vocabulary_hash_pair(pair) & t->pair_mask;
    while (t->pairs[slot].count && t->pairs[slot].pair != pair) slot = (slot + 1) & t->pair_mask;
    t->pairs[slot].pair = pair;
    t->pairs[slot].count += count;
}

static uint64_t pair_of(const struct word *word, size_t at)
{
    return (uint64_t)(uint32_t)word->symbols[at] << 32 | (uint32_t)word->symbols[at + 1];
}

/* The most frequent pair; of equals the one of the lowest ids. Count 0: there is none. */
static struct pair_count best_pair(struct training *t)
{
    struct pair_count best = {0};
    memset(t->pairs, 0, (t->pair_mask + 1) * sizeof *t->pairs);
    for (int64_t i = 0; i < t->n_words; i++)
        for (size_t at = 0; at + 1 < t->words[i].n_symbols; at++)
            count_pair(t, pair_of(&t->words[i], at), t->words[i].count);
    for (size_t slot = 0; slot <= t->pair_mask; slot++) {
        struct pair_count p = t->pairs[slot];
        if (p.count > best.count || (p.count > 0 && p.count == best.count && p.pair < best.pair))
            best = p;
    }
    return best;
}

static void apply_merge(struct training *t, uint64_t pair, int32_t id)
{
    for (int64_t i = 0; i < t->n_words; i++) {
        struct word *word = &t->words[i];
        size_t n = 0;
        for (size_t at = 0; at < word->n_symbols; at++) {
            bool merges = at + 1 < word->n_symbols && pair_of(word, at) == pair;
            word->symbols[n++] = merges ? id : word->symbols[at];
            at += merges;
        }
        word->n_symbols = n;
    }
}

static enum status learn_merges(struct training *t, int64_t n_merges)
{
    enum status status = OK;
    size_t n_pairs = 0;
    for (int64_t i = 0; i < t->n_words; i++) n_pairs += t->words[i].n_symbols;
    size_t slots = slots_for(n_pairs);
    t->pairs = memory_new(slots, sizeof *t->pairs);
    t->pair_mask = slots - 1;
    t->merges = memory_new((size_t)n_merges + 1, sizeof *t->merges);
    for (; t->n_merges < n_merges; t->n_merges++) {
        struct pair_count best = best_pair(t);
        if (best.count < 2)
            FAIL(ERR_LIMIT,
                 "the text holds %" PRId64 " merges, %" PRId64
                 " were asked for; give more text or a "
                 "smaller vocabulary",
                 t->n_merges, n_merges);
        struct text_buffer *token = &t->tokens[t->n_tokens];
        const struct text_buffer *left = &t->tokens[best.pair >> 32];
        const struct text_buffer *right = &t->tokens[(uint32_t)best.pair];
        text_append_bytes(token, left->text, left->length);
        text_append_bytes(token, right->text, right->length);
        apply_merge(t, best.pair, (int32_t)t->n_tokens++);
        t->merges[t->n_merges] = best.pair;
    }
out:
    return status;
}

static void append_in_alphabet(struct text_buffer *out, const struct text_buffer *token, bool json)
{
    for (size_t i = 0; i < token->length; i++) {
        uint32_t c = byte_to_alphabet((unsigned char)token->text[i]);
        if (json && (c == '"' || c == '\\')) text_append_char(out, '\\');
        utf8_append(out, c);
    }
}

static enum status write_text(const char *directory, const char *name, struct text_buffer *text)
{
    char *path = path_join(directory, name);
    enum status status = file_write_atomic(path, text_of(text), text->length);
    free(path);
    text_release(text);
    return status;
}

static enum status write_files(const struct training *t, const char *directory)
{
    enum status status = OK;
    struct text_buffer vocab = {0}, merges = {0}, added = {0}, config = {0};
    TRY(directory_create(directory));
    text_append(&vocab, "{\n");
    for (int64_t id = 0; id < t->n_tokens; id++) {
        text_append_char(&vocab, '"');
        append_in_alphabet(&vocab, &t->tokens[id], true);
        text_printf(&vocab, "\": %" PRId64 "%s\n", id, id + 1 < t->n_tokens ? "," : "");
    }
    text_append(&vocab, "}\n");
    text_append(&merges, "#version: 0.2\n");
    for (int64_t i = 0; i < t->n_merges; i++) {
        append_in_alphabet(&merges, &t->tokens[t->merges[i] >> 32], false);
        text_append_char(&merges, ' ');
        append_in_alphabet(&merges, &t->tokens[(uint32_t)t->merges[i]], false);
        text_append_char(&merges, '\n');
    }
    text_append(&config,
                "{\n\"tokenizer_class\": \"Qwen2Tokenizer\",\n\"added_tokens_decoder\": {\n");
    for (int64_t i = 0; i < N_ADDED; i++) {
        const char *comma = i + 1 < N_ADDED ? "," : "";
        text_printf(&added, "%s\"%s\": %" PRId64 "%s\n", i ? "" : "{\n", added_tokens[i],
                    t->n_tokens + i, comma);
        text_printf(&config,
                    "\"%" PRId64
                    "\": {\"content\": \"%s\", \"lstrip\": false, \"normalized\": false, "
                    "\"rstrip\": false, \"single_word\": false, \"special\": true}%s\n",
                    t->n_tokens + i, added_tokens[i], comma);
    }
    text_append(&added, "}\n");
    text_append(&config, "}\n}\n");
    TRY(write_text(directory, "vocab.json", &vocab));
    TRY(write_text(directory, "merges.txt", &merges));
    TRY(write_text(directory, "added_tokens.json", &added));
    TRY(write_text(directory, "tokenizer_config.json", &config));
out:
    text_release(&vocab);
    text_release(&merges);
    text_release(&added);
    text_release(&config);
    return status;
}

enum status tokenizer_train(const char *directory, const char *text, size_t size,
                            int64_t vocabulary_size)
{
    enum status status = OK;
    struct training t = {0};
    int64_t n_merges = vocabulary_size - 256 - N_ADDED;
    if (n_merges < 0 || vocabulary_size > MAX_VOCABULARY)
        FAIL(ERR_ARGUMENT,
             "a vocabulary of %" PRId64 " ids cannot be trained; ask for %" PRId64
             " .. %d (256 bytes and %" PRId64 " special tokens are in it)",
             vocabulary_size, 256 + N_ADDED, MAX_VOCABULARY, N_ADDED);
    size_t valid = utf8_valid_length(text, size);
    if (valid < size) FAIL(ERR_FORMAT, "the text is not UTF-8 at byte %zu; convert it", valid);
    unicode_to_nfc(&t.text, text, size);
    start_tokens(&t, vocabulary_size);
    count_words(&t);
    TRY(learn_merges(&t, n_merges));
    TRY(write_files(&t, directory));
out:
    training_release(&t);
    return status;
}
