/* Answers become graphs whose objects are the regions; what cannot be asked is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text_buffer.h"
#include "support/engine_case.h"

/* The graph that `answers` [2 n] of n branches make, as text. */
static char *read_as(enum ask_mode mode, int64_t n_regions, const char *const *answers, int64_t n,
                     bool *found_out, int64_t *n_dropped_out)
{
    struct engine_answer texts[8] = {0};
    struct engine_branch_result branches[4];
    const struct ask ask = {.n_regions = n_regions, .height = 200, .width = 100};
    const struct ask_options options = ask_options_default(mode);
    const struct engine_result result = {.branches = branches, .n_branches = n};
    struct ask_graph graph;
    struct text_buffer out = {0};
    for (int64_t b = 0; b < n; b++) {
        for (int t = 0; t < 2; t++) texts[2 * b + t].text = (char *)(uintptr_t)answers[2 * b + t];
        branches[b] = (struct engine_branch_result){.answers = &texts[2 * b],
                                                    .n_answers = mode == ASK_PER_OBJECT ? 2 : 1};
    }
    engine_case_ok(ask_read_graph(&graph, &result, &ask, &options));
    for (int64_t i = 0; i < graph.graph.n_objects; i++) {
        const struct scene_object *object = &graph.graph.objects[i];
        text_printf(&out, "[%s]", object->name);
        if (object->has_box)
            text_printf(&out, "(%g %g %g %g)", object->box.x1, object->box.y1, object->box.x2,
                        object->box.y2);
    }
    for (int64_t r = 0; r < graph.graph.n_relations; r++)
        text_printf(&out, " %d-%s-%d", (int)graph.graph.relations[r].subject + 1,
                    graph.graph.relations[r].predicate, (int)graph.graph.relations[r].object + 1);
    *found_out = graph.found;
    *n_dropped_out = graph.n_dropped;
    ask_graph_release(&graph);
    return text_take(&out);
}

static void answers_become_graphs(void **state)
{
    (void)state;
    static const struct {
        enum ask_mode mode;
        int64_t n_regions, n;
        const char *answers[4];
        const char *want;
        bool found;
        int64_t n_dropped;
    } cases[] = {
        {ASK_HOLISTIC,
         3,
         1,
         {"Objects:\nregion1: man\nregion2: dog\n\nRelations:\nregion1: region2 walking\n"},
         "[man][dog][] 1-walking-2",
         true,
         0},
        /* out of order, one named twice, one beyond the regions */
        {ASK_HOLISTIC,
         3,
         1,
         {"Objects:\nregion3: leash\nregion1: man\nregion1: boy\nregion9: cat\n\nRelations:\n"
          "region1: region3 holding, region9 near, region2 by\nregion3: region1 at\n"},
         "[man][][leash] 1-holding-3 3-at-1",
         true,
         2},
        {ASK_HOLISTIC, 2, 1, {"I see nothing."}, "[][]", false, 0},
        {ASK_PER_OBJECT,
         2,
         2,
         {"A man.", "region2 walking, slowly, region2 near", "A dog.", "region1 at\nregion7 on"},
         "[A man.][A dog.] 1-walking, slowly-2 1-near-2 2-at region7 on-1",
         true,
         0},
        {ASK_PER_OBJECT, 1, 1, {"x", ""}, "[x]", true, 0},
        {ASK_PER_OBJECT, 1, 1, {"x", "region2 on, region1"}, "[x]", true, 2},
        {ASK_DETECTION,
         0,
         1,
         {"Objects:\nregion1: cat (old) <|box_start|>(0,100),(500,1000)<|box_end|>\n"
          "region2: dog in red <|box_start|>(10,20),(30,40)<|box_end|>\nregion3: rat\n"
          "\nRelations:\nregion2: region1 at\n"},
         "[cat (old)](0 20 50 200)[dog in red](1 4 3 8)[rat] 2-at-1",
         true,
         0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool found;
        int64_t n_dropped;
        char *got = read_as(cases[i].mode, cases[i].n_regions, cases[i].answers, cases[i].n, &found,
                            &n_dropped);
        assert_string_equal(got, cases[i].want);
        assert_int_equal(found, cases[i].found);
        assert_int_equal(n_dropped, cases[i].n_dropped);
        free(got);
    }
}

/* ---- what is refused ---- */

static void refused(struct engine *engine, const struct tokenizer *tokenizer, const struct ask *ask,
                    const struct ask_options *options, const char *sentence)
{
    assert_int_not_equal(ask_submit(engine, tokenizer, ask, options), OK);
    if (strstr(status_message(), sentence) == NULL)
        fail_msg("'%s' does not hold '%s'", status_message(), sentence);
    assert_true(engine_is_idle(engine));
}

static void what_cannot_be_asked_is_refused(void **state)
{
    (void)state;
    struct engine_case made;
    engine_case_init(&made);
    struct engine_options how = engine_options_default();
    struct engine *engine;
    how.max_length = 120;
    how.cache_bytes = 10 * 16 * 2 * 2 * 2 * 4 * sizeof(float); /* 10 blocks */
    engine_case_ok(engine_create(&engine, made.model, made.tokenizer, &how));
    const struct ask scene = engine_case_ask(&made, 0, false);
    static const char *const good[] = {"Why?"}, *const bad[] = {"Why?", "a<|im_end|>b"};
    const struct ask_options holistic = ask_options_default(ASK_HOLISTIC);
    struct ask ask = scene;
    struct ask_options options = ask_options_default(ASK_QUESTION);

    refused(engine, made.tokenizer, &ask, &options, "mode question needs questions");
    ask.questions = good;
    ask.n_questions = 1;
    refused(engine, made.tokenizer, &ask, &holistic, "mode holistic asks its own question");
    options.max_tokens = 0;
    refused(engine, made.tokenizer, &ask, &options, "max_tokens is 0");
    options = ask_options_default(ASK_QUESTION);
    options.top_p = 0;
    refused(engine, made.tokenizer, &ask, &options, "top_p is 0");
    options.top_p = 1;
    options.temperature = -1;
    refused(engine, made.tokenizer, &ask, &options, "temperature is -1");
    options = ask_options_default(ASK_QUESTION);
    ask.questions = bad;
    ask.n_questions = 2;
    refused(engine, made.tokenizer, &ask, &options, "question 2 holds the control token");
    ask = scene;
    ask.picture.size /= 2;
    refused(engine, made.tokenizer, &ask, &holistic, ask.id);
    ask = engine_case_ask(&made, 0, true);
    options = ask_options_default(ASK_PER_OBJECT);
    refused(engine, made.tokenizer, &ask, &options, "per_object needs regions");
    options = ask_options_default(ASK_DETECTION);
    refused(engine, made.tokenizer, &scene, &options, "detection finds regions itself");
    ask = engine_case_ask(&made, 1, false);
    struct rle small;
    engine_case_ok(rle_from_box(&small, (struct box){0, 0, 5, 5}, 50, 50));
    ask.masks = &small;
    ask.n_regions = 1;
    refused(engine, made.tokenizer, &ask, &holistic, "the mask of region 1 is 50 x 50");
    rle_release(&small);
    options = ask_options_default(ASK_QUESTION);
    options.max_tokens = 100;
    ask = scene;
    char *much = memory_new(2000, 1);
    memset(much, 'y', 1999);
    const char *const long_questions[] = {much};
    ask.questions = long_questions;
    ask.n_questions = 1;
    refused(engine, made.tokenizer, &ask, &options, "no room for an answer");
    free(much);
    ask.questions = good;
    engine_destroy(engine);
    how.cache_bytes /= 5;
    engine_case_ok(engine_create(&engine, made.model, made.tokenizer, &how));
    refused(engine, made.tokenizer, &ask, &options, "the cache has 2");
    engine_destroy(engine);
    engine_case_release(&made);
}

static void options_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct engine_case made;
    engine_case_init(&made);
    static const struct {
        struct engine_options options;
        const char *sentence;
    } cases[] = {
        {{.batch = 1, .images = 1, .step_rows = 1, .block = 8}, "blocks of 8"},
        {{.batch = 0, .images = 1, .step_rows = 1, .block = 16}, "a batch of 0"},
        {{.batch = 9, .images = 1, .step_rows = 8, .block = 16}, "step_rows is 8"},
        {{.batch = 1, .images = 1, .step_rows = 8, .block = 16, .cache_bytes = 9}, "of 9 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct engine *engine = NULL;
        struct engine_memory memory;
        assert_int_equal(engine_create(&engine, made.model, made.tokenizer, &cases[i].options),
                         ERR_SHAPE);
        assert_non_null(strstr(status_message(), cases[i].sentence));
        assert_int_equal(engine_plan(&memory, model_config_of(made.model), 1, &cases[i].options,
                                     model_kernels(made.model)),
                         ERR_SHAPE);
    }
    struct engine_memory memory;
    struct engine_options options = engine_options_default();
    options.cache_bytes = 1 << 20;
    engine_case_ok(
        engine_plan(&memory, model_config_of(made.model), 1, &options, model_kernels(made.model)));
    char *text = engine_memory_text(&memory);
    assert_string_equal(text, "1.0 MiB of keys and values (512 blocks of 16 tokens), 0.2 MiB of "
                              "activations, 0.1 MiB of logits");
    free(text);
    engine_case_release(&made);
}

/* A request that is dropped, while it waits or works, gives back all that it held. */
static void dropped_requests_leave_nothing(void **state)
{
    (void)state;
    struct engine_case made;
    engine_case_init(&made);
    struct engine_options how = engine_options_default();
    struct ask_options options = ask_options_default(ASK_PER_OBJECT);
    struct engine *engine;
    struct engine_result result;
    options.max_tokens = 30;
    engine_case_ok(engine_create(&engine, made.model, made.tokenizer, &how));
    for (int steps = 0; steps < 12; steps++) {
        for (int64_t i = 0; i < 3; i++) {
            struct ask ask = engine_case_ask(&made, i, false);
            ask.tag = (uint64_t)i;
            engine_case_ok(ask_submit(engine, made.tokenizer, &ask, &options));
        }
        for (int k = 0; k < steps; k++) engine_case_ok(engine_step(engine));
        engine_cancel(engine, 1);
        engine_cancel(engine, 0);
        int n = 0;
        while (!engine_is_idle(engine)) engine_case_ok(engine_step(engine));
        for (; engine_take(engine, &result); n++) {
            assert_int_equal(result.tag, 2);
            engine_result_release(&result);
        }
        assert_int_equal(n, 1);
        assert_int_equal(engine_counts(engine).blocks_in_use, 0);
    }
    engine_destroy(engine);
    engine_case_release(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_become_graphs),
        cmocka_unit_test(what_cannot_be_asked_is_refused),
        cmocka_unit_test(options_that_do_not_fit_are_refused),
        cmocka_unit_test(dropped_requests_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
