/* A request becomes a picture in the engine's queue: prompts as rows, what they share, what of the
 * cache they can come to need, the picture as the tower wants it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "generate/engine_state.h"
#include "train/sample_rows.h"

static int64_t blocks_for(const struct engine *engine, int64_t tokens)
{
    return (tokens + engine->options.block - 1) / engine->options.block;
}

static void branch_release(struct branch *branch, struct cache_blocks *blocks)
{
    for (int64_t t = 0; t < branch->n_turns; t++)
        free((char *)(uintptr_t)branch->turns[t].question);
    for (int64_t t = 0; branch->answers != NULL && t < branch->n_turns; t++) {
        free(branch->answers[t].text);
        free(branch->answers[t].tokens);
        free(branch->answers[t].margins);
    }
    free(branch->turns);
    free(branch->answers);
    token_list_release(&branch->rows);
    token_list_release(&branch->pending);
    cache_sequence_release(&branch->sequence, blocks);
}

void picture_destroy(struct picture *picture, struct engine *engine)
{
    if (picture == NULL) return;
    for (int64_t b = 0; picture->branches != NULL && b < picture->n_branches; b++) {
        struct branch *branch = &picture->branches[b];
        if (branch->state == BRANCH_RUNS) {
            engine->promised -= branch->blocks_needed;
            engine->n_running--;
        }
        branch_release(branch, &engine->blocks);
    }
    if (picture->state != PICTURE_WAITS) engine->promised -= picture->prefix_blocks;
    cache_sequence_release(&picture->sequence, &engine->blocks);
    micro_batch_destroy(picture->micro);
    free(picture->branches);
    free(picture->embedded);
    free(picture->id);
    free(picture);
}

/* ---- prompts ---- */

static struct sample_rows_options rows_options(const struct engine *engine, int64_t max_length)
{
    return (struct sample_rows_options){
        .mask_id = engine->mask_id,
        .vocab = engine->config.lm.vocab,
        .image_rows = level_side(engine->config.image_height, IMAGE_LEVEL) *
                      level_side(engine->config.image_width, IMAGE_LEVEL),
        .max_length = max_length,
    };
}

/* The conversation as rows, at most max_length of them (0: all). */
static enum status lay_rows(struct sample_rows *rows_out, const struct engine *engine,
                            const struct engine_request *request, const struct conversation *prompt,
                            int64_t max_length)
{
    enum status status = OK;
    struct sample sample = {.record = {.id = (char *)(uintptr_t)request->id},
                            .has_image = request->picture.bytes != NULL,
                            .n_regions = request->n_masks};
    const struct sample_rows_options options = rows_options(engine, max_length);
    TRY(chat_encode_prompt(engine->tokenizer, prompt, &sample.ids));
    for (int64_t i = 0; i < sample.ids.n; i++) token_list_append(&sample.labels, IGNORE_LABEL);
    TRY(sample_rows_create(rows_out, &sample, &options));
out:
    token_list_release(&sample.ids);
    token_list_release(&sample.labels);
    return status;
}

static enum status encode_branch(struct branch *branch, const struct engine *engine,
                                 const struct engine_request *request,
                                 const struct engine_branch *from)
{
    enum status status = OK;
    struct sample_rows rows = {0};
    TRY(lay_rows(&rows, engine, request, from->prompt, 0));
    for (int64_t r = 0; r < rows.n_rows; r++) token_list_append(&branch->rows, rows.token_id[r]);
    branch->object = from->object;
    branch->n_turns = from->n_turns;
    branch->turns = memory_new((size_t)from->n_turns, sizeof *branch->turns);
    branch->answers = memory_new((size_t)from->n_turns, sizeof *branch->answers);
    for (int64_t t = 0; t < from->n_turns; t++) {
        branch->turns[t] = from->turns[t];
        if (from->turns[t].question != NULL)
            branch->turns[t].question = text_copy(from->turns[t].question);
        branch->answers[t].yes = -1;
    }
out:
    sample_rows_release(&rows);
    return status;
}

/* Rows of the longest prompt that begins every branch's, but for each one's last row. */
static int64_t common_rows(const struct picture *picture)
{
    const struct token_list *first = &picture->branches[0].rows;
    int64_t common = first->n - 1;
    for (int64_t b = 1; b < picture->n_branches; b++) {
        const struct token_list *rows = &picture->branches[b].rows;
        int64_t same = 0;
        while (same < common && same < rows->n - 1 && rows->ids[same] == first->ids[same]) same++;
        common = same;
    }
    return common;
}

/* Rows up to the last image or region token. */
static int64_t embedded_rows(const struct branch *branch)
{
    int64_t n = branch->rows.n;
    while (n > 0 && branch->rows.ids[n - 1] >= 0) n--;
    return n;
}

/* How long a branch's sequence can become. */
static int64_t longest(const struct branch *branch, int64_t max_length)
{
    int64_t n = branch->rows.n;
    for (int64_t t = 0; t < branch->n_turns; t++) {
        const struct engine_turn *turn = &branch->turns[t];
        if (turn->goes_on || turn->max_tokens > max_length) return max_length;
        /* a byte is a token at most; the template between turns has fewer than 32 */
        n += turn->max_tokens + (t > 0 ? (int64_t)strlen(turn->question) + 32 : 0);
    }
    return n < max_length ? n : max_length;
}

/* ---- checks ---- */

static enum status check_turn(const struct engine_turn *turn, bool first)
{
    enum status status = OK;
    if (turn->max_tokens < 1)
        FAIL(ERR_ARGUMENT, "max_tokens is %" PRId64 "; at least 1", turn->max_tokens);
    if (!(turn->temperature >= 0) || !(turn->temperature <= 100))
        FAIL(ERR_ARGUMENT, "temperature is %g; 0 to 100", turn->temperature);
    if (!(turn->top_p > 0) || !(turn->top_p <= 1))
        FAIL(ERR_ARGUMENT, "top_p is %g; above 0, up to 1", turn->top_p);
    if (!first && turn->question == NULL) FAIL(ERR_ARGUMENT, "a later turn has no question");
out:
    return status;
}

static enum status check_request(const struct engine *engine, const struct engine_request *request)
{
    enum status status = OK;
    if (request->n_branches < 1) FAIL(ERR_ARGUMENT, "nothing is asked");
    for (int64_t b = 0; b < request->n_branches; b++) {
        if (request->branches[b].n_turns < 1) FAIL(ERR_ARGUMENT, "a branch has no turn");
        for (int64_t t = 0; t < request->branches[b].n_turns; t++)
            TRY(check_turn(&request->branches[b].turns[t], t == 0));
    }
    if (request->n_masks > model_options_of(engine->model)->limits.max_regions ||
        request->n_masks >= GRAMMAR_MAX_REGIONS)
        FAIL(ERR_LIMIT, "%" PRId64 " regions; at most %d, or what the model was made for",
             request->n_masks, GRAMMAR_MAX_REGIONS - 1);
out:
    return status;
}

/* What the branches share and need, and whether there can ever be room for it. */
static enum status plan_cache(struct picture *picture, const struct engine *engine)
{
    enum status status = OK;
    const struct engine_options *options = &engine->options;
    int64_t most = 0;
    picture->n_embedded = embedded_rows(&picture->branches[0]);
    const int64_t common = common_rows(picture);
    for (int64_t b = 0; b < picture->n_branches; b++)
        if (embedded_rows(&picture->branches[b]) > common)
            FAIL(ERR_FORMAT, "the prompts of its branches differ before their last region token");
    picture->prefix = options->share_prefix ? common : 0;
    picture->prefix_blocks = blocks_for(engine, picture->prefix);
    for (int64_t b = 0; b < picture->n_branches; b++) {
        struct branch *branch = &picture->branches[b];
        if (branch->rows.n >= options->max_length)
            FAIL(ERR_LIMIT,
                 "its prompt has %" PRId64 " rows and max_length is %" PRId64
                 ": no room for an answer",
                 branch->rows.n, options->max_length);
        branch->blocks_needed = blocks_for(engine, longest(branch, options->max_length)) -
                                picture->prefix / options->block;
        if (branch->blocks_needed > most) most = branch->blocks_needed;
    }
    if (picture->prefix_blocks + most > engine->blocks.n)
        FAIL(ERR_LIMIT,
             "it can need %" PRId64 " blocks of %" PRId64 " tokens and the cache has %" PRId64
             "; raise cache_bytes or ask for fewer tokens",
             picture->prefix_blocks + most, options->block, engine->blocks.n);
out:
    return status;
}

/* ---- the picture itself ---- */

static enum status set_regions(struct picture *picture, const struct engine_request *request)
{
    enum status status = OK;
    struct micro_batch_grids grids = {0};
    if (request->n_masks == 0) goto out;
    const int64_t height = request->masks[0].height, width = request->masks[0].width;
    int64_t picture_height, picture_width;
    TRY(image_probe(&picture_height, &picture_width, request->picture.bytes, request->picture.size,
                    request->id));
    for (int64_t q = 0; q < request->n_masks; q++)
        if (request->masks[q].height != picture_height || request->masks[q].width != picture_width)
            FAIL(ERR_SHAPE,
                 "the mask of region %" PRId64 " is %" PRId64 " x %" PRId64
                 " but the picture %" PRId64 " x %" PRId64 " (width x height)",
                 q + 1, request->masks[q].width, request->masks[q].height, picture_width,
                 picture_height);
    TRY(micro_batch_grids_init(&grids, picture->micro, height, width));
    for (int64_t q = 0; q < request->n_masks; q++)
        micro_batch_fill_region(picture->micro, 0, q, &grids, &request->masks[q]);
out:
    micro_batch_grids_release(&grids);
    return status;
}

static enum status take_picture(struct picture *picture, const struct engine *engine,
                                const struct engine_request *request)
{
    enum status status = OK;
    struct sample_rows rows = {0};
    const struct micro_batch_options options = {.config = &engine->config, .target_weight = 1};
    const struct model_config *config = &engine->config;
    if (picture->n_embedded == 0) goto out;
    TRY(lay_rows(&rows, engine, request, request->branches[0].prompt, picture->n_embedded));
    TRY(micro_batch_create(&picture->micro, &rows, &request->tag, 1, &options));
    TRY(image_preprocess(micro_batch_pixels(picture->micro, 0), request->picture,
                         engine->options.image_mode, config->image_height, config->image_width));
    TRY(set_regions(picture, request));
out:
    sample_rows_release(&rows);
    return status;
}

static enum status find_grammars(struct engine *engine, const struct engine_branch *branch)
{
    enum status status = OK;
    for (int64_t t = 0; t < branch->n_turns; t++) {
        const struct engine_turn *turn = &branch->turns[t];
        struct grammar **grammar = &engine->grammars[turn->format];
        if (turn->format != ANSWER_FREE && turn->constrained && *grammar == NULL)
            TRY(grammar_create(grammar, turn->format, engine->tokenizer));
        if (turn->format == ANSWER_YES_NO && (engine->yes_ids.n == 0 || engine->no_ids.n == 0))
            FAIL(ERR_UNSUPPORTED, "the tokenizer begins yes and no with the same tokens");
    }
out:
    return status;
}

enum status picture_create(struct picture **picture_out, struct engine *engine,
                           const struct engine_request *request)
{
    enum status status = OK;
    struct picture *picture = memory_new(1, sizeof *picture);
    TRY(check_request(engine, request));
    picture->tag = request->tag;
    picture->id = text_copy(request->id);
    picture->key = hash_fnv1a(request->id, strlen(request->id));
    picture->n_regions = request->n_masks;
    picture->branches = memory_new((size_t)request->n_branches, sizeof *picture->branches);
    picture->n_branches = request->n_branches;
    for (int64_t b = 0; b < request->n_branches; b++) {
        TRY(encode_branch(&picture->branches[b], engine, request, &request->branches[b]));
        TRY(find_grammars(engine, &request->branches[b]));
    }
    TRY(plan_cache(picture, engine));
    TRY(take_picture(picture, engine, request));
    *picture_out = picture;
    picture = NULL;
out:
    picture_destroy(picture, engine);
    if (status != OK) status_add_context("%s", request->id);
    return status;
}
