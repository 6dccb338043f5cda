/* Reading a vocabulary: every entry is checked here, so that encoding can trust the tables. */
#include "text/vocabulary.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/text_buffer.h"
#include "text/unicode.h"
#include "text/vocabulary_tables.h"

#define FILE_LIMIT ((size_t)64 << 20)
#define MAX_TOKEN  65536 /* bytes in one token */

uint32_t byte_to_alphabet(unsigned char byte)
{
    bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    if (printable) return byte;
    if (byte < 33) return 256u + byte;
    if (byte <= 160) return 256u + 33 + (byte - 127u);
    return 256u + 33 + 34; /* 173 */
}

int byte_from_alphabet(uint32_t c)
{
    if (c < 256) return byte_to_alphabet((unsigned char)c) == c ? (int)c : -1;
    if (c < 256 + 33) return (int)(c - 256);
    if (c < 256 + 33 + 34) return (int)(c - 256 - 33 + 127);
    return c == 256 + 33 + 34 ? 173 : -1;
}

/* The bytes that a token's characters stand for; false if one stands for none. */
static bool token_bytes(struct text_buffer *out, const char *text, size_t size)
{
    text_clear(out);
    for (size_t at = 0; at < size;) {
        uint32_t c;
        int n = utf8_decode(&c, text + at, size - at);
        int byte = n > 0 ? byte_from_alphabet(c) : -1;
        if (byte < 0) return false;
        text_append_char(out, (char)byte);
        at += (size_t)n;
    }
    return true;
}

static size_t table_size(size_t n)
{
    size_t size = 16;
    while (size < 2 * n + 2) size *= 2;
    return size;
}

void vocabulary_grow(struct vocabulary *v, int64_t n)
{
    if (n <= v->n_ids) return;
    size_t old = (size_t)v->n_ids, more = (size_t)n - old;
    v->start = memory_resize(v->start, (size_t)n, sizeof *v->start);
    v->length = memory_resize(v->length, (size_t)n, sizeof *v->length);
    v->whole = memory_resize(v->whole, (size_t)n, 1);
    memset(v->start + old, 0, more * sizeof *v->start);
    memset(v->length + old, 0, more * sizeof *v->length);
    memset(v->whole + old, 0, more);
    v->n_ids = (int32_t)n;
}

/* Sizes the arrays once, and refuses what is no id. */
static enum status highest_id(int64_t *highest_out, json_t *root, const char *path)
{
    enum status status = OK;
    const char *key;
    json_t *value;
    if (!json_is_object(root) || json_object_size(root) == 0)
        FAIL(ERR_FORMAT, "%s: not an object of token: id; take the file of the model's tokenizer",
             path);
    *highest_out = -1;
    json_object_foreach(root, key, value)
    {
        int64_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id >= VOCABULARY_MAX_ID)
            FAIL(ERR_FORMAT, "%s: the id of \"%.60s\" is not an integer in 0 .. %" PRId64, path,
                 key, VOCABULARY_MAX_ID - 1);
        if (id > *highest_out) *highest_out = id;
    }
out:
    return status;
}

static enum status add_tokens(struct vocabulary *v, json_t *root, const char *path)
{
    enum status status = OK;
    struct text_buffer all = {0}, token = {0};
    const char *key;
    size_t key_size;
    json_t *value;
    json_object_keylen_foreach(root, key, key_size, value)
    {
        int64_t id = json_integer_value(value);
        if (!token_bytes(&token, key, key_size))
            FAIL(ERR_FORMAT,
                 "%s: \"%.60s\" (id %" PRId64 ") is not written in the byte alphabet of GPT-2",
                 path, key, id);
        if (token.length == 0 || token.length > MAX_TOKEN)
            FAIL(ERR_FORMAT, "%s: the token of id %" PRId64 " has %zu bytes; 1 .. %d are allowed",
                 path, id, token.length, MAX_TOKEN);
        if (v->length[id] != 0)
            FAIL(ERR_FORMAT, "%s: id %" PRId64 " is given to two tokens, the second is \"%.60s\"",
                 path, id, key);
        v->start[id] = (uint32_t)all.length;
        v->length[id] = (uint32_t)token.length;
        text_append_bytes(&all, token.text, token.length);
    }
    v->n_bytes = all.length;
    v->bytes = text_take(&all);
out:
    text_release(&all);
    text_release(&token);
    return status;
}

static enum status index_tokens(struct vocabulary *v, size_t n_tokens, const char *path)
{
    enum status status = OK;
    size_t size = table_size(n_tokens);
    v->slots = memory_new(size, sizeof *v->slots);
    memset(v->slots, 0xFF, size * sizeof *v->slots);
    v->slot_mask = size - 1;
    for (int32_t id = 0; id < v->n_ids; id++) {
        if (v->length[id] == 0) continue;
        const char *bytes = v->bytes + v->start[id];
        size_t slot = vocabulary_hash(bytes, v->length[id]) & v->slot_mask;
        while (v->slots[slot] >= 0) slot = (slot + 1) & v->slot_mask;
        v->slots[slot] = id;
    }
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        v->byte_id[byte] = vocabulary_find(v, &c, 1);
        if (v->byte_id[byte] < 0)
            FAIL(ERR_FORMAT, "%s: no token for the byte 0x%02X; all 256 are needed", path,
                 (unsigned)byte);
    }
out:
    return status;
}

static enum status read_vocab(struct vocabulary *v, const char *path)
{
    enum status status = OK;
    json_t *root = NULL;
    int64_t highest = -1;
    TRY(json_file_read(&root, path, FILE_LIMIT));
    TRY(highest_id(&highest, root, path));
    vocabulary_grow(v, highest + 1);
    TRY(add_tokens(v, root, path));
    TRY(index_tokens(v, json_object_size(root), path));
out:
    json_decref(root);
    return status;
}

struct merge_line {
    const char *path;
    int64_t number; /* of the line in the file, from 1 */
    int32_t rank;
    const char *text;
    size_t size;
};

static enum status add_merge(struct vocabulary *v, const struct merge_line *line,
                             struct text_buffer *left, struct text_buffer *right)
{
    enum status status = OK;
    const char *space = memchr(line->text, ' ', line->size);
    size_t left_size = space ? (size_t)(space - line->text) : 0;
    if (left_size == 0 || left_size + 1 == line->size ||
        memchr(space + 1, ' ', line->size - left_size - 1))
        FAIL(ERR_FORMAT, "%s:%" PRId64 ": not two tokens with one space between them", line->path,
             line->number);
    if (!token_bytes(left, line->text, left_size) ||
        !token_bytes(right, space + 1, line->size - left_size - 1))
        FAIL(ERR_FORMAT, "%s:%" PRId64 ": not written in the byte alphabet of GPT-2", line->path,
             line->number);
    int32_t a = vocabulary_find(v, left->text, left->length);
    int32_t b = vocabulary_find(v, right->text, right->length);
    if (a < 0 || b < 0)
        FAIL(ERR_FORMAT, "%s:%" PRId64 ": the %s token is not in vocab.json", line->path,
             line->number, a < 0 ? "first" : "second");
    text_append_bytes(left, right->text, right->length);
    int32_t id = vocabulary_find(v, left->text, left->length);
    if (id < 0)
        FAIL(ERR_FORMAT, "%s:%" PRId64 ": the result of the merge is not in vocab.json", line->path,
             line->number);
    if (vocabulary_merge(v, a, b))
        FAIL(ERR_FORMAT, "%s:%" PRId64 ": this merge was given before", line->path, line->number);
    uint64_t pair = (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
    size_t slot = vocabulary_hash_pair(pair) & v->merge_mask;
    while (v->merges[slot].pair != MERGE_EMPTY) slot = (slot + 1) & v->merge_mask;
    v->merges[slot] = (struct merge){.pair = pair, .rank = line->rank, .id = id};
out:
    return status;
}

static size_t count_lines(const char *text, size_t size)
{
    size_t n = 1;
    for (size_t i = 0; i < size; i++) n += text[i] == '\n';
    return n;
}

static enum status read_merges(struct vocabulary *v, const char *path)
{
    enum status status = OK;
    unsigned char *bytes = NULL;
    size_t size;
    struct text_buffer left = {0}, right = {0};
    TRY(file_read(&bytes, &size, path, FILE_LIMIT));
    const char *text = (const char *)bytes;
    size_t slots = table_size(count_lines(text, size));
    v->merges = memory_new(slots, sizeof *v->merges);
    memset(v->merges, 0xFF, slots * sizeof *v->merges);
    v->merge_mask = slots - 1;
    struct merge_line line = {.path = path};
    for (size_t at = 0; at < size; at += line.size + 1) {
        const char *end = memchr(text + at, '\n', size - at);
        line.text = text + at;
        line.size = end ? (size_t)(end - line.text) : size - at;
        line.number++;
        bool is_header = line.number == 1 && line.size >= 8 && !memcmp(line.text, "#version", 8);
        bool is_last = line.size == 0 && at + 1 >= size;
        if (is_header || is_last) continue;
        TRY(add_merge(v, &line, &left, &right));
        line.rank++;
    }
out:
    free(bytes);
    text_release(&left);
    text_release(&right);
    return status;
}

/* Which tokens the merges do reach: encoding then takes them at one look. */
static void mark_whole(struct vocabulary *v)
{
    struct token_list ids = {0};
    for (int32_t id = 0; id < v->n_ids; id++) {
        if (v->length[id] == 0) continue;
        ids.n = 0;
        vocabulary_encode_word(v, v->bytes + v->start[id], v->length[id], &ids);
        v->whole[id] = ids.n == 1 && ids.ids[0] == id;
    }
    token_list_release(&ids);
}

enum status vocabulary_open(struct vocabulary *v, const char *directory)
{
    enum status status = OK;
    char *vocab = path_join(directory, "vocab.json");
    char *merges = path_join(directory, "merges.txt");
    *v = (struct vocabulary){0};
    TRY(read_vocab(v, vocab));
    TRY(read_merges(v, merges));
    mark_whole(v);
    TRY(vocabulary_read_added(v, directory));
out:
    free(vocab);
    free(merges);
    if (status != OK) vocabulary_release(v);
    return status;
}

void vocabulary_release(struct vocabulary *v)
{
    for (int64_t i = 0; i < v->n_added; i++) free(v->added[i].text);
    free(v->added);
    free(v->bytes);
    free(v->start);
    free(v->length);
    free(v->whole);
    free(v->slots);
    free(v->merges);
    *v = (struct vocabulary){0};
}
