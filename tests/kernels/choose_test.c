/* Choosing tokens: against ref, and frequencies against the probabilities they must have. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "support/kernel_test.h"
#include "support/table_run.h"

enum { N = 40, V = 333 };

/* On the table's device; log_probability and margin may be NULL. */
static void choose(const char *table, int32_t *token, float *log_probability, float *margin,
                   const float *logits, const struct token_choice *choice, int64_t n, int64_t v)
{
    struct table_run run;
    const size_t words = (size_t)(v + 31) / 32 * sizeof(uint32_t);
    const size_t floats = (size_t)n * sizeof(float);
    assert_true(table_run_init(&run, table, 2));
    const uint32_t **allowed = calloc((size_t)n, sizeof *allowed);
    for (int64_t i = 0; i < n; i++)
        if (choice->allowed[i] != NULL) allowed[i] = table_send(&run, choice->allowed[i], words);
    const struct token_choice on = {.allowed =
                                        table_send(&run, allowed, (size_t)n * sizeof *allowed),
                                    .temperature = table_send(&run, choice->temperature, floats),
                                    .top_p = table_send(&run, choice->top_p, floats),
                                    .uniform = table_send(&run, choice->uniform, floats)};
    const void *on_logits = table_send_tensor(&run, logits, n * v);
    int32_t *tokens = table_take(&run, floats);
    float *logs = table_take(&run, floats), *margins = table_take(&run, floats);
    kernel_ok(run.kernels->choose_tokens(tokens, logs, margins, on_logits, &on, n, v, run.stream));
    table_read(&run, token, tokens, floats);
    if (log_probability != NULL) table_read(&run, log_probability, logs, floats);
    if (margin != NULL) table_read(&run, margin, margins, floats);
    free(allowed);
    table_run_release(&run);
}

static const char *const tables[] = {"ref", "cpu", "cuda"};
enum { N_TABLES = sizeof tables / sizeof tables[0] };

/* Rows of every kind: greedy, hot, cold, with top-p, with few allowed, with equal logits. */
static void equals_ref(void **state)
{
    (void)state;
    float *logits = kernel_random("logits", N * V, -9, 9);
    float *uniform = kernel_random("uniform", N, 0, 1);
    uint32_t masks[N][(V + 31) / 32];
    const uint32_t *allowed[N];
    float temperature[N], top_p[N], log_p[N_TABLES][N], margin[N_TABLES][N];
    int32_t token[N_TABLES][N];
    for (int64_t n = 0; n < N; n++) {
        static const float temperatures[] = {0, 0.2f, 1, 3}, tops[] = {1, 0.95f, 0.5f, 0.01f};
        temperature[n] = temperatures[n % 4];
        top_p[n] = tops[n / 4 % 4];
        allowed[n] = n % 3 == 1 ? masks[n] : NULL;
        for (int64_t w = 0; w < (V + 31) / 32; w++)
            masks[n][w] = (uint32_t)hash_mix64((uint64_t)(n * 64 + w)) & 0x11111111u;
        if (n % 5 == 0)
            for (int64_t v = 0; v < V; v++) logits[n * V + v] = roundf(logits[n * V + v] / 4);
    }
    const struct token_choice choice = {allowed, temperature, top_p, uniform};
    for (int k = 0; k < N_TABLES; k++) {
        if (kernels_find(tables[k]) == NULL) continue;
        choose(tables[k], token[k], log_p[k], margin[k], logits, &choice, N, V);
        for (int64_t n = 0; n < N; n++) {
            assert_int_equal(token[0][n], token[k][n]);
            assert_true(token[0][n] >= 0);
            if (allowed[n] != NULL)
                assert_int_equal(masks[n][token[0][n] / 32] >> (token[0][n] % 32) & 1, 1);
            assert_true(fabs((double)log_p[0][n] - (double)log_p[k][n]) < 1e-5);
            assert_true(margin[0][n] == margin[k][n]);
        }
        print_message("%d rows on %s: ref's tokens\n", N, tables[k]);
    }
    free(uniform);
    free(logits);
}

/* Evenly spread draws of six tokens: each comes as often as its share says, to one draw. */
static void draws_on(const char *table, int64_t n_draws)
{
    enum { DRAWS = 4000, WORDS = 6 };
    static const float row[WORDS] = {1, 3, 2, 3, -1, 0};
    static float logits[DRAWS * WORDS], temperature[DRAWS], top_p[DRAWS], uniform[DRAWS];
    static const uint32_t *allowed[DRAWS];
    static int32_t token[DRAWS];
    /* of 0.8 in all: tokens 1 and 3 (0.36 each) and 2 (0.17), which crosses it */
    static const bool kept[2][WORDS] = {{1, 1, 1, 1, 1, 1}, {0, 1, 1, 1, 0, 0}};
    for (int mode = 0; mode < 2; mode++) {
        for (int64_t n = 0; n < n_draws; n++) {
            for (int64_t v = 0; v < WORDS; v++) logits[n * WORDS + v] = row[v];
            temperature[n] = 1.25f;
            top_p[n] = mode == 0 ? 1.0f : 0.8f;
            uniform[n] = ((float)n + 0.5f) / (float)n_draws;
        }
        const struct token_choice choice = {allowed, temperature, top_p, uniform};
        choose(table, token, NULL, NULL, logits, &choice, n_draws, WORDS);
        double total = 0, count[WORDS] = {0};
        for (int v = 0; v < WORDS; v++) total += kept[mode][v] ? exp((double)row[v] / 1.25) : 0;
        for (int64_t n = 0; n < n_draws; n++) count[token[n]]++;
        for (int v = 0; v < WORDS; v++) {
            const double want =
                kept[mode][v] ? exp((double)row[v] / 1.25) / total * (double)n_draws : 0;
            assert_true(fabs(count[v] - want) <= 1.001);
        }
    }
}

static void draws_follow_the_probabilities(void **state)
{
    (void)state;
    draws_on("cpu", 4000);
    if (kernels_find("cuda") != NULL) draws_on("cuda", 150);
}

static void impossible_choices_give_no_token(void **state)
{
    (void)state;
    static const float logits[] = {1, 2, 3, NAN, 2, INFINITY, NAN, NAN, NAN};
    static const uint32_t none[] = {0}, last[] = {4};
    const uint32_t *allowed[] = {none, last, NULL};
    static const float zero[3] = {0}, one[3] = {1, 1, 1};
    const struct token_choice choice = {allowed, zero, one, zero};
    for (int k = 0; k < N_TABLES; k++) {
        int32_t token[3];
        if (kernels_find(tables[k]) == NULL) continue;
        choose(tables[k], token, NULL, NULL, logits, &choice, 3, 3);
        for (int n = 0; n < 3; n++) assert_int_equal(token[n], -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_ref),
        cmocka_unit_test(draws_follow_the_probabilities),
        cmocka_unit_test(impossible_choices_give_no_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
