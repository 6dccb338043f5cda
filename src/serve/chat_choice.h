/* One choice of an answer as it grows: which of its text may be shown already, and where it ends.
 * What comes out depends on the text alone, not on the pieces in which it came. */
#ifndef ROBIN_SERVE_CHAT_CHOICE_H
#define ROBIN_SERVE_CHAT_CHOICE_H

#include "base/text_buffer.h"
#include "serve/chat_request.h"

struct chat_choice {         /* zeroed is empty and releasable */
    struct text_buffer text; /* so far; it ends before the first stop */
    size_t told;             /* of it, bytes that a stream has been given */
    int64_t n_tokens;        /* that it is of */
    bool ended, end_told;    /* nothing will follow */
    bool cut;                /* ended at max_tokens */
    bool has_yes;
    double yes; /* the probability of it, where the answer is yes or no */
};

/* The text of n more tokens, behind those taken before; `whole`: the last of the answer. False: a
 * character is not whole yet, nothing was taken; the same tokens come again with those behind. */
bool chat_choice_take(struct chat_choice *choice, const struct chat_request *request,
                      const struct text_buffer *piece, int64_t n_tokens, bool whole);
/* How much of the text no later token can make part of a stop. */
size_t chat_choice_sure(const struct chat_choice *choice, const struct chat_request *request);
void chat_choice_release(struct chat_choice *choice);

#endif
