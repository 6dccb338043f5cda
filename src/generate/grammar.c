/* See grammar.h. The automaton is a function of (node, value, symbol); what it may read next is
 * found by walking the vocabulary in the order of its bytes, so that tokens which begin alike fail
 * together. */
#include "generate/grammar.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "text/pretokenize.h"

/* Symbols beyond bytes. */
enum { SYMBOL_BOX_START = 256, SYMBOL_BOX_END, SYMBOL_END, N_SYMBOLS };

enum node {
    NODE_OBJECTS,    /* in "Objects:\nregion" */
    NODE_OBJECT_ID,  /* digits, then ':' */
    NODE_OBJECT_GAP, /* ' ' */
    NODE_NAME,       /* value 0: nothing yet, 1: behind a space, 2: else */
    NODE_BOX,        /* value: which sign of "(x,y),(x,y)" */
    NODE_NUMBER,     /* value: 8 * number + the sign behind it; number -1 before its first digit */
    NODE_BOX_END,
    NODE_OBJECT_END, /* '\n' behind a box */
    NODE_AFTER_OBJECT,
    NODE_OBJECT_WORD, /* in "region" */
    NODE_RELATIONS,   /* in "\nRelations:\n" */
    NODE_AFTER_LINE,
    NODE_SUBJECT_WORD, /* in "region" */
    NODE_SUBJECT_ID,   /* digits, then ':' */
    NODE_SUBJECT_GAP,
    NODE_TARGET_WORD, /* in "region" */
    NODE_TARGET_ID,   /* digits, then ' ' */
    NODE_PREDICATE,   /* value 0: nothing yet */
    NODE_COMMA,       /* ' ' */
    NODE_ITEM,        /* value characters of "region" since ", " */
    NODE_ITEM_WORD,   /* in another first word; its last characters are so many of "region" */
    NODE_EDGES,       /* before the first edge of a list */
    NODE_BOXES,       /* before a box; value 1: one has been */
    NODE_YES,         /* value: which word * 8 + how far */
    NODE_END,
};

struct mask {
    int node, value, tail;
    uint32_t *bits;
};

struct sorted_token {
    const unsigned char *bytes;
    size_t size;
    int32_t id;
};

struct grammar {
    enum answer_format format;
    const struct tokenizer *tokenizer;
    int32_t end, box_start, box_end;
    struct sorted_token *tokens; /* by bytes */
    int64_t n_tokens;
    int64_t first_of[257]; /* tokens that begin with each byte */
    int64_t vocab;         /* of the masks */
    struct mask *masks;
    int64_t n_masks;
    uint32_t *scratch;
};

static const char *const yes_words[] = {"yes", "no", "Yes", "No"};
#define N_YES_WORDS 4

/* ---- the automaton ---- */

static bool go(struct grammar_state *s, enum node node, int value)
{
    s->node = (int)node;
    s->value = value;
    return true;
}

/* The next character of a text that must stand there; behind it comes another node. */
static bool read_literal(struct grammar_state *s, const char *text, int symbol, enum node next,
                         int value)
{
    if (symbol != (unsigned char)text[s->value]) return false;
    if (text[++s->value] == '\0') go(s, next, value);
    return true;
}

static bool is_named(const struct grammar_state *s, int id)
{
    return (s->named[id / 64] >> (id % 64) & 1) != 0;
}

static int n_named(const struct grammar_state *s)
{
    int n = 0;
    for (int id = 1; id <= s->n_regions; id++) n += is_named(s, id);
    return n;
}

/* A region is no target of its own edges, and no subject where it would have no target. */
static bool id_fits(const struct grammar *g, const struct grammar_state *s, enum node node, int id)
{
    if (id < 1 || id > s->n_regions) return false;
    if (node == NODE_TARGET_ID && id == s->subject) return false;
    if (g->format == ANSWER_RELATIONS) return true;
    if (node == NODE_SUBJECT_ID && n_named(s) < 2) return false;
    return is_named(s, id) == (node != NODE_OBJECT_ID);
}

/* Whether digits can still follow so that the number becomes an id. */
static bool id_can_grow(const struct grammar *g, const struct grammar_state *s, enum node node,
                        int number)
{
    for (int id = number; id <= s->n_regions; id++) {
        int begins = id;
        while (begins > number) begins /= 10;
        if (begins == number && id_fits(g, s, node, id)) return true;
    }
    return false;
}

/* Digits of an id, then `end`, which leads on. */
static bool read_id(const struct grammar *g, struct grammar_state *s, int symbol, int end,
                    enum node next)
{
    const enum node node = (enum node)s->node;
    if (symbol == end && id_fits(g, s, node, s->value)) {
        if (node == NODE_OBJECT_ID) s->named[s->value / 64] |= (uint64_t)1 << (s->value % 64);
        if (node == NODE_SUBJECT_ID) s->subject = s->value;
        return go(s, next, 0);
    }
    if (symbol < '0' || symbol > '9' || (symbol == '0' && s->value == 0)) return false;
    const int number = 10 * s->value + symbol - '0';
    if (!id_can_grow(g, s, node, number)) return false;
    s->value = number;
    return true;
}

static bool id_is_left(const struct grammar *g, const struct grammar_state *s, enum node node)
{
    for (int id = 1; id <= s->n_regions; id++)
        if (id_fits(g, s, node, id)) return true;
    return false;
}

/* A byte of free text; keeps count of characters of several bytes. */
static bool read_text(struct grammar_state *s, int symbol)
{
    if (symbol > 0xF4 || symbol < 0x20 || symbol == 0x7F) return false;
    if (s->tail > 0) {
        s->tail--;
        return symbol >= 0x80 && symbol < 0xC0;
    }
    if (symbol < 0x80) return strchr(":<>", symbol) == NULL;
    s->tail = symbol >= 0xF0 ? 3 : symbol >= 0xE0 ? 2 : 1;
    return symbol >= 0xC2;
}

static bool read_name(const struct grammar *g, struct grammar_state *s, int symbol)
{
    const bool boxed = g->format == ANSWER_DETECTION;
    if (symbol == SYMBOL_BOX_START) return boxed && s->value == 1 && go(s, NODE_BOX, 0);
    if (symbol == '\n')
        return !boxed && s->value == 2 && s->tail == 0 && go(s, NODE_AFTER_OBJECT, 0);
    if (symbol == ' ' && s->value != 2) return false;
    if (!read_text(s, symbol)) return false;
    return go(s, NODE_NAME, symbol == ' ' ? 1 : 2);
}

/* "(x,y),(x,y)": the sign at s->value; numbers stand behind signs 0, 1, 4 and 5. */
static bool read_box_sign(struct grammar_state *s, int symbol)
{
    static const char signs[] = "(,),(,)";
    if (symbol != signs[s->value]) return false;
    const int next = s->value + 1;
    if (next == 1 || next == 2 || next == 5 || next == 6) return go(s, NODE_NUMBER, -8 + next);
    return next == 7 ? go(s, NODE_BOX_END, 0) : go(s, NODE_BOX, next);
}

/* value: 8 * number + the sign behind it; number -1 before the first digit. */
static bool read_number(struct grammar_state *s, int symbol)
{
    const int number = s->value >= 0 ? s->value / 8 : -1, sign = (s->value + 8) % 8;
    if (symbol >= '0' && symbol <= '9') {
        const int next = number < 0 ? symbol - '0' : 10 * number + symbol - '0';
        if (number == 0 || next > 1000) return false;
        s->value = 8 * next + sign;
        return true;
    }
    if (number < 0) return false;
    struct grammar_state behind = *s;
    go(&behind, NODE_BOX, sign);
    if (!read_box_sign(&behind, symbol)) return false;
    *s = behind;
    return true;
}

/* What ends an edge: a comma or the end of the line. */
static bool end_edge(const struct grammar *g, struct grammar_state *s, int symbol)
{
    if (symbol == ',') return go(s, NODE_COMMA, 0);
    if (symbol == '\n') return g->format != ANSWER_RELATIONS && go(s, NODE_AFTER_LINE, 0);
    if (symbol == SYMBOL_END) return g->format == ANSWER_RELATIONS && go(s, NODE_END, 0);
    return false;
}

/* value 0: nothing yet; 1: behind a space; 2: else. */
static bool read_predicate(const struct grammar *g, struct grammar_state *s, int symbol)
{
    if (s->value == 2 && s->tail == 0 && end_edge(g, s, symbol)) return true;
    if (symbol == ',' || (symbol == ' ' && s->value != 2) || !read_text(s, symbol)) return false;
    return go(s, NODE_PREDICATE, symbol == ' ' ? 1 : 2);
}

/* The first word behind ", " is a region, or anything in which no region's number can be read. */
static bool read_item(const struct grammar *g, struct grammar_state *s, int symbol)
{
    static const char region[] = "region";
    const bool exact = s->node == NODE_ITEM;
    const int n = s->value;
    const bool digit = symbol >= '0' && symbol <= '9';
    if (exact && n == 6 && digit) {
        struct grammar_state id = *s;
        go(&id, NODE_TARGET_ID, 0);
        if (!read_id(g, &id, symbol, ' ', NODE_PREDICATE)) return false;
        *s = id;
        return true;
    }
    if (exact && n < 6 && symbol == region[n]) return go(s, NODE_ITEM, n + 1);
    if (n == 6 && (digit || symbol >= 0x80) && symbol < 256) return false;
    const bool begun = !exact || n > 0;
    if (begun && s->tail == 0 && end_edge(g, s, symbol)) return true;
    if (symbol == ',' || !read_text(s, symbol)) return false;
    if (symbol == ' ') return begun && go(s, NODE_PREDICATE, 1);
    /* only an r can begin "region" again */
    return go(s, NODE_ITEM_WORD, symbol == region[n % 6] && n < 6 ? n + 1 : symbol == 'r');
}

static bool read_yes(struct grammar_state *s, int symbol)
{
    if (symbol == SYMBOL_END) {
        const char *word = yes_words[s->value / 8];
        return s->value % 8 >= (int)strlen(word) && go(s, NODE_END, 0);
    }
    for (int w = 0; w < N_YES_WORDS; w++) {
        const int at = s->value % 8, length = (int)strlen(yes_words[w]);
        if (at > 0 && w != s->value / 8) continue;
        if (at < length ? symbol == yes_words[w][at] : at == length && symbol == '.')
            return go(s, NODE_YES, 8 * w + at + 1);
    }
    return false;
}

static bool read_between(const struct grammar *g, struct grammar_state *s, int symbol)
{
    switch ((enum node)s->node) {
    case NODE_AFTER_OBJECT:
        if (symbol == SYMBOL_END) return go(s, NODE_END, 0);
        if (symbol == '\n') return go(s, NODE_RELATIONS, 1);
        return symbol == 'r' && id_is_left(g, s, NODE_OBJECT_ID) && go(s, NODE_OBJECT_WORD, 1);
    case NODE_AFTER_LINE:
        if (symbol == SYMBOL_END) return go(s, NODE_END, 0);
        return symbol == 'r' && id_is_left(g, s, NODE_SUBJECT_ID) && go(s, NODE_SUBJECT_WORD, 1);
    case NODE_EDGES:
        if (symbol == SYMBOL_END) return go(s, NODE_END, 0);
        return symbol == 'r' && id_is_left(g, s, NODE_TARGET_ID) && go(s, NODE_TARGET_WORD, 1);
    case NODE_BOXES:
        if (symbol == SYMBOL_END) return s->value == 1 && go(s, NODE_END, 0);
        return symbol == SYMBOL_BOX_START && go(s, NODE_BOX, 0);
    default: return false;
    }
}

/* One symbol; false: it may not come, and the state is spoilt. */
static bool read_symbol(const struct grammar *g, struct grammar_state *s, int symbol)
{
    switch ((enum node)s->node) {
    case NODE_OBJECTS: return read_literal(s, "Objects:\nregion", symbol, NODE_OBJECT_ID, 0);
    case NODE_OBJECT_WORD: return read_literal(s, "region", symbol, NODE_OBJECT_ID, 0);
    case NODE_RELATIONS: return read_literal(s, "\nRelations:\n", symbol, NODE_AFTER_LINE, 0);
    case NODE_SUBJECT_WORD: return read_literal(s, "region", symbol, NODE_SUBJECT_ID, 0);
    case NODE_TARGET_WORD: return read_literal(s, "region", symbol, NODE_TARGET_ID, 0);
    case NODE_OBJECT_GAP: return symbol == ' ' && go(s, NODE_NAME, 0);
    case NODE_SUBJECT_GAP: return symbol == ' ' && go(s, NODE_TARGET_WORD, 0);
    case NODE_COMMA: return symbol == ' ' && go(s, NODE_ITEM, 0);
    case NODE_OBJECT_ID: return read_id(g, s, symbol, ':', NODE_OBJECT_GAP);
    case NODE_SUBJECT_ID: return read_id(g, s, symbol, ':', NODE_SUBJECT_GAP);
    case NODE_TARGET_ID: return read_id(g, s, symbol, ' ', NODE_PREDICATE);
    case NODE_NAME: return read_name(g, s, symbol);
    case NODE_BOX: return read_box_sign(s, symbol);
    case NODE_NUMBER: return read_number(s, symbol);
    case NODE_BOX_END:
        if (symbol != SYMBOL_BOX_END) return false;
        return g->format == ANSWER_BOXES ? go(s, NODE_BOXES, 1) : go(s, NODE_OBJECT_END, 0);
    case NODE_OBJECT_END: return symbol == '\n' && go(s, NODE_AFTER_OBJECT, 0);
    case NODE_PREDICATE: return read_predicate(g, s, symbol);
    case NODE_ITEM:
    case NODE_ITEM_WORD: return read_item(g, s, symbol);
    case NODE_YES: return read_yes(s, symbol);
    case NODE_AFTER_OBJECT:
    case NODE_AFTER_LINE:
    case NODE_EDGES:
    case NODE_BOXES: return read_between(g, s, symbol);
    case NODE_END: return false;
    }
    return false;
}

/* ---- life ---- */

static int by_bytes(const void *a, const void *b)
{
    const struct sorted_token *x = a, *y = b;
    const int order = memcmp(x->bytes, y->bytes, x->size < y->size ? x->size : y->size);
    if (order != 0) return order;
    return x->size < y->size ? -1 : x->size > y->size;
}

static void sort_tokens(struct grammar *g)
{
    const int32_t n = tokenizer_size(g->tokenizer);
    g->tokens = memory_new((size_t)n + 1, sizeof *g->tokens);
    for (int32_t id = 0; id < n; id++) {
        struct sorted_token *token = &g->tokens[g->n_tokens];
        token->bytes = (const unsigned char *)tokenizer_bytes(g->tokenizer, id, &token->size);
        token->id = id;
        if (token->bytes != NULL) g->n_tokens++;
    }
    qsort(g->tokens, (size_t)g->n_tokens, sizeof *g->tokens, by_bytes);
    for (int64_t i = 0, byte = 0; byte <= 256; byte++) {
        while (i < g->n_tokens && g->tokens[i].bytes[0] < byte) i++;
        g->first_of[byte] = i;
    }
}

enum status grammar_create(struct grammar **grammar_out, enum answer_format format,
                           const struct tokenizer *tokenizer)
{
    enum status status = OK;
    struct grammar *g = memory_new(1, sizeof *g);
    ASSERT(format != ANSWER_FREE, "free answers have no grammar");
    g->format = format;
    g->tokenizer = tokenizer;
    g->end = tokenizer_id(tokenizer, "<|im_end|>");
    g->box_start = tokenizer_id(tokenizer, "<|box_start|>");
    g->box_end = tokenizer_id(tokenizer, "<|box_end|>");
    if (g->end < 0) FAIL(ERR_UNSUPPORTED, "the tokenizer has no <|im_end|>");
    if ((format == ANSWER_DETECTION || format == ANSWER_BOXES) &&
        (g->box_start < 0 || g->box_end < 0))
        FAIL(ERR_UNSUPPORTED,
             "answers with boxes cannot be constrained: the tokenizer has no <|box_start|> and "
             "<|box_end|>");
    sort_tokens(g);
    *grammar_out = g;
    g = NULL;
out:
    grammar_destroy(g);
    return status;
}

void grammar_destroy(struct grammar *g)
{
    if (g == NULL) return;
    for (int64_t i = 0; i < g->n_masks; i++) free(g->masks[i].bits);
    free(g->masks);
    free(g->scratch);
    free(g->tokens);
    free(g);
}

struct grammar_state grammar_start(const struct grammar *g, int64_t n_regions, int64_t subject)
{
    static const enum node starts[] = {
        [ANSWER_GRAPH] = NODE_OBJECTS,   [ANSWER_DETECTION] = NODE_OBJECTS,
        [ANSWER_RELATIONS] = NODE_EDGES, [ANSWER_BOXES] = NODE_BOXES,
        [ANSWER_YES_NO] = NODE_YES,
    };
    ASSERT(n_regions < GRAMMAR_MAX_REGIONS, "%lld regions", (long long)n_regions);
    return (struct grammar_state){.node = (int)starts[g->format],
                                  .n_regions = (int)n_regions,
                                  .subject = g->format == ANSWER_RELATIONS ? (int)subject : 0};
}

/* ---- tokens ---- */

static int symbol_of(const struct grammar *g, int32_t token)
{
    if (token == g->end) return SYMBOL_END;
    if (token >= 0 && token == g->box_start) return SYMBOL_BOX_START;
    if (token >= 0 && token == g->box_end) return SYMBOL_BOX_END;
    return -1;
}

bool grammar_advance(const struct grammar *g, struct grammar_state *state, int32_t token)
{
    struct grammar_state s = *state;
    size_t size;
    const char *bytes = tokenizer_bytes(g->tokenizer, token, &size);
    if (bytes == NULL) {
        const int symbol = symbol_of(g, token);
        if (symbol < 0 || !read_symbol(g, &s, symbol)) return false;
    }
    for (size_t i = 0; i < size; i++)
        if (!read_symbol(g, &s, (unsigned char)bytes[i])) return false;
    *state = s;
    return true;
}

static void allow(uint32_t *bits, int32_t token)
{
    bits[token / 32] |= (uint32_t)1 << (token % 32);
}

#define MAX_TOKEN_BYTES 512

/* Bits of those among tokens first .. end - 1 that may come. path[d]: the state behind d bytes of
 * the token before, which is also that behind d bytes of the next one where they begin alike. */
static void find_among(const struct grammar *g, const struct grammar_state *state, uint32_t *bits,
                       int64_t first, int64_t end)
{
    struct grammar_state path[MAX_TOKEN_BYTES + 1];
    const struct sorted_token none = {0}, *before = &none;
    size_t alive = 0; /* bytes of the token before that could be read */
    path[0] = *state;
    for (int64_t i = first; i < end; before = &g->tokens[i++]) {
        const struct sorted_token *token = &g->tokens[i];
        size_t same = 0;
        while (same < before->size && same < token->size &&
               before->bytes[same] == token->bytes[same])
            same++;
        if (same > alive) continue; /* fails where that failed */
        if (token->size > MAX_TOKEN_BYTES) {
            alive = same;
            continue;
        }
        for (alive = same; alive < token->size; alive++) {
            path[alive + 1] = path[alive];
            if (!read_symbol(g, &path[alive + 1], token->bytes[alive])) break;
        }
        if (alive == token->size) allow(bits, token->id);
    }
}

static void find_allowed(const struct grammar *g, const struct grammar_state *state, uint32_t *bits)
{
    for (int byte = 0; byte < 256; byte++) {
        struct grammar_state s = *state;
        if (read_symbol(g, &s, byte))
            find_among(g, state, bits, g->first_of[byte], g->first_of[byte + 1]);
    }
    const int32_t added[] = {g->end, g->box_start, g->box_end};
    for (size_t i = 0; i < sizeof added / sizeof added[0]; i++) {
        struct grammar_state s = *state;
        if (added[i] >= 0 && read_symbol(g, &s, symbol_of(g, added[i]))) allow(bits, added[i]);
    }
}

/* What may follow depends on which regions were named, or on their number, only where an id begins
 * or goes on: elsewhere it is found once. (No token holds a letter and a digit, or a letter behind
 * the end of a line.) */
static bool depends_on_regions(const struct grammar_state *s)
{
    return s->node == NODE_OBJECT_ID || s->node == NODE_SUBJECT_ID || s->node == NODE_TARGET_ID ||
           s->node == NODE_AFTER_OBJECT || s->node == NODE_AFTER_LINE || s->node == NODE_EDGES ||
           (s->node == NODE_ITEM && s->value == 6);
}

const uint32_t *grammar_allowed(struct grammar *g, const struct grammar_state *state, int64_t vocab)
{
    const size_t words = (size_t)(vocab + 31) / 32;
    ASSERT(g->vocab == 0 || g->vocab == vocab, "a grammar for two vocabularies");
    ASSERT(tokenizer_size(g->tokenizer) <= vocab, "the tokenizer has more tokens than the model");
    g->vocab = vocab;
    if (depends_on_regions(state)) {
        if (g->scratch == NULL) g->scratch = memory_new(words, sizeof *g->scratch);
        memset(g->scratch, 0, words * sizeof *g->scratch);
        find_allowed(g, state, g->scratch);
        return g->scratch;
    }
    for (int64_t i = 0; i < g->n_masks; i++) {
        const struct mask *mask = &g->masks[i];
        if (mask->node == state->node && mask->value == state->value && mask->tail == state->tail)
            return mask->bits;
    }
    g->masks = memory_resize(g->masks, (size_t)g->n_masks + 1, sizeof *g->masks);
    struct mask *mask = &g->masks[g->n_masks++];
    *mask = (struct mask){.node = state->node, .value = state->value, .tail = state->tail};
    mask->bits = memory_new(words, sizeof *mask->bits);
    find_allowed(g, state, mask->bits);
    return mask->bits;
}

/* ---- forced text ---- */

/* The only symbol that may come, or -1. */
static int only_symbol(const struct grammar *g, const struct grammar_state *state)
{
    int only = -1;
    for (int symbol = 0; symbol < N_SYMBOLS; symbol++) {
        struct grammar_state s = *state;
        if (!read_symbol(g, &s, symbol)) continue;
        if (only >= 0) return -1;
        only = symbol;
    }
    return only;
}

/* How much of `text` is cut into the same pieces when `next` follows: up to the piece that reaches
 * into it. */
static size_t settled(const struct text_buffer *text, const char *next)
{
    char *all = text_format("%s%s", text_of(text), next);
    const size_t size = strlen(all);
    size_t at = 0;
    while (at < text->length) {
        const size_t end = at + pretoken_length(all + at, size - at);
        if (end > text->length) break;
        at = end;
    }
    free(all);
    return at;
}

/* The same for everything that may follow; two letters and a dash stand for what is not ASCII. */
static size_t settled_whatever_follows(const struct grammar *g, const struct grammar_state *state,
                                       const struct text_buffer *text)
{
    size_t size = text->length;
    for (int symbol = 1; symbol < 256; symbol++) {
        static const char *const wide[] = {"\u00e9", "\u6c34", "\u2014"};
        struct grammar_state s = *state;
        if (!read_symbol(g, &s, symbol)) continue;
        const char byte[2] = {(char)symbol, '\0'};
        const int n = symbol < 0x80 ? 1 : 3;
        for (int i = 0; i < n; i++) {
            const size_t kept = settled(text, symbol < 0x80 ? byte : wide[i]);
            if (kept < size) size = kept;
        }
        if (symbol >= 0x80) break;
    }
    return size;
}

enum status grammar_skip_forced(const struct grammar *g, struct grammar_state *state,
                                struct token_list *tokens)
{
    enum status status = OK;
    struct text_buffer text = {0};
    const int64_t first = tokens->n;
    struct grammar_state s = *state;
    for (;;) {
        const int symbol = only_symbol(g, &s);
        if (symbol < 0 || symbol == SYMBOL_END) break;
        read_symbol(g, &s, symbol);
        if (symbol < 256) {
            text_append_char(&text, (char)symbol);
            continue;
        }
        TRY(tokenizer_encode(g->tokenizer, text_of(&text), text.length, tokens));
        text_clear(&text);
        token_list_append(tokens, symbol == SYMBOL_BOX_START ? g->box_start : g->box_end);
    }
    TRY(tokenizer_encode(g->tokenizer, text_of(&text), settled_whatever_follows(g, &s, &text),
                         tokens));
    for (int64_t i = first; i < tokens->n; i++)
        ASSERT(grammar_advance(g, state, tokens->ids[i]), "forced text is not in the language");
out:
    text_release(&text);
    return status;
}
