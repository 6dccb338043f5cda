/* The generation engine: answers about pictures, many at once. A request is one picture with its
 * regions and branches that ask about it. The picture goes through the tower once and the prompt
 * that its branches have in common through the language model once; each branch then is a sequence
 * of its own that shares those cache blocks. Branches of several pictures decode in one batch,
 * whole pictures first.
 *
 * What a branch answers does not depend on what else is in the batch, on the sizes below, on the
 * order of requests, or on who runs them: draws are a pure function of (seed, id of the picture,
 * object, turn, position), and every row's arithmetic is its own (kernels.h, "decoding").
 *
 *     engine_create(&engine, model, tokenizer, &options);
 *     while (work is left) {
 *         while (engine_has_room(engine) && ...) engine_submit(engine, &request);
 *         engine_step(engine);
 *         while (engine_take(engine, &result)) { ...; engine_result_release(&result); }
 *     }
 */
#ifndef ROBIN_GENERATE_ENGINE_H
#define ROBIN_GENERATE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "image/image.h"
#include "image/rle.h"
#include "model/robin_model.h"
#include "text/chat.h"
#include "text/tokenizer.h"

struct engine; /* opaque; used by one thread */
struct kernels;

/* What an answer looks like (robin.md 5). */
enum answer_format {
    ANSWER_FREE,
    ANSWER_GRAPH,     /* "Objects:\nregion1: ...\n\nRelations:\nregion1: region2 on\n" */
    ANSWER_DETECTION, /* the same with a box behind each object */
    ANSWER_RELATIONS, /* "region2 on, region5 near" */
    ANSWER_BOXES,     /* "<|box_start|>(1,2),(3,4)<|box_end|>", one or more */
    ANSWER_YES_NO,    /* "yes" or "no", in either case, with a probability */
};

struct engine_options { /* start from engine_options_default() */
    int64_t batch;      /* sequences that decode at once, at most */
    int64_t images;     /* pictures that are in work or wait, at most */
    int64_t step_rows;  /* rows of one pass through the language model, at most */
    int64_t block;      /* tokens of a cache block: 16, 32 or 64 */
    size_t cache_bytes; /* of keys and values; 0: what `batch` sequences of max_length
                           take, 4 GiB at most */
    int64_t max_length; /* rows of a sequence, prompt and answers; 0: what the model was made for */
    bool share_prefix;  /* false: every branch runs its whole prompt (to compare) */
    bool skip_forced;   /* constrained answers: text that must come is not asked for */
    bool graphs;        /* of a GPU: as in struct decoder_limits */
    enum image_mode image_mode;
    uint64_t seed; /* of draws */
};
struct engine_options engine_options_default(void);

/* One answer to come. */
struct engine_turn {
    const char *question; /* of the second and later turns; the first one's is in the prompt */
    enum answer_format format;
    bool constrained;   /* nothing but that format can come out */
    int64_t max_tokens; /* then the answer is cut and marked ... */
    bool goes_on;       /* ... or goes on, as long as max_length lets it */
    double temperature; /* 0: greedy */
    double top_p;       /* 1: all tokens */
};

struct engine_branch {
    int64_t object;                    /* number of the region it is about, for draws; 0: none */
    const struct conversation *prompt; /* up to the first question; holds <image> and <mask><pos> */
    const struct engine_turn *turns;
    int64_t n_turns;
};

/* Nothing of it is kept: engine_submit copies, decodes and encodes what it needs. */
struct engine_request {
    uint64_t tag;                /* comes back with the result */
    const char *id;              /* of the picture: names it in sentences, and its draws */
    struct image_source picture; /* bytes NULL: a conversation without a picture */
    const struct rle *masks;     /* of the picture's size, in the order of <mask> */
    int64_t n_masks;
    const struct engine_branch *branches;
    int64_t n_branches;
};

struct engine_answer {
    char *text;      /* special tokens left out but for those of boxes */
    int32_t *tokens; /* [n_tokens] as generated, without <|im_end|> */
    float *margins;  /* [n_tokens]: best logit less the second best, before any grammar */
    int64_t n_tokens;
    int64_t n_forced;       /* of them, written without asking */
    bool truncated;         /* cut at max_tokens or max_length */
    double log_probability; /* sum over its tokens, <|im_end|> included, at temperature 1 */
    double yes;             /* ANSWER_YES_NO: p(yes) / (p(yes) + p(no)); else -1 */
};

struct engine_branch_result {
    int64_t object;
    struct engine_answer *answers; /* [n_answers]: one per turn */
    int64_t n_answers;
};

struct engine_result { /* zeroed is releasable */
    uint64_t tag;
    char *id;
    struct engine_branch_result *branches; /* in the order of the request */
    int64_t n_branches;
    int64_t prompt_tokens;    /* rows of the prompts of all branches, as if nothing were shared */
    int64_t prefilled_tokens; /* rows that were run for them */
    int64_t answer_tokens;
};
void engine_result_release(struct engine_result *result);

/* The memory it takes beside the model, before it is taken. */
struct engine_memory {
    size_t cache, activations, logits;
    int64_t cache_blocks, block;
};
/* Of one of so many sharers of a model; 1: it is whole. */
enum status engine_plan(struct engine_memory *memory_out, const struct model_config *config,
                        int sharers, const struct engine_options *options,
                        const struct kernels *kernels);
/* The plan as a line for people, to free(). */
char *engine_memory_text(const struct engine_memory *memory);

/* Model and tokenizer are borrowed. ERR_UNSUPPORTED if the model's kernels cannot decode; ERR_SHAPE
 * for options that do not fit together. Of a shared model every sharer makes one, with the same
 * options. The first of them is used as below; the others call engine_follow. */
enum status engine_create(struct engine **engine_out, struct model *model,
                          const struct tokenizer *tokenizer, const struct engine_options *options);
void engine_destroy(struct engine *engine);
/* For all sharers but the first: takes part in its steps until that says the end. */
enum status engine_follow(struct engine *engine);
/* For the first, while the others follow: they come back. Nothing where nobody shares. */
enum status engine_end(struct engine *engine);

/* Fewer than `images` pictures are in work or wait. */
bool engine_has_room(const struct engine *engine);
/* Checks, decodes and queues. A refused request changes nothing: ERR_FORMAT, ERR_SHAPE, ERR_LIMIT
 * with the request's id: a damaged picture, masks of another size, a prompt that leaves no room
 * for an answer in max_length or in the cache. */
enum status engine_submit(struct engine *engine, const struct engine_request *request);
/* One pass through the language model for everything that is in work; nothing if it is idle. */
enum status engine_step(struct engine *engine);
bool engine_is_idle(const struct engine *engine); /* nothing in work, nothing waits */
/* The next finished picture, in the order in which they finish; false: none is finished. */
bool engine_take(struct engine *engine, struct engine_result *result_out);
/* Drops a request that has not come back (a client went away); nothing if there is none. */
void engine_cancel(struct engine *engine, uint64_t tag);

/* How far a branch has come, for who shows answers before they are whole. */
struct engine_progress {
    const struct engine_answer *answer; /* of a turn; its text is NULL while it grows */
    int64_t prompt_tokens;              /* of this branch */
};
/* False: there is no such request, its results are there to be taken, or the turn has not begun.
 * Points into the engine: until its next step. */
bool engine_look(const struct engine *engine, uint64_t tag, int64_t branch, int64_t turn,
                 struct engine_progress *progress_out);
/* Appends what n tokens of an answer read as: special tokens are left out but for those of boxes.
 * Cut anywhere, the parts make up the whole unless the cut splits a character: a part that ends in
 * the replacement character may be half of one. */
void engine_decode(const struct engine *engine, const int32_t *tokens, int64_t n,
                   struct text_buffer *out);

struct engine_counts {
    int64_t steps, rows; /* passes, and rows in them */
    int64_t images, answer_tokens, prompt_tokens, prefilled_tokens;
    int64_t blocks_in_use, most_blocks_in_use;
};
struct engine_counts engine_counts(const struct engine *engine);

#endif
