/* What the engine answers is a function of model, picture and question alone: the same bits in a
 * batch of any size, any blocks, any order, with and without sharing; and what one forward over the
 * whole sequence gives. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "base/text_buffer.h"
#include "emulation/emulation.h"
#include "kernels.h"
#include "support/engine_case.h"
#include "text/prompts.h"
#include "train/micro_batch.h"

enum { N_ASKS = 9 };

static struct engine_case made;

static int set_up(void **state)
{
    (void)state;
    engine_case_init(&made);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    engine_case_release(&made);
    return 0;
}

static const char *const questions[] = {"What is this?", "Is region1 a red circle?", "Why?"};

/* One of every mode, greedy and drawn, over four pictures. */
static void make_asks(struct ask *asks, struct ask_options *options, bool constrained)
{
    for (int64_t i = 0; i < N_ASKS; i++) {
        const enum ask_mode mode = (enum ask_mode)(i % N_ASK_MODES);
        asks[i] = engine_case_ask(&made, i % ENGINE_CASE_SCENES, mode == ASK_DETECTION);
        options[i] = ask_options_default(mode);
        options[i].max_tokens = 12 + 7 * (i % 3);
        options[i].constrained = constrained;
        options[i].temperature = i % 2 == 0 ? 0 : 0.8;
        options[i].top_p = i % 3 == 0 ? 0.9 : 1;
        options[i].wording = i % 2 == 0 ? ASK_AS_RELEASED : ASK_AS_TRAINED;
        options[i].box_text = i == 1;
        if (mode == ASK_REFEXP || mode == ASK_QUESTION || mode == ASK_YES_NO) {
            asks[i].questions = questions;
            asks[i].n_questions = 3;
        }
    }
}

static struct engine *make_engine(const struct engine_options *options)
{
    struct engine *engine;
    engine_case_ok(engine_create(&engine, made.model, made.tokenizer, options));
    return engine;
}

static void assert_answers_equal(const struct engine_answer *a, const struct engine_answer *b)
{
    assert_int_equal(a->n_tokens, b->n_tokens);
    assert_memory_equal(a->tokens, b->tokens, (size_t)a->n_tokens * sizeof *a->tokens);
    assert_memory_equal(a->margins, b->margins, (size_t)a->n_tokens * sizeof *a->margins);
    assert_string_equal(a->text, b->text);
    assert_true(a->log_probability == b->log_probability);
    assert_true(a->yes == b->yes);
    assert_int_equal(a->truncated, b->truncated);
    assert_int_equal(a->n_forced, b->n_forced);
}

static void assert_results_equal(const struct engine_result *a, const struct engine_result *b)
{
    assert_int_equal(a->n_branches, b->n_branches);
    for (int64_t k = 0; k < a->n_branches; k++) {
        assert_int_equal(a->branches[k].n_answers, b->branches[k].n_answers);
        for (int64_t t = 0; t < a->branches[k].n_answers; t++)
            assert_answers_equal(&a->branches[k].answers[t], &b->branches[k].answers[t]);
    }
}

static void release_results(struct engine_result *results)
{
    for (int64_t i = 0; i < N_ASKS; i++) engine_result_release(&results[i]);
}

/* The reference: every branch alone in a batch of one. */
static void run_alone(struct engine_result *results, bool constrained, bool skip_forced)
{
    struct ask asks[N_ASKS];
    struct ask_options options[N_ASKS];
    struct engine_options alone = engine_options_default();
    alone.batch = alone.images = 1;
    alone.share_prefix = false;
    alone.skip_forced = skip_forced;
    alone.seed = 5;
    make_asks(asks, options, constrained);
    struct engine *engine = make_engine(&alone);
    engine_case_run(engine, made.tokenizer, asks, options, N_ASKS, results);
    engine_destroy(engine);
}

static void compare_with(const struct engine_result *want, const struct engine_options *options,
                         bool constrained, bool backwards)
{
    struct ask asks[N_ASKS], given[N_ASKS];
    struct ask_options how[N_ASKS], how_given[N_ASKS];
    struct engine_result results[N_ASKS];
    make_asks(asks, how, constrained);
    for (int64_t i = 0; i < N_ASKS; i++) {
        const int64_t from = backwards ? N_ASKS - 1 - i : i;
        given[i] = asks[from];
        how_given[i] = how[from];
    }
    struct engine *engine = make_engine(options);
    engine_case_run(engine, made.tokenizer, given, how_given, N_ASKS, results);
    for (int64_t i = 0; i < N_ASKS; i++)
        assert_results_equal(&results[backwards ? N_ASKS - 1 - i : i], &want[i]);
    engine_destroy(engine);
    release_results(results);
}

/* Sizes in which something always straddles something. */
static const struct engine_options variants[] = {
    {.batch = 1, .images = 1, .step_rows = 1, .block = 16, .max_length = 400, .share_prefix = true},
    {.batch = 2, .images = 3, .step_rows = 7, .block = 32, .max_length = 400, .share_prefix = true},
    {.batch = 5,
     .images = 2,
     .step_rows = 33,
     .block = 64,
     .max_length = 400,
     .share_prefix = true},
    {.batch = 32,
     .images = 9,
     .step_rows = 300,
     .block = 16,
     .max_length = 400,
     .share_prefix = true},
    {.batch = 32,
     .images = 9,
     .step_rows = 64,
     .block = 32,
     .max_length = 400,
     .share_prefix = false},
    /* room for two or three sequences: branches wait for blocks */
    {.batch = 32,
     .images = 9,
     .step_rows = 100,
     .block = 16,
     .max_length = 400,
     .cache_bytes = 30 * 16 * 2 * 2 * 2 * 4 * sizeof(float),
     .share_prefix = true},
};

static void answers_do_not_depend_on_company(void **state)
{
    (void)state;
    for (int constrained = 0; constrained < 2; constrained++) {
        struct engine_result want[N_ASKS];
        run_alone(want, constrained, constrained);
        for (size_t v = 0; v < sizeof variants / sizeof variants[0]; v++) {
            struct engine_options options = variants[v];
            options.seed = 5;
            options.skip_forced = constrained;
            compare_with(want, &options, constrained, v % 2 == 1);
        }
        release_results(want);
    }
}

static void prefixes_are_run_once(void **state)
{
    (void)state;
    struct ask ask = engine_case_ask(&made, 0, false);
    struct ask_options options = ask_options_default(ASK_PER_OBJECT);
    struct engine_options shared = engine_options_default();
    struct engine_result result;
    options.max_tokens = 4;
    for (int share = 0; share < 2; share++) {
        shared.share_prefix = share;
        struct engine *engine = make_engine(&shared);
        engine_case_run(engine, made.tokenizer, &ask, &options, 1, &result);
        if (share)
            assert_true(result.prefilled_tokens * 2 < result.prompt_tokens);
        else
            assert_int_equal(result.prefilled_tokens, result.prompt_tokens);
        engine_result_release(&result);
        engine_destroy(engine);
    }
}

/* ---- against the model's own forward over the whole sequence ---- */

struct whole { /* a conversation with its answers, as one sample */
    struct sample sample;
    int64_t *answer_at; /* [n_tokens]: place of each generated token among the ids */
    int32_t *token;
    int64_t n_tokens;
};

static void append_text(struct whole *w, const char *text)
{
    engine_case_ok(tokenizer_encode(made.tokenizer, text, strlen(text), &w->sample.ids));
}

static void append_answer(struct whole *w, const struct engine_answer *answer)
{
    w->answer_at = memory_resize(w->answer_at, (size_t)(w->n_tokens + answer->n_tokens + 1), 8);
    w->token = memory_resize(w->token, (size_t)(w->n_tokens + answer->n_tokens + 1), 4);
    for (int64_t i = 0; i < answer->n_tokens; i++) {
        w->answer_at[w->n_tokens] = w->sample.ids.n;
        w->token[w->n_tokens++] = answer->tokens[i];
        token_list_append(&w->sample.ids, answer->tokens[i]);
    }
}

/* The two turns about region `k` + 1 of scene 2 as the template writes them. */
static void write_whole(struct whole *w, const struct ask *ask,
                        const struct engine_branch_result *branch)
{
    struct text_buffer message = {0};
    struct conversation prompt = {0};
    const struct region_list list = {.n = ask->n_regions};
    char *question = text_format("Generate a description for: region%d.", (int)branch->object);
    char *second = text_format("<|im_end|>\n<|im_start|>user\nGenerate list of relationships for: "
                               "region%d.<|im_end|>\n<|im_start|>assistant\n",
                               (int)branch->object);
    *w = (struct whole){.sample = {.has_image = true, .n_regions = ask->n_regions}};
    engine_case_ok(prompt_first_message(&message, &list, 0, question, true));
    conversation_add(&prompt, CHAT_USER, text_of(&message));
    engine_case_ok(chat_encode_prompt(made.tokenizer, &prompt, &w->sample.ids));
    append_answer(w, &branch->answers[0]);
    append_text(w, second);
    append_answer(w, &branch->answers[1]);
    for (int64_t i = 0; i < w->sample.ids.n; i++)
        token_list_append(&w->sample.labels, IGNORE_LABEL);
    conversation_release(&prompt);
    text_release(&message);
    free(question);
    free(second);
}

/* The logits from which each generated token was chosen; to free(). */
static float *forward(const struct whole *w, const struct ask *ask)
{
    const struct model_config *config = model_config_of(made.model);
    const struct sample_rows_options options = {.mask_id = tokenizer_id(made.tokenizer, "<mask>"),
                                                .vocab = config->lm.vocab,
                                                .image_rows = 16};
    const struct micro_batch_options how = {.config = config, .target_weight = 1};
    const uint64_t id = 0;
    struct sample_rows rows = {0};
    struct micro_batch *micro;
    engine_case_ok(sample_rows_create(&rows, &w->sample, &options));
    engine_case_ok(micro_batch_create(&micro, &rows, &id, 1, &how));
    engine_case_ok(image_preprocess(micro_batch_pixels(micro, 0), ask->picture, IMAGE_MODE_SQUASH,
                                    config->image_height, config->image_width));
    for (int64_t q = 0; q < ask->n_regions; q++)
        engine_case_ok(micro_batch_set_region(micro, 0, q, &ask->masks[q]));
    int32_t *target_row = memory_new((size_t)w->n_tokens, sizeof *target_row);
    const int64_t opened = rows.n_rows - w->sample.ids.n; /* rows that the image id became */
    for (int64_t i = 0; i < w->n_tokens; i++)
        target_row[i] = (int32_t)(w->answer_at[i] + opened - 1);
    struct model_batch batch = micro->batch;
    batch.n_targets = w->n_tokens;
    batch.target_row = target_row;
    float *logits = memory_new((size_t)(w->n_tokens * config->lm.vocab), sizeof *logits);
    engine_case_ok(model_logits(made.model, &batch, NULL, logits));
    free(target_row);
    micro_batch_destroy(micro);
    sample_rows_release(&rows);
    return logits;
}

static void greedy_tokens_are_those_of_the_whole_forward(void **state)
{
    (void)state;
    const int64_t vocab = model_config_of(made.model)->lm.vocab;
    struct ask ask = engine_case_ask(&made, 2, false);
    struct ask_options options = ask_options_default(ASK_PER_OBJECT);
    struct engine_options how = engine_options_default();
    struct engine_result result;
    double least = INFINITY, largest = 0;
    int64_t n_tokens = 0;
    options.max_tokens = 40;
    struct engine *engine = make_engine(&how);
    engine_case_run(engine, made.tokenizer, &ask, &options, 1, &result);
    for (int64_t b = 0; b < result.n_branches; b++) {
        struct whole w;
        write_whole(&w, &ask, &result.branches[b]);
        float *logits = forward(&w, &ask);
        for (int64_t i = 0; i < w.n_tokens; i++) {
            const float *row = logits + i * vocab;
            int64_t best = 0;
            for (int64_t v = 0; v < vocab; v++) best = row[v] > row[best] ? v : best;
            const double margin = (double)row[best] - (double)row[w.token[i]];
            if (best != w.token[i])
                print_message("near-tie: token %d of region %d by %.3g\n", (int)i, (int)b + 1,
                              margin);
            assert_true(margin <= 1e-4); /* rounding of the two ways to sum, and no more */
        }
        for (int t = 0; t < 2; t++) {
            const struct engine_answer *answer = &result.branches[b].answers[t];
            for (int64_t i = 0; i < answer->n_tokens; i++) {
                least = fmin(least, (double)answer->margins[i]);
                largest = fmax(largest, (double)answer->margins[i]);
            }
        }
        n_tokens += w.n_tokens;
        free(logits);
        free(w.answer_at);
        free(w.token);
        sample_release(&w.sample);
    }
    print_message("%d tokens; margins %.3g to %.3g\n", (int)n_tokens, least, largest);
    assert_true(n_tokens > 100 && least < largest);
    engine_result_release(&result);
    engine_destroy(engine);
}

static void count_seed(uint64_t *seen, const struct engine_result *result)
{
    for (int64_t b = 0; b < result->n_branches; b++)
        *seen = hash_mix64(*seen ^ hash_fnv1a(result->branches[b].answers[0].text,
                                              strlen(result->branches[b].answers[0].text)));
}

static void draws_follow_the_seed(void **state)
{
    (void)state;
    struct ask ask = engine_case_ask(&made, 1, false);
    struct ask_options options = ask_options_default(ASK_PER_OBJECT);
    uint64_t seen[3] = {0};
    options.max_tokens = 10;
    options.temperature = 1;
    for (int i = 0; i < 3; i++) {
        struct engine_options how = engine_options_default();
        struct engine_result result;
        how.seed = i == 2 ? 8 : 7;
        struct engine *engine = make_engine(&how);
        engine_case_run(engine, made.tokenizer, &ask, &options, 1, &result);
        count_seed(&seen[i], &result);
        /* branches differ, too: objects have draws of their own */
        assert_string_not_equal(result.branches[0].answers[0].text,
                                result.branches[1].answers[0].text);
        engine_result_release(&result);
        engine_destroy(engine);
    }
    assert_true(seen[0] == seen[1]);
    assert_true(seen[0] != seen[2]);
}

/* ---- on a GPU ---- */

/* Whether an answer has another's tokens. Where it has not, they may only part where the next
 * likely token is as likely but for rounding: then what follows is another answer. */
static bool has_tokens_of(const struct engine_answer *a, const struct engine_answer *b,
                          float rounding)
{
    for (int64_t i = 0; i < a->n_tokens && i < b->n_tokens; i++) {
        if (a->tokens[i] == b->tokens[i]) continue;
        print_message("near-tie: token %d by %.3g\n", (int)i, (double)b->margins[i]);
        assert_true(b->margins[i] <= rounding);
        return false;
    }
    assert_int_equal(a->n_tokens, b->n_tokens);
    assert_string_equal(a->text, b->text);
    assert_true(fabs(a->log_probability - b->log_probability) <= 1e-4 * (double)(a->n_tokens + 1));
    assert_true(fabs(a->yes - b->yes) <= 1e-4);
    return true;
}

/* The asks, of the model that `made` has. */
static void run_all(const struct engine_options *options, bool constrained,
                    struct engine_result *results)
{
    struct ask asks[N_ASKS];
    struct ask_options how[N_ASKS];
    make_asks(asks, how, constrained);
    struct engine *engine = make_engine(options);
    engine_case_run(engine, made.tokenizer, asks, how, N_ASKS, results);
    engine_destroy(engine);
}

static int64_t count_equal(const struct engine_result *got, const struct engine_result *want)
{
    int64_t n_equal = 0;
    for (int64_t i = 0; i < N_ASKS; i++)
        for (int64_t b = 0; b < want[i].n_branches; b++)
            for (int64_t t = 0; t < want[i].branches[b].n_answers; t++)
                n_equal += has_tokens_of(&got[i].branches[b].answers[t],
                                         &want[i].branches[b].answers[t], 1e-4f);
    return n_equal;
}

static void a_gpu_answers_as_the_cpu_does(void **state)
{
    (void)state;
    struct engine_case on_cpu = made, on_gpu;
    struct engine_options whole = variants[3], parts = variants[2];
    struct engine_result want[N_ASKS], got[N_ASKS], again[N_ASKS];
    if (kernels_find("cuda") == NULL) skip();
    engine_case_init_on(&on_gpu, "cuda");
    whole.seed = parts.seed = 5;
    parts.graphs = true;
    for (int constrained = 0; constrained < 2; constrained++) {
        made = on_cpu;
        run_all(&whole, constrained, want);
        made = on_gpu;
        run_all(&whole, constrained, got);
        if (constrained) { /* no company changes a bit there, either, nor graphs */
            run_all(&parts, constrained, again);
            for (int64_t i = 0; i < N_ASKS; i++) assert_results_equal(&again[i], &got[i]);
            release_results(again);
            if (emulation_graphs_run != NULL) assert_true(emulation_graphs_run() > 20);
        }
        const int64_t n_equal = count_equal(got, want), n = count_equal(want, want);
        print_message("%d of %d answers have the CPU's tokens\n", (int)n_equal, (int)n);
        assert_true(n > 10 && n_equal >= n - 1);
        release_results(want);
        release_results(got);
    }
    made = on_cpu;
    engine_case_release(&on_gpu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_do_not_depend_on_company),
        cmocka_unit_test(prefixes_are_run_once),
        cmocka_unit_test(greedy_tokens_are_those_of_the_whole_forward),
        cmocka_unit_test(draws_follow_the_seed),
        cmocka_unit_test(a_gpu_answers_as_the_cpu_does),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
