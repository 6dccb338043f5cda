/* What may come next in an answer of a given format: an automaton over bytes and over the few added
 * tokens that formats hold, walked token by token. Its language is what the readers of
 * text/scene_graph.h and text/box_text.h take whole, without dropping anything:
 *
 *     graph      "Objects:\n" ("region" ID ": " TEXT "\n")+
 *                ["\nRelations:\n" ("region" ID ": " EDGES "\n")*]
 *     detection  the same with " <|box_start|>(x,y),(x,y)<|box_end|>" behind TEXT
 *     relations  EDGES, or nothing
 *     boxes      ("<|box_start|>(x,y),(x,y)<|box_end|>")+
 *     yes_no     "yes" | "no" | "Yes" | "No", with or without a full stop
 *     EDGES      "region" ID " " WORDS (", " "region" ID " " WORDS)*
 *
 * An ID under "Objects:" is a region that was not named before, one under "Relations:" a region
 * that was; in `relations` any. No region has an edge to itself: an edge's ID is never that of its
 * line, nor in `relations` that of the region asked about. Numbers are 0 .. 1000. TEXT holds no
 * control characters and none of ":<>"; WORDS no commas but before words that do not begin with
 * "region" and a digit. */
#ifndef ROBIN_GENERATE_GRAMMAR_H
#define ROBIN_GENERATE_GRAMMAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "generate/engine.h"

#define GRAMMAR_MAX_REGIONS 128

struct grammar; /* of one format, for pictures with any number of regions; used by one thread */

struct grammar_state {
    int node;
    int value;     /* how far into a word, or the number so far */
    int tail;      /* bytes that the last character still wants */
    int n_regions; /* ids are 1 .. n_regions */
    int subject;   /* whose edges are written; 0: nobody's, or not known */
    uint64_t named[GRAMMAR_MAX_REGIONS / 64];
};

/* Tokenizer borrowed. ERR_UNSUPPORTED if it has not the tokens that the format needs. ANSWER_FREE
 * has no grammar: our error. */
enum status grammar_create(struct grammar **grammar_out, enum answer_format format,
                           const struct tokenizer *tokenizer);
void grammar_destroy(struct grammar *grammar);

/* subject: of ANSWER_RELATIONS, the region asked about, 0 if not known; else nothing. */
struct grammar_state grammar_start(const struct grammar *grammar, int64_t n_regions,
                                   int64_t subject);
/* Bits of the tokens that may come, <|im_end|> among them where the answer may end; [words] of
 * `vocab` tokens, until the next call. */
const uint32_t *grammar_allowed(struct grammar *grammar, const struct grammar_state *state,
                                int64_t vocab);
/* False if the token may not come: the state is then as it was. */
bool grammar_advance(const struct grammar *grammar, struct grammar_state *state, int32_t token);
/* Appends the tokens that must come next, as the tokenizer itself would cut that text whatever
 * follows; the state goes on behind them. */
enum status grammar_skip_forced(const struct grammar *grammar, struct grammar_state *state,
                                struct token_list *tokens);

#endif
