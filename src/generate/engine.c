/* See engine.h: the life of an engine, its queue and its results. */
#include "generate/engine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/text_buffer.h"
#include "generate/engine_state.h"
#include "model/lm_slice.h"

#define DEFAULT_CACHE_BYTES ((size_t)4 << 30)

struct engine_options engine_options_default(void)
{
    return (struct engine_options){.batch = 32,
                                   .images = 4,
                                   .step_rows = 256,
                                   .block = 16,
                                   .max_length = 4096,
                                   .share_prefix = true,
                                   .image_mode = IMAGE_MODE_SQUASH};
}

/* ---- planning ---- */

/* The options with every 0 replaced, and the limits of the decoder. */
static enum status settle(struct engine_options *options, struct decoder_limits *limits,
                          const struct lm_slice *slice, const struct kernels *kernels)
{
    enum status status = OK;
    const struct lm_config *lm = slice->config;
    if (options->block != 16 && options->block != 32 && options->block != 64)
        FAIL(ERR_SHAPE, "blocks of %" PRId64 " tokens; take 16, 32 or 64", options->block);
    if (options->batch < 1 || options->images < 1)
        FAIL(ERR_SHAPE, "a batch of %" PRId64 " sequences and %" PRId64 " pictures; at least 1",
             options->batch, options->images);
    if (options->step_rows < options->batch)
        FAIL(ERR_SHAPE,
             "step_rows is %" PRId64 " and must be at least batch, %" PRId64
             ": every sequence has a row in every pass",
             options->step_rows, options->batch);
    if (options->max_length == 0 || options->max_length > lm->max_positions)
        options->max_length = lm->max_positions;
    const size_t block_bytes =
        (size_t)lm->layers *
        kernels->cache_bytes(1, options->block, slice->kv_heads, slice->head_size);
    const int64_t whole = (options->max_length + options->block - 1) / options->block;
    if (options->cache_bytes == 0) {
        options->cache_bytes = size_multiply((size_t)(options->batch * whole), block_bytes);
        if (options->cache_bytes > DEFAULT_CACHE_BYTES) options->cache_bytes = DEFAULT_CACHE_BYTES;
    }
    *limits = (struct decoder_limits){.max_rows = options->step_rows,
                                      .max_logits = options->batch,
                                      .block = options->block,
                                      .n_positions = options->max_length,
                                      .graphs = options->graphs};
    limits->n_blocks = (int64_t)(options->cache_bytes / (block_bytes > 0 ? block_bytes : 1));
    if (block_bytes == 0) limits->n_blocks = options->batch * whole;
    if (limits->n_blocks < 1)
        FAIL(ERR_SHAPE, "a cache of %zu bytes does not hold one block of %zu", options->cache_bytes,
             block_bytes);
out:
    return status;
}

enum status engine_plan(struct engine_memory *memory_out, const struct model_config *config,
                        int sharers, const struct engine_options *options,
                        const struct kernels *kernels)
{
    enum status status = OK;
    struct engine_options settled = *options;
    struct decoder_limits limits;
    struct lm_slice slice;
    TRY(lm_slice_make(&slice, &config->lm, 0, sharers));
    TRY(settle(&settled, &limits, &slice, kernels));
    const struct decoder_memory memory = decoder_plan(&slice, &limits, kernels);
    *memory_out = (struct engine_memory){.cache = memory.cache,
                                         .activations = memory.activations + memory.tables,
                                         .logits = memory.logits,
                                         .cache_blocks = limits.n_blocks,
                                         .block = limits.block};
out:
    return status;
}

char *engine_memory_text(const struct engine_memory *memory)
{
    const double mib = 1024.0 * 1024.0;
    return text_format("%.1f MiB of keys and values (%" PRId64 " blocks of %" PRId64
                       " tokens), %.1f MiB of activations, %.1f MiB of logits",
                       (double)memory->cache / mib, memory->cache_blocks, memory->block,
                       (double)memory->activations / mib, (double)memory->logits / mib);
}

/* ---- life ---- */

static bool holds(const struct token_list *list, int32_t id)
{
    for (int64_t i = 0; i < list->n; i++)
        if (list->ids[i] == id) return true;
    return false;
}

/* The first tokens of the ways to say yes or no; behind a space only where that is one token, for
 * else the first may be the space. */
static enum status find_yes(struct engine *engine)
{
    enum status status = OK;
    static const char *const words[2][4] = {{"yes", "Yes", " yes", " Yes"},
                                            {"no", "No", " no", " No"}};
    struct token_list *lists[] = {&engine->yes_ids, &engine->no_ids};
    struct token_list ids = {0};
    for (int which = 0; which < 2; which++) {
        for (int i = 0; i < 4; i++) {
            const char *word = words[which][i];
            ids.n = 0;
            TRY(tokenizer_encode(engine->tokenizer, word, strlen(word), &ids));
            const bool whole = ids.n == 1 || (ids.n > 1 && word[0] != ' ');
            if (whole && !holds(lists[0], ids.ids[0]) && !holds(lists[1], ids.ids[0]))
                token_list_append(lists[which], ids.ids[0]);
        }
    }
out:
    token_list_release(&ids);
    return status;
}

static enum status find_tokens(struct engine *engine)
{
    enum status status = OK;
    engine->end_id = tokenizer_id(engine->tokenizer, "<|im_end|>");
    engine->text_end_id = tokenizer_id(engine->tokenizer, "<|endoftext|>");
    engine->box_start_id = tokenizer_id(engine->tokenizer, "<|box_start|>");
    engine->box_end_id = tokenizer_id(engine->tokenizer, "<|box_end|>");
    engine->mask_id = tokenizer_id(engine->tokenizer, "<mask>");
    if (engine->end_id < 0 || engine->mask_id < 0)
        FAIL(ERR_FORMAT, "the tokenizer has no <|im_end|> or <mask>");
    if (tokenizer_size(engine->tokenizer) > engine->config.lm.vocab)
        FAIL(ERR_SHAPE, "the tokenizer has %d ids and the model only %" PRId64,
             tokenizer_size(engine->tokenizer), engine->config.lm.vocab);
    TRY(find_yes(engine));
out:
    return status;
}

enum status engine_create(struct engine **engine_out, struct model *model,
                          const struct tokenizer *tokenizer, const struct engine_options *options)
{
    enum status status = OK;
    struct decoder_limits limits;
    struct lm_slice slice;
    const struct model_share *share = model_share_of(model);
    struct engine *engine = memory_new(1, sizeof *engine);
    engine->model = model;
    engine->tokenizer = tokenizer;
    engine->options = *options;
    engine->config = *model_config_of(model);
    engine->draws = random_stream(options->seed, "generate");
    char *missing = kernels_missing_decoding(model_kernels(model));
    if (missing != NULL)
        FAIL(ERR_UNSUPPORTED, "kernels %s cannot generate: missing are %s",
             model_kernels(model)->name, missing);
    TRY(find_tokens(engine));
    TRY(lm_slice_make(&slice, &engine->config.lm, share->index, share->size));
    TRY(settle(&engine->options, &limits, &slice, model_kernels(model)));
    TRY(decoder_create(&engine->decoder, model, &limits));
    cache_blocks_init(&engine->blocks, limits.n_blocks, limits.block);
    step_init(engine);
    *engine_out = engine;
    engine = NULL;
out:
    free(missing);
    engine_destroy(engine);
    return status;
}

void engine_destroy(struct engine *engine)
{
    if (engine == NULL) return;
    while (engine->first != NULL) {
        struct picture *picture = engine->first;
        engine->first = picture->next;
        picture_destroy(picture, engine);
    }
    for (int64_t i = 0; i < engine->n_done; i++) engine_result_release(&engine->done[i]);
    free(engine->done);
    for (int i = 0; i < N_ANSWER_FORMATS; i++) grammar_destroy(engine->grammars[i]);
    token_list_release(&engine->yes_ids);
    token_list_release(&engine->no_ids);
    step_release(&engine->step);
    cache_blocks_release(&engine->blocks);
    decoder_destroy(engine->decoder);
    free(engine);
}

enum status engine_follow(struct engine *engine)
{
    return decoder_follow(engine->decoder);
}

enum status engine_end(struct engine *engine)
{
    return decoder_end(engine->decoder);
}

/* ---- the queue ---- */

bool engine_has_room(const struct engine *engine)
{
    return engine->n_pictures < engine->options.images;
}

bool engine_is_idle(const struct engine *engine)
{
    return engine->first == NULL;
}

enum status engine_submit(struct engine *engine, const struct engine_request *request)
{
    enum status status = OK;
    struct picture *picture = NULL, **end = &engine->first;
    TRY(picture_create(&picture, engine, request));
    while (*end != NULL) end = &(*end)->next;
    *end = picture;
    engine->n_pictures++;
out:
    return status;
}

static void unlink_picture(struct engine *engine, struct picture **link)
{
    struct picture *picture = *link;
    *link = picture->next;
    engine->n_pictures--;
    picture_destroy(picture, engine);
}

void engine_cancel(struct engine *engine, uint64_t tag)
{
    for (struct picture **link = &engine->first; *link != NULL;) {
        if ((*link)->tag == tag)
            unlink_picture(engine, link);
        else
            link = &(*link)->next;
    }
    for (int64_t i = 0; i < engine->n_done; i++) {
        if (engine->done[i].tag != tag) continue;
        engine_result_release(&engine->done[i]);
        memmove(&engine->done[i], &engine->done[i + 1],
                (size_t)(--engine->n_done - i) * sizeof *engine->done);
        i--;
    }
}

bool engine_look(const struct engine *engine, uint64_t tag, int64_t branch, int64_t turn,
                 struct engine_progress *progress_out)
{
    const struct picture *picture = engine->first;
    while (picture != NULL && picture->tag != tag) picture = picture->next;
    if (picture == NULL || picture->branches[branch].turn < turn) return false;
    *progress_out = (struct engine_progress){.answer = &picture->branches[branch].answers[turn],
                                             .prompt_tokens = picture->branches[branch].rows.n};
    return true;
}

/* ---- results ---- */

static struct engine_result result_of(struct picture *picture)
{
    struct engine_result result = {.tag = picture->tag,
                                   .id = picture->id,
                                   .n_branches = picture->n_branches,
                                   .prefilled_tokens = picture->prefix};
    picture->id = NULL;
    result.branches = memory_new((size_t)picture->n_branches, sizeof *result.branches);
    for (int64_t b = 0; b < picture->n_branches; b++) {
        struct branch *branch = &picture->branches[b];
        result.branches[b] = (struct engine_branch_result){
            .object = branch->object, .answers = branch->answers, .n_answers = branch->n_turns};
        result.prompt_tokens += branch->rows.n;
        result.prefilled_tokens += branch->rows.n - picture->prefix;
        for (int64_t t = 0; t < branch->n_turns; t++)
            result.answer_tokens += branch->answers[t].n_tokens;
        branch->answers = NULL;
    }
    return result;
}

void engine_finish_pictures(struct engine *engine)
{
    for (struct picture **link = &engine->first; *link != NULL;) {
        if ((*link)->n_done < (*link)->n_branches) {
            link = &(*link)->next;
            continue;
        }
        engine->done =
            memory_resize(engine->done, (size_t)engine->n_done + 1, sizeof *engine->done);
        engine->done[engine->n_done++] = result_of(*link);
        engine->counts.images++;
        unlink_picture(engine, link);
    }
}

bool engine_take(struct engine *engine, struct engine_result *result_out)
{
    if (engine->n_done == 0) return false;
    *result_out = engine->done[0];
    memmove(engine->done, engine->done + 1, (size_t)--engine->n_done * sizeof *engine->done);
    return true;
}

void engine_result_release(struct engine_result *result)
{
    for (int64_t b = 0; b < result->n_branches; b++) {
        for (int64_t t = 0; t < result->branches[b].n_answers; t++) {
            free(result->branches[b].answers[t].text);
            free(result->branches[b].answers[t].tokens);
            free(result->branches[b].answers[t].margins);
        }
        free(result->branches[b].answers);
    }
    free(result->branches);
    free(result->id);
    *result = (struct engine_result){0};
}

struct engine_counts engine_counts(const struct engine *engine)
{
    struct engine_counts counts = engine->counts;
    counts.blocks_in_use = engine->blocks.n - engine->blocks.n_free;
    counts.most_blocks_in_use = engine->blocks.most_used;
    return counts;
}
