/* One pass of the engine: who is let in, which rows are run, what comes of them. */
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "generate/engine_state.h"

void step_init(struct engine *engine)
{
    struct step *s = &engine->step;
    const size_t rows = (size_t)engine->options.step_rows;
    const size_t sequences = (size_t)engine->options.batch + 1; /* one of them is being prefilled */
    const size_t words = (size_t)(engine->config.lm.vocab + 31) / 32;
    s->token_id = memory_new(rows, sizeof *s->token_id);
    s->position = memory_new(rows, sizeof *s->position);
    s->slot = memory_new(rows, sizeof *s->slot);
    s->source_index = memory_new(rows, sizeof *s->source_index);
    s->row_start = memory_new(sequences + 1, sizeof *s->row_start);
    s->group_start = memory_new(sequences + 1, sizeof *s->group_start);
    s->shared = memory_new(sequences, sizeof *s->shared);
    s->sources = memory_new(sequences, sizeof *s->sources);
    s->asking = memory_new(sequences, sizeof *s->asking);
    s->asking_picture = memory_new(sequences, sizeof *s->asking_picture);
    s->logit_row = memory_new(sequences, sizeof *s->logit_row);
    s->allowed = memory_new(sequences, sizeof *s->allowed);
    s->masks = memory_new(sequences * words, sizeof *s->masks);
    s->temperature = memory_new(sequences, sizeof *s->temperature);
    s->top_p = memory_new(sequences, sizeof *s->top_p);
    s->uniform = memory_new(sequences, sizeof *s->uniform);
    s->token = memory_new(sequences, sizeof *s->token);
    s->log_probability = memory_new(sequences, sizeof *s->log_probability);
    s->margin = memory_new(sequences, sizeof *s->margin);
}

void step_release(struct step *s)
{
    free(s->token_id);
    free(s->position);
    free(s->slot);
    free(s->source_index);
    free(s->row_start);
    free(s->group_start);
    free(s->shared);
    free(s->table);
    free(s->sources);
    free(s->asking);
    free(s->asking_picture);
    free(s->logit_row);
    free(s->allowed);
    free(s->masks);
    free(s->temperature);
    free(s->top_p);
    free(s->uniform);
    free(s->token);
    free(s->log_probability);
    free(s->margin);
    cache_copies_release(&s->copies);
}

/* ---- who is let in ---- */

static enum status start_branch(struct engine *engine, struct picture *picture)
{
    enum status status = OK;
    struct branch *branch = &picture->branches[picture->n_started++];
    const bool last = picture->n_started == picture->n_branches;
    if (last) { /* nobody else will begin here: its broken block need not be copied */
        branch->sequence = picture->sequence;
        picture->sequence = (struct cache_sequence){0};
    } else {
        cache_sequence_fork(&branch->sequence, &picture->sequence, &engine->blocks);
    }
    for (int64_t r = picture->prefix; r < branch->rows.n; r++)
        token_list_append(&branch->pending, branch->rows.ids[r]);
    branch->state = BRANCH_RUNS;
    engine->n_running++;
    engine->promised += branch->blocks_needed;
    engine->counts.prompt_tokens += branch->rows.n;
    TRY(answer_begin(engine, picture, branch));
out:
    return status;
}

/* Branches whose prefix is there, oldest pictures first. */
static enum status start_branches(struct engine *engine)
{
    enum status status = OK;
    for (struct picture *p = engine->first; p != NULL; p = p->next) {
        if (p->state != PICTURE_READY) continue;
        while (p->n_started < p->n_branches) {
            const int64_t needed = p->branches[p->n_started].blocks_needed;
            if (engine->n_running == engine->options.batch) goto out;
            if (engine->promised + needed > engine->blocks.n) goto out;
            TRY(start_branch(engine, p));
        }
    }
out:
    return status;
}

/* The most blocks that one branch still to start can need. */
static int64_t most_needed(const struct picture *picture)
{
    int64_t most = 0;
    for (int64_t b = picture->n_started; b < picture->n_branches; b++)
        if (picture->branches[b].blocks_needed > most) most = picture->branches[b].blocks_needed;
    return most;
}

/* Whether the prefix of one more picture leaves room for any branch to run alone, always: so
 * pictures that wait for each other's blocks cannot arise. */
static bool prefix_fits(const struct engine *engine, const struct picture *newcomer)
{
    int64_t prefixes = 0, most = 0, running = 0;
    for (const struct picture *p = engine->first; p != NULL; p = p->next) {
        if (p->state == PICTURE_WAITS && p != newcomer) continue;
        prefixes += p->prefix_blocks;
        if (most_needed(p) > most) most = most_needed(p);
        for (int64_t b = 0; b < p->n_started; b++)
            if (p->branches[b].state == BRANCH_RUNS) running += p->branches[b].blocks_needed;
    }
    return prefixes + most <= engine->blocks.n && prefixes + running <= engine->blocks.n;
}

/* The rows of the prompt's picture and regions, computed. */
static enum status embed(struct engine *engine, struct picture *picture)
{
    enum status status = OK;
    if (picture->micro == NULL) goto out;
    picture->embedded = malloc((size_t)(picture->n_embedded * engine->config.lm.hidden) *
                               sizeof *picture->embedded);
    if (picture->embedded == NULL)
        FAIL(ERR_MEMORY, "%s: no memory for the rows of its picture", picture->id);
    TRY_WHERE(model_embed(engine->model, &picture->micro->batch, picture->embedded), "%s",
              picture->id);
    micro_batch_destroy(picture->micro);
    picture->micro = NULL;
out:
    return status;
}

/* The next picture, once branches are running out and nothing is being prefilled. */
static enum status admit_picture(struct engine *engine, bool *admitted_out)
{
    enum status status = OK;
    int64_t branches = engine->n_running;
    struct picture *next = NULL;
    *admitted_out = false;
    for (struct picture *p = engine->first; p != NULL; p = p->next) {
        if (p->state == PICTURE_PREFILLS) return OK;
        if (p->state == PICTURE_READY) branches += p->n_branches - p->n_started;
        if (p->state == PICTURE_WAITS && next == NULL) next = p;
    }
    if (next == NULL || branches >= engine->options.batch || !prefix_fits(engine, next)) return OK;
    TRY(embed(engine, next));
    next->state = next->prefix > 0 ? PICTURE_PREFILLS : PICTURE_READY;
    engine->promised += next->prefix_blocks;
    *admitted_out = true;
out:
    return status;
}

static enum status admit(struct engine *engine)
{
    enum status status = OK;
    bool more = true;
    while (more) {
        TRY(start_branches(engine));
        TRY(admit_picture(engine, &more));
    }
out:
    return status;
}

/* ---- rows ---- */

static void reserve_table(struct step *s, int64_t n_sequences, int64_t width)
{
    if (n_sequences * width > s->table_capacity) {
        s->table_capacity = 2 * n_sequences * width;
        s->table = memory_resize(s->table, (size_t)s->table_capacity, sizeof *s->table);
    }
}

/* The next n rows of a sequence; those of the picture come from its embedded rows. */
static void add_rows(struct engine *engine, const struct picture *picture,
                     struct cache_sequence *sequence, const int32_t *ids, int64_t n)
{
    struct step *s = &engine->step;
    const int64_t first = sequence->length;
    const int64_t embedded = picture->n_embedded - first < n ? picture->n_embedded - first : n;
    for (int64_t i = 0; i < n; i++) {
        s->token_id[s->n_rows + i] = ids[i];
        s->position[s->n_rows + i] = (int32_t)(first + i);
    }
    if (embedded > 0) {
        for (int64_t i = 0; i < embedded; i++)
            s->source_index[s->n_rows + i] = ids[i] < 0 ? (int32_t)(s->n_rows + i) : -1;
        s->sources[s->n_sources++] =
            (struct decoder_source){.rows = picture->embedded + first * engine->config.lm.hidden,
                                    .n = embedded,
                                    .index = s->source_index + s->n_rows};
    }
    cache_sequence_extend(sequence, &engine->blocks, n, s->slot + s->n_rows, &s->copies);
    s->n_rows += n;
    s->row_start[++s->n_sequences] = (int32_t)s->n_rows;
    if (sequence->n_blocks > s->table_width) s->table_width = sequence->n_blocks;
}

static void end_group(struct step *s, int64_t shared)
{
    if (s->group_start[s->n_groups] == s->n_sequences) return;
    s->shared[s->n_groups++] = (int32_t)shared;
    s->group_start[s->n_groups] = (int32_t)s->n_sequences;
}

/* A branch asks once its last pending row is run. */
static void add_asking(struct step *s, struct picture *picture, struct branch *branch)
{
    s->asking[s->n_asking] = branch;
    s->asking_picture[s->n_asking] = picture;
    s->logit_row[s->n_asking++] = (int32_t)s->n_rows - 1;
}

/* Everybody who runs gets a row, and more while there are rows left for those behind. */
static void collect_rows(struct engine *engine)
{
    struct step *s = &engine->step;
    const int64_t block = engine->options.block;
    int64_t behind = engine->n_running;
    s->n_rows = s->n_sequences = s->n_groups = s->n_sources = s->n_asking = s->table_width = 0;
    s->copies.n = 0;
    for (struct picture *p = engine->first; p != NULL; p = p->next) {
        for (int64_t b = 0; b < p->n_started; b++) {
            struct branch *branch = &p->branches[b];
            if (branch->state != BRANCH_RUNS) continue;
            behind--;
            int64_t n = branch->pending.n - branch->pending_at;
            const int64_t left = engine->options.step_rows - s->n_rows - behind;
            if (n > left) n = left;
            add_rows(engine, p, &branch->sequence, branch->pending.ids + branch->pending_at, n);
            branch->pending_at += n;
            engine->counts.prefilled_tokens += n;
            if (branch->pending_at < branch->pending.n) continue;
            branch->pending.n = branch->pending_at = 0;
            add_asking(s, p, branch);
        }
        end_group(s, p->prefix / block * block);
    }
    for (struct picture *p = engine->first; p != NULL; p = p->next) {
        int64_t n = engine->options.step_rows - s->n_rows;
        if (p->state != PICTURE_PREFILLS || n == 0) continue;
        if (n > p->prefix - p->prefilled) n = p->prefix - p->prefilled;
        add_rows(engine, p, &p->sequence, p->branches[0].rows.ids + p->prefilled, n);
        p->prefilled += n;
        engine->counts.prefilled_tokens += n;
        end_group(s, 0);
    }
}

static void fill_row_of_table(struct step *s, int64_t row, const struct cache_sequence *sequence)
{
    int32_t *to = s->table + row * s->table_width;
    for (int64_t i = 0; i < s->table_width; i++)
        to[i] = i < sequence->n_blocks ? sequence->blocks[i] : -1;
}

static void fill_table(struct engine *engine)
{
    struct step *s = &engine->step;
    int64_t row = 0;
    reserve_table(s, s->n_sequences, s->table_width);
    for (struct picture *p = engine->first; p != NULL; p = p->next)
        for (int64_t b = 0; b < p->n_started; b++)
            if (p->branches[b].state == BRANCH_RUNS)
                fill_row_of_table(s, row++, &p->branches[b].sequence);
    for (struct picture *p = engine->first; p != NULL && row < s->n_sequences; p = p->next)
        if (p->state == PICTURE_PREFILLS) fill_row_of_table(s, row++, &p->sequence);
}

/* ---- what comes of them ---- */

static double draw(const struct engine *engine, const struct picture *picture,
                   const struct branch *branch)
{
    struct random_stream stream = random_substream(engine->draws, picture->key);
    stream = random_substream(stream, (uint64_t)branch->object);
    stream = random_substream(stream, (uint64_t)branch->turn);
    return random_uniform(stream, (uint64_t)branch->answers[branch->turn].n_tokens);
}

static void prepare_choice(struct engine *engine)
{
    struct step *s = &engine->step;
    const int64_t vocab = engine->config.lm.vocab, words = (vocab + 31) / 32;
    for (int64_t i = 0; i < s->n_asking; i++) {
        const struct branch *branch = s->asking[i];
        const struct engine_turn *turn = &branch->turns[branch->turn];
        s->temperature[i] = (float)turn->temperature;
        s->top_p[i] = (float)turn->top_p;
        s->uniform[i] = (float)draw(engine, s->asking_picture[i], branch);
        s->allowed[i] = NULL;
        if (!turn->constrained || turn->format == ANSWER_FREE) continue;
        memcpy(s->masks + i * words,
               grammar_allowed(engine->grammars[turn->format], &branch->grammar, vocab),
               (size_t)words * sizeof *s->masks);
        s->allowed[i] = s->masks + i * words;
    }
}

static void finish_prefills(struct engine *engine)
{
    for (struct picture *p = engine->first; p != NULL; p = p->next) {
        if (p->state != PICTURE_PREFILLS || p->prefilled < p->prefix) continue;
        p->state = PICTURE_READY;
        free(p->embedded);
        p->embedded = NULL;
        p->n_embedded = 0;
    }
}

static void finish_branches(struct engine *engine)
{
    for (int64_t i = 0; i < engine->step.n_asking; i++) {
        struct branch *branch = engine->step.asking[i];
        if (branch->state != BRANCH_DONE) continue;
        cache_sequence_release(&branch->sequence, &engine->blocks);
        engine->promised -= branch->blocks_needed;
        engine->n_running--;
        engine->step.asking_picture[i]->n_done++;
    }
}

static enum status run(struct engine *engine)
{
    enum status status = OK;
    struct step *s = &engine->step;
    const float *logits = NULL;
    const struct decoder_rows rows = {.n_rows = s->n_rows,
                                      .token_id = s->token_id,
                                      .sources = s->sources,
                                      .n_sources = s->n_sources,
                                      .slot = s->slot,
                                      .cached = {.block = engine->options.block,
                                                 .n_sequences = s->n_sequences,
                                                 .row_start = s->row_start,
                                                 .position = s->position,
                                                 .table = s->table,
                                                 .table_width = s->table_width,
                                                 .n_groups = s->n_groups,
                                                 .group_start = s->group_start,
                                                 .shared = s->shared},
                                      .logit_row = s->logit_row,
                                      .n_logits = s->n_asking};
    const struct token_choice choice = {s->allowed, s->temperature, s->top_p, s->uniform};
    struct chosen_tokens chosen = {s->token, s->log_probability, s->margin};
    TRY(decoder_copy_blocks(engine->decoder, s->copies.to_from, s->copies.n));
    TRY(decoder_run(engine->decoder, &rows, &logits));
    prepare_choice(engine); /* a GPU is at work meanwhile */
    TRY(decoder_choose(engine->decoder, &chosen, &choice, s->n_asking));
    TRY(answer_read_yes(engine));
    for (int64_t i = 0; i < s->n_asking; i++) TRY(answer_take(engine, i));
out:
    return status;
}

enum status engine_step(struct engine *engine)
{
    enum status status = OK;
    TRY(admit(engine));
    collect_rows(engine);
    if (engine->step.n_rows == 0) {
        ASSERT(engine->first == NULL, "nothing runs and %lld pictures wait",
               (long long)engine->n_pictures);
        goto out;
    }
    fill_table(engine);
    engine->counts.steps++;
    engine->counts.rows += engine->step.n_rows;
    TRY(run(engine));
    finish_prefills(engine);
    finish_branches(engine);
    engine_finish_pictures(engine);
out:
    return status;
}
