/* Grammars: which texts are in the language, that readers take what is in it whole, that forced
 * text is cut as the tokenizer cuts it, and that any model's answer is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "base/text_buffer.h"
#include "generate/grammar.h"
#include "support/engine_case.h"
#include "text/box_text.h"
#include "text/scene_graph.h"

enum { VOCAB = 576 };

static struct tokenizer *tokenizer;

static int set_up(void **state)
{
    (void)state;
    engine_case_ok(tokenizer_open(&tokenizer, "datasets/tokenizer-scenes"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tokenizer_close(tokenizer);
    return 0;
}

static bool is_allowed(const uint32_t *bits, int32_t token)
{
    return (bits[token / 32] >> (token % 32) & 1) != 0;
}

/* Whether the text, cut as the tokenizer cuts it, is a whole answer. At each token the bits of what
 * may come must say what advancing says. */
static bool accepts(struct grammar *grammar, int64_t n_regions, int64_t subject, const char *text)
{
    struct grammar_state state = grammar_start(grammar, n_regions, subject);
    struct token_list ids = {0};
    bool good = true;
    engine_case_ok(tokenizer_encode(tokenizer, text, strlen(text), &ids));
    for (int64_t i = 0; good && i < ids.n; i++) {
        const bool listed = is_allowed(grammar_allowed(grammar, &state, VOCAB), ids.ids[i]);
        good = grammar_advance(grammar, &state, ids.ids[i]);
        assert_int_equal(listed, good);
    }
    const int32_t end = tokenizer_id(tokenizer, "<|im_end|>");
    if (good) good = is_allowed(grammar_allowed(grammar, &state, VOCAB), end);
    token_list_release(&ids);
    return good;
}

struct text_case {
    enum answer_format format;
    bool whole;
    const char *text;
};

#define OBJECTS "Objects:\nregion1: red circle\nregion2: man is tall, in blue\nregion3: x\n"
#define BOX     "<|box_start|>(1,20),(300,1000)<|box_end|>"
#define CATS    "Objects:\nregion1: cat " BOX "\nregion11: cat " BOX

static const struct text_case cases[] = {
    {ANSWER_GRAPH, true, OBJECTS},
    {ANSWER_GRAPH, true, OBJECTS "\nRelations:\n"},
    {ANSWER_GRAPH, true, OBJECTS "\nRelations:\nregion1: region2 on, region3 left of\n"},
    {ANSWER_GRAPH, true, OBJECTS "\nRelations:\nregion2: region1 walking, slowly, region3 on\n"},
    {ANSWER_GRAPH, true,
     OBJECTS "\nRelations:\nregion2: region1 in, regional\nregion3: region1 a\n"},
    {ANSWER_GRAPH, true, OBJECTS "\nRelations:\nregion2: region1 in, region of, re, x y\n"},
    {ANSWER_GRAPH, true, "Objects:\nregion3: caf\u00e9 \u6c34\n"},
    {ANSWER_GRAPH, false, ""},
    {ANSWER_GRAPH, false, "Objects:\n"},
    {ANSWER_GRAPH, false, "objects:\nregion1: a\n"},
    {ANSWER_GRAPH, false, "Objects:\nregion1: a"},
    {ANSWER_GRAPH, false, "Objects:\nregion1:  a\n"},
    {ANSWER_GRAPH, false, "Objects:\nregion1: \n"},
    {ANSWER_GRAPH, false, "Objects:\nregion1: a \n"},
    {ANSWER_GRAPH, false, "Objects:\nregion01: a\n"},
    {ANSWER_GRAPH, false, "Objects:\nregion4: a\n"},
    {ANSWER_GRAPH, false, "Objects:\nregion1: a\nregion1: b\n"},
    {ANSWER_GRAPH, false, "Objects:\nregion1: a: b\n"},
    {ANSWER_GRAPH, false, "Objects:\nregion1: a <b>\n"},
    {ANSWER_GRAPH, false, "Objects:\nregion1: a\n\nRelations:\nregion1: region2 on\n"},
    {ANSWER_GRAPH, false, OBJECTS "\nRelations:\nregion1: region2\n"},
    {ANSWER_GRAPH, false, OBJECTS "\nRelations:\nregion1: region2 on,\n"},
    {ANSWER_GRAPH, false, OBJECTS "\nRelations:\nregion1: region2 on, region3\n"},
    {ANSWER_GRAPH, false, OBJECTS "\nRelations:\nregion1: region2 on, xregion3 on\n"},
    {ANSWER_GRAPH, false, OBJECTS "\nRelations:\nregion1: region2 on, reregion3 on\n"},
    {ANSWER_GRAPH, false, OBJECTS "\nRelations:\nregion1: region4 on\n"},
    {ANSWER_GRAPH, false, OBJECTS "Relations:\n"},
    {ANSWER_GRAPH, false, OBJECTS "\nRelations:\nregion1: on\n"},
    {ANSWER_DETECTION, true, "Objects:\nregion1: cat in red " BOX "\nregion12: dog " BOX "\n"},
    {ANSWER_GRAPH, false, OBJECTS "\nRelations:\nregion1: region1 on\n"},
    {ANSWER_GRAPH, false, OBJECTS "\nRelations:\nregion1: region2 on, region1 near\n"},
    {ANSWER_GRAPH, true, OBJECTS "\nRelations:\nregion1: region2 on\nregion2: region1 under\n"},
    {ANSWER_GRAPH, false, OBJECTS "\nRelations:\nregion1: region2 on\nregion2: region2 under\n"},
    {ANSWER_GRAPH, true, "Objects:\nregion1: a\n\nRelations:\n"},
    {ANSWER_GRAPH, false, "Objects:\nregion1: a\n\nRelations:\nregion1: region1 on\n"},
    {ANSWER_DETECTION, true, CATS "\n\nRelations:\nregion1: region11 is\n"},
    {ANSWER_DETECTION, true, CATS "\n\nRelations:\nregion11: region1 is\n"},
    {ANSWER_DETECTION, false, CATS "\n\nRelations:\nregion11: region11 is\n"},
    {ANSWER_DETECTION, false,
     "Objects:\nregion1: cat " BOX "\n\nRelations:\nregion1: region1 is\n"},
    {ANSWER_DETECTION, false, "Objects:\nregion1: cat\n"},
    {ANSWER_DETECTION, false, "Objects:\nregion1: cat" BOX "\n"},
    {ANSWER_DETECTION, false, "Objects:\nregion1: cat " BOX BOX "\n"},
    {ANSWER_DETECTION, false, "Objects:\nregion1: cat <|box_start|>(1,2),(3,1001)<|box_end|>\n"},
    {ANSWER_RELATIONS, true, ""},
    {ANSWER_RELATIONS, true, "region2 on"},
    {ANSWER_RELATIONS, true, "region2 on, region1 walking, slowly, region3 near to"},
    {ANSWER_RELATIONS, false, "region2"},
    {ANSWER_RELATIONS, false, "region2 on, "},
    {ANSWER_RELATIONS, false, "region2 on\n"},
    {ANSWER_RELATIONS, false, "region9 on"},
    {ANSWER_RELATIONS, false, "on region2"},
    {ANSWER_BOXES, true, BOX},
    {ANSWER_BOXES, true, BOX BOX},
    {ANSWER_BOXES, true, "<|box_start|>(0,0),(0,0)<|box_end|>"},
    {ANSWER_BOXES, false, ""},
    {ANSWER_BOXES, false, "<|box_start|>(01,0),(0,0)<|box_end|>"},
    {ANSWER_BOXES, false, "<|box_start|>(1,),(0,0)<|box_end|>"},
    {ANSWER_BOXES, false, "<|box_start|>(1,2),(3,4)"},
    {ANSWER_BOXES, false, "(1,2),(3,4)"},
    {ANSWER_YES_NO, true, "yes"},
    {ANSWER_YES_NO, true, "No."},
    {ANSWER_YES_NO, false, "yes no"},
    {ANSWER_YES_NO, false, "ye"},
    {ANSWER_YES_NO, false, ""},
};

static void the_language_is_what_it_should_be(void **state)
{
    (void)state;
    struct grammar *grammars[ANSWER_YES_NO + 1] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct grammar **g = &grammars[cases[i].format];
        const int64_t n = cases[i].format == ANSWER_DETECTION ? 99 : 3;
        if (*g == NULL) engine_case_ok(grammar_create(g, cases[i].format, tokenizer));
        if (accepts(*g, n, 0, cases[i].text) != cases[i].whole)
            fail_msg("case %zu is %s: %s", i, cases[i].whole ? "refused" : "accepted",
                     cases[i].text);
    }
    for (int i = 0; i <= ANSWER_YES_NO; i++) grammar_destroy(grammars[i]);
}

/* Whose edges are asked for stands in the question; unknown (0), any region may be a target. */
static void edges_never_lead_back(void **state)
{
    (void)state;
    static const struct {
        int64_t n_regions, subject;
        bool whole;
        const char *text;
    } lists[] = {
        {3, 2, true, "region1 on"},
        {3, 2, true, "region1 on, region3 near"},
        {3, 2, true, "region1 on, region of"},
        {3, 2, false, "region2 on"},
        {3, 2, false, "region1 on, region2 near"},
        {3, 0, true, "region1 on, region2 near"},
        {12, 1, true, "region12 on, region11 near"},
        {12, 1, false, "region1 on"},
        {12, 12, true, "region1 on"},
        {12, 12, false, "region1 on, region12 near"},
        {1, 1, true, ""},
        {1, 1, false, "region1 on"},
    };
    struct grammar *grammar;
    engine_case_ok(grammar_create(&grammar, ANSWER_RELATIONS, tokenizer));
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (accepts(grammar, lists[i].n_regions, lists[i].subject, lists[i].text) != lists[i].whole)
            fail_msg("list %zu is %s: %s", i, lists[i].whole ? "refused" : "accepted",
                     lists[i].text);
    grammar_destroy(grammar);
}

/* ---- every walk through the automaton is read whole ---- */

static bool reads_whole_graph(const char *text, int64_t n_regions, bool detection)
{
    struct scene_graph_reading reading;
    engine_case_ok(scene_graph_parse(&reading, text, strlen(text), false));
    bool good = reading.found && reading.n_dropped == 0 && reading.graph.n_objects > 0;
    for (int64_t i = 0; i < reading.graph.n_objects; i++) {
        good = good && reading.graph.objects[i].name[0] != '\0';
        good = good && reading.numbers[i] >= 1 && reading.numbers[i] <= n_regions;
    }
    for (int64_t i = 0; i < reading.graph.n_relations; i++)
        good = good && reading.graph.relations[i].subject != reading.graph.relations[i].object;
    struct box *boxes = NULL;
    int64_t n = 0;
    box_text_find(&boxes, &n, text, strlen(text));
    if (detection) good = good && n == reading.graph.n_objects;
    free(boxes);
    scene_graph_reading_release(&reading);
    return good;
}

static bool reads_whole_relations(const char *text, int64_t n_regions)
{
    struct text_buffer whole = {0};
    text_append(&whole, "Objects:\n");
    for (int i = 1; i <= (int)n_regions; i++) text_printf(&whole, "region%d: x\n", i);
    text_printf(&whole, "\nRelations:\nregion1: %s\n", text);
    const bool good = reads_whole_graph(text_of(&whole), n_regions, false);
    text_release(&whole);
    return good;
}

/* Tokens that structure is made of. */
static bool is_mark(int32_t token)
{
    size_t size;
    const char *bytes = tokenizer_bytes(tokenizer, token, &size);
    return bytes == NULL || (size == 1 && strchr("\n,: 123456789", bytes[0]) != NULL) ||
           (size >= 6 && memcmp(bytes + size - 6, "region", 6) == 0);
}

/* A random answer: every token drawn from those that may come, the end with a chance of one in
 * three where it may; forced text is skipped where `skips`. NULL if it does not end in time. */
static char *random_answer(struct grammar *grammar, int64_t n_regions, uint64_t number, bool skips)
{
    const struct random_stream draws = random_substream(random_stream(9, "answers"), number);
    const int32_t end = tokenizer_id(tokenizer, "<|im_end|>");
    struct grammar_state state = grammar_start(grammar, n_regions, 1);
    struct token_list ids = {0};
    struct text_buffer text = {0};
    bool ended = false;
    for (uint64_t at = 0; at < 2000 && !ended; at += 2) {
        if (skips) engine_case_ok(grammar_skip_forced(grammar, &state, &ids));
        const uint32_t *bits = grammar_allowed(grammar, &state, VOCAB);
        int32_t allowed[VOCAB];
        uint64_t n = 0;
        const bool marks = random_below(draws, at + 2001, 2) == 0; /* else texts would never end */
        for (int pass = 0; pass < 2 && n == 0; pass++)
            for (int32_t v = 0; v < VOCAB; v++)
                if (v != end && is_allowed(bits, v) && (pass == 1 || !marks || is_mark(v)))
                    allowed[n++] = v;
        ended = is_allowed(bits, end) && (n == 0 || random_below(draws, at, 3) == 0);
        assert_true(n > 0 || ended); /* never without a way on */
        if (ended) break;
        const int32_t token = allowed[random_below(draws, at + 1, n)];
        assert_true(grammar_advance(grammar, &state, token));
        token_list_append(&ids, token);
    }
    tokenizer_decode(tokenizer, ids.ids, ids.n, false, &text);
    token_list_release(&ids);
    if (!ended) text_release(&text);
    return ended ? text_take(&text) : NULL;
}

static void every_answer_is_read_whole(void **state)
{
    (void)state;
    static const struct {
        enum answer_format format;
        int64_t n_regions;
    } kinds[] = {{ANSWER_GRAPH, 1},      {ANSWER_GRAPH, 7},      {ANSWER_GRAPH, 23},
                 {ANSWER_DETECTION, 99}, {ANSWER_RELATIONS, 12}, {ANSWER_BOXES, 1}};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        struct grammar *grammar;
        int n_ended = 0;
        engine_case_ok(grammar_create(&grammar, kinds[k].format, tokenizer));
        for (uint64_t i = 0; i < 120; i++) {
            char *text = random_answer(grammar, kinds[k].n_regions, 1000 * k + i, i % 2 == 1);
            if (text == NULL) continue;
            bool good;
            if (kinds[k].format == ANSWER_RELATIONS) {
                good = reads_whole_relations(text, kinds[k].n_regions);
            } else if (kinds[k].format == ANSWER_BOXES) {
                struct box *boxes = NULL;
                int64_t n = 0;
                box_text_find(&boxes, &n, text, strlen(text));
                good = n >= 1;
                free(boxes);
            } else {
                good = reads_whole_graph(text, kinds[k].n_regions,
                                         kinds[k].format == ANSWER_DETECTION);
            }
            if (!good) fail_msg("kind %zu, answer %d is not read whole: %s", k, (int)i, text);
            n_ended++;
            free(text);
        }
        assert_true(n_ended > 50);
        grammar_destroy(grammar);
    }
}

/* Where forced text is skipped, a graph as it is written for training comes out with the very
 * tokens that the tokenizer makes of the whole text. */
static void forced_text_is_cut_as_the_tokenizer_cuts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        OBJECTS "\nRelations:\nregion1: region2 on, region3 left of\nregion3: region1 near\n",
        "Objects:\nregion1: circle\n"};
    struct grammar *grammar;
    engine_case_ok(grammar_create(&grammar, ANSWER_GRAPH, tokenizer));
    for (size_t i = 0; i < 2; i++) {
        struct grammar_state at = grammar_start(grammar, i == 0 ? 3 : 1, 0);
        struct token_list want = {0}, got = {0};
        int64_t n_forced = 0;
        engine_case_ok(tokenizer_encode(tokenizer, texts[i], strlen(texts[i]), &want));
        while (got.n < want.n) {
            const int64_t before = got.n;
            engine_case_ok(grammar_skip_forced(grammar, &at, &got));
            n_forced += got.n - before;
            if (got.n >= want.n) break;
            assert_true(grammar_advance(grammar, &at, want.ids[got.n]));
            token_list_append(&got, want.ids[got.n]);
        }
        assert_int_equal(got.n, want.n);
        assert_memory_equal(got.ids, want.ids, (size_t)want.n * sizeof *want.ids);
        assert_true(n_forced > 4);
        token_list_release(&want);
        token_list_release(&got);
    }
    grammar_destroy(grammar);
}

/* A model of drawn weights writes nonsense; constrained, all of it can be read. */
static void any_model_can_be_held_to_it(void **state)
{
    (void)state;
    struct engine_case made;
    engine_case_init(&made);
    static const enum ask_mode modes[] = {ASK_HOLISTIC, ASK_DETECTION, ASK_REFEXP, ASK_YES_NO};
    static const char *const questions[] = {"the red circle"};
    int n_whole = 0;
    for (size_t m = 0; m < 4; m++) {
        for (int skip = 0; skip < 2; skip++) {
            struct ask asks[ENGINE_CASE_SCENES];
            struct ask_options options[ENGINE_CASE_SCENES];
            struct engine_result results[ENGINE_CASE_SCENES];
            struct engine_options how = engine_options_default();
            struct engine *engine;
            how.skip_forced = skip != 0;
            for (int64_t i = 0; i < ENGINE_CASE_SCENES; i++) {
                asks[i] = engine_case_ask(&made, i, modes[m] == ASK_DETECTION);
                asks[i].questions = m >= 2 ? questions : NULL;
                asks[i].n_questions = m >= 2 ? 1 : 0;
                options[i] = ask_options_default(modes[m]);
                options[i].max_tokens = 400;
                options[i].temperature = 1;
                options[i].constrained = true;
            }
            engine_case_ok(engine_create(&engine, made.model, made.tokenizer, &how));
            engine_case_run(engine, made.tokenizer, asks, options, ENGINE_CASE_SCENES, results);
            for (int64_t i = 0; i < ENGINE_CASE_SCENES; i++) {
                const struct engine_answer *answer = &results[i].branches[0].answers[0];
                n_whole += !answer->truncated;
                if (!answer->truncated && m < 2)
                    assert_true(
                        reads_whole_graph(answer->text, m == 1 ? 127 : asks[i].n_regions, m == 1));
                if (m == 3) assert_true(answer->yes > 0 && answer->yes < 1);
                if (m == 3) assert_false(answer->truncated);
                engine_result_release(&results[i]);
            }
            engine_destroy(engine);
        }
    }
    print_message("%d whole answers of %d\n", n_whole, 4 * 2 * ENGINE_CASE_SCENES);
    assert_true(n_whole >= 10);
    engine_case_release(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_language_is_what_it_should_be),
        cmocka_unit_test(edges_never_lead_back),
        cmocka_unit_test(every_answer_is_read_whole),
        cmocka_unit_test(forced_text_is_cut_as_the_tokenizer_cuts),
        cmocka_unit_test(any_model_can_be_held_to_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
