/* Encoding: added tokens are cut out of the raw text, the rest is normalised, cut into pieces and
 * merged. Decoding: bytes joined, then read as UTF-8. */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "text/pretokenize.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

#define TEXT_LIMIT ((size_t)1 << 30)

struct tokenizer {
    struct vocabulary vocabulary;
    bool opens_added[256]; /* bytes that added tokens begin with */
    bool all_open_with_less;
};

void token_list_append(struct token_list *list, int32_t id)
{
    if (list->n == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 64;
        list->ids = memory_resize(list->ids, (size_t)list->capacity, sizeof *list->ids);
    }
    list->ids[list->n++] = id;
}

void token_list_release(struct token_list *list)
{
    free(list->ids);
    *list = (struct token_list){0};
}

enum status tokenizer_open(struct tokenizer **tokenizer_out, const char *directory)
{
    enum status status = OK;
    struct tokenizer *t = memory_new(1, sizeof *t);
    TRY(vocabulary_open(&t->vocabulary, directory));
    t->all_open_with_less = true;
    for (int64_t i = 0; i < t->vocabulary.n_added; i++) {
        unsigned char byte = (unsigned char)t->vocabulary.added[i].text[0];
        t->opens_added[byte] = true;
        if (byte != '<') t->all_open_with_less = false;
    }
    *tokenizer_out = t;
    t = NULL;
out:
    tokenizer_close(t);
    return status;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t) return;
    vocabulary_release(&t->vocabulary);
    free(t);
}

/* The longest added token at the start of the text. */
static const struct added_token *added_at(const struct tokenizer *t, const char *text, size_t size)
{
    const struct added_token *best = NULL;
    for (int64_t i = 0; i < t->vocabulary.n_added; i++) {
        const struct added_token *token = &t->vocabulary.added[i];
        bool longer = token->size <= size && (!best || token->size > best->size);
        if (longer && memcmp(token->text, text, token->size) == 0) best = token;
    }
    return best;
}

/* Offset of the next added token, or `size`. */
static size_t next_added(const struct tokenizer *t, const char *text, size_t size,
                         const struct added_token **token_out)
{
    *token_out = NULL;
    for (size_t at = 0; at < size; at++) {
        if (t->all_open_with_less) {
            const char *less = memchr(text + at, '<', size - at);
            if (!less) return size;
            at = (size_t)(less - text);
        } else if (!t->opens_added[(unsigned char)text[at]]) {
            continue;
        }
        *token_out = added_at(t, text + at, size - at);
        if (*token_out) return at;
    }
    return size;
}

static void encode_pieces(const struct tokenizer *t, const char *text, size_t size,
                          struct token_list *ids)
{
    for (size_t at = 0; at < size;) {
        size_t length = pretoken_length(text + at, size - at);
        vocabulary_encode_word(&t->vocabulary, text + at, length, ids);
        at += length;
    }
}

enum status tokenizer_encode(const struct tokenizer *t, const char *text, size_t size,
                             struct token_list *ids)
{
    enum status status = OK;
    struct text_buffer normal = {0};
    if (size > TEXT_LIMIT)
        FAIL(ERR_LIMIT, "a text of %zu bytes is too long to encode; the limit is %zu", size,
             TEXT_LIMIT);
    size_t valid = utf8_valid_length(text, size);
    if (valid < size)
        FAIL(ERR_FORMAT, "the text is not UTF-8 at byte %zu (0x%02X); convert it", valid,
             (unsigned char)text[valid]);
    while (size > 0) {
        const struct added_token *token;
        size_t length = next_added(t, text, size, &token);
        if (unicode_is_nfc(text, length)) {
            encode_pieces(t, text, length, ids);
        } else {
            text_clear(&normal);
            unicode_to_nfc(&normal, text, length);
            encode_pieces(t, normal.text, normal.length, ids);
        }
        if (token) {
            token_list_append(ids, token->id);
            length += token->size;
        }
        text += length;
        size -= length;
    }
out:
    text_release(&normal);
    return status;
}

static const struct added_token *added_of_id(const struct tokenizer *t, int32_t id)
{
    for (int64_t i = 0; i < t->vocabulary.n_added; i++)
        if (t->vocabulary.added[i].id == id) return &t->vocabulary.added[i];
    return NULL;
}

static void append_lossy(struct text_buffer *out, const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        uint32_t c;
        int n = utf8_decode(&c, text + at, size - at);
        utf8_append(out, n > 0 ? c : 0xFFFD);
        at += (size_t)abs(n);
    }
}

void tokenizer_decode(const struct tokenizer *t, const int32_t *ids, int64_t n, bool skip_special,
                      struct text_buffer *out)
{
    struct text_buffer bytes = {0};
    const struct vocabulary *v = &t->vocabulary;
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= v->n_ids) continue; /* rows of the embedding beyond the text */
        if (v->length[ids[i]] > 0) {
            text_append_bytes(&bytes, v->bytes + v->start[ids[i]], v->length[ids[i]]);
            continue;
        }
        const struct added_token *token = added_of_id(t, ids[i]);
        bool written = token && !(skip_special && token->special);
        if (written) text_append_bytes(&bytes, token->text, token->size);
    }
    append_lossy(out, bytes.text, bytes.length);
    text_release(&bytes);
}

const char *tokenizer_bytes(const struct tokenizer *t, int32_t id, size_t *size_out)
{
    const struct vocabulary *v = &t->vocabulary;
    *size_out = id >= 0 && id < v->n_ids ? v->length[id] : 0;
    return *size_out > 0 ? v->bytes + v->start[id] : NULL;
}

int32_t tokenizer_id(const struct tokenizer *t, const char *token)
{
    size_t size = strlen(token);
    for (int64_t i = 0; i < t->vocabulary.n_added; i++)
        if (strcmp(t->vocabulary.added[i].text, token) == 0) return t->vocabulary.added[i].id;
    return size > 0 ? vocabulary_find(&t->vocabulary, token, size) : -1;
}

const char *tokenizer_find_added(const struct tokenizer *t, const char *text, size_t size)
{
    const struct added_token *token;
    next_added(t, text, size, &token);
    return token ? token->text : NULL;
}

int32_t tokenizer_size(const struct tokenizer *t)
{
    return t->vocabulary.n_ids;
}
