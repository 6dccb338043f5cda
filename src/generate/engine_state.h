/* What an engine holds while it works. Internal to src/generate. */
#ifndef ROBIN_GENERATE_ENGINE_STATE_H
#define ROBIN_GENERATE_ENGINE_STATE_H

#include "base/random.h"
#include "generate/cache_blocks.h"
#include "generate/engine.h"
#include "generate/grammar.h"
#include "model/decoder.h"
#include "train/micro_batch.h"

#define N_ANSWER_FORMATS 6

enum branch_state { BRANCH_WAITS, BRANCH_RUNS, BRANCH_DONE };

/* A sequence that answers one branch's turns. */
struct branch {
    int64_t object;
    struct engine_turn *turns; /* questions owned */
    int64_t n_turns;
    struct token_list rows; /* of the prompt; -1 where an image or region token stands */
    int64_t blocks_needed;  /* of its own at most */

    enum branch_state state;
    struct cache_sequence sequence;
    struct token_list pending; /* rows still to be run, from pending_at on */
    int64_t pending_at;
    int64_t turn;
    int64_t asked; /* tokens of the turn so far that the model chose */
    struct grammar_state grammar;
    struct engine_answer *answers; /* [n_turns]; the one in work grows */
    int64_t capacity;              /* of its tokens */
};

enum picture_state { PICTURE_WAITS, PICTURE_PREFILLS, PICTURE_READY };

/* A request on its way. */
struct picture {
    struct picture *next;
    enum picture_state state;
    uint64_t tag;
    char *id;
    uint64_t key; /* of its draws */
    int64_t n_regions;
    struct branch *branches;
    int64_t n_branches, n_started, n_done;
    struct micro_batch *micro; /* until it is embedded; NULL: no picture */
    float *embedded;           /* [n_embedded, D]: the prompt's first rows */
    int64_t n_embedded;
    int64_t prefix;                 /* rows that all branches have in common, run once */
    int64_t prefix_blocks;          /* of the cache that they take */
    struct cache_sequence sequence; /* of the prefix, until all branches have started */
    int64_t prefilled;
};

/* The rows of one pass, in arrays of [step_rows] or [batch + 1]. */
struct step {
    int64_t n_rows, n_sequences, n_groups, n_sources;
    int32_t *token_id, *position, *slot;
    int32_t *row_start, *group_start, *shared;
    int32_t *table;
    int64_t table_width, table_capacity;
    struct decoder_source *sources;
    int32_t *source_index; /* [step_rows] */
    struct cache_copies copies;

    struct branch **asking; /* [batch]: whose next token the logits are */
    struct picture **asking_picture;
    int32_t *logit_row;
    int64_t n_asking;
    const uint32_t **allowed;
    uint32_t *masks; /* [batch, words]: copies of what grammars allow */
    float *temperature, *top_p, *uniform;
    int32_t *token;
    float *log_probability, *margin;
};

struct engine {
    struct model *model;
    const struct tokenizer *tokenizer;
    struct engine_options options;
    struct model_config config;
    struct decoder *decoder;
    struct cache_blocks blocks;
    struct grammar *grammars[N_ANSWER_FORMATS];
    struct random_stream draws;
    int32_t end_id, text_end_id, box_start_id, box_end_id, mask_id;
    struct token_list yes_ids, no_ids; /* first tokens of either answer */

    struct picture *first;      /* in work and waiting, in the order they came */
    struct engine_result *done; /* [n_done], first finished first */
    int64_t n_done, n_pictures, n_running;
    int64_t promised; /* blocks: of prefixes, and of branches that run */
    struct step step;
    struct engine_counts counts;
};

/* engine_request.c: checks, decodes and encodes a request. */
enum status picture_create(struct picture **picture_out, struct engine *engine,
                           const struct engine_request *request);
/* Gives its blocks back, too. */
void picture_destroy(struct picture *picture, struct engine *engine);

/* engine_step.c: what is in work gets its rows. */
void step_init(struct engine *engine);
void step_release(struct step *step);

/* engine.c: what has come to its end becomes results. */
void engine_finish_pictures(struct engine *engine);

/* engine_answer.c: the answers of a branch as they grow. */
/* The branch's current turn begins: forced text joins the rows to run. */
enum status answer_begin(struct engine *engine, const struct picture *picture,
                         struct branch *branch);
/* The chosen token of `asking` number `index`: goes on, or ends the turn, or the branch. */
enum status answer_take(struct engine *engine, int64_t index);
/* Of every ANSWER_YES_NO turn that asks for the first time, the probability of yes. */
enum status answer_read_yes(struct engine *engine);

#endif
