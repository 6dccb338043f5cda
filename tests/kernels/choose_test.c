/* Choosing tokens: against ref, and frequencies against the probabilities they must have. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "device/stream.h"
#include "support/kernel_test.h"

enum { N = 40, V = 333 };

static void choose(const struct kernels *k, int32_t *token, const float *logits,
                   const struct token_choice *choice, int64_t n, int64_t v)
{
    struct stream *stream;
    float log_probability[4096], margin[4096];
    assert_true(n <= 4096);
    kernel_ok(stream_create(&stream, 2));
    kernel_ok(k->choose_tokens(token, log_probability, margin, logits, choice, n, v, stream));
    stream_destroy(stream);
}

/* Rows of every kind: greedy, hot, cold, with top-p, with few allowed, with equal logits. */
static void equals_ref(void **state)
{
    (void)state;
    float *logits = kernel_random("logits", N * V, -9, 9);
    float *uniform = kernel_random("uniform", N, 0, 1);
    uint32_t masks[N][(V + 31) / 32];
    const uint32_t *allowed[N];
    float temperature[N], top_p[N], log_p[2][N], margin[2][N];
    int32_t token[2][N];
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
    const struct kernels *const tables[] = {&kernels_ref, &kernels_cpu};
    for (int k = 0; k < 2; k++) {
        struct stream *stream;
        kernel_ok(stream_create(&stream, 1 + k));
        kernel_ok(
            tables[k]->choose_tokens(token[k], log_p[k], margin[k], logits, &choice, N, V, stream));
        stream_destroy(stream);
    }
    for (int64_t n = 0; n < N; n++) {
        assert_int_equal(token[0][n], token[1][n]);
        assert_true(token[0][n] >= 0);
        if (allowed[n] != NULL)
            assert_int_equal(masks[n][token[0][n] / 32] >> (token[0][n] % 32) & 1, 1);
        assert_true(fabs((double)log_p[0][n] - (double)log_p[1][n]) < 1e-5);
        assert_true(margin[0][n] == margin[1][n]);
    }
    free(uniform);
    free(logits);
}

/* 4000 evenly spread draws of six tokens: each comes as often as its share says, to one draw. */
static void draws_follow_the_probabilities(void **state)
{
    (void)state;
    enum { DRAWS = 4000, WORDS = 6 };
    static const float row[WORDS] = {1, 3, 2, 3, -1, 0};
    static float logits[DRAWS * WORDS], temperature[DRAWS], top_p[DRAWS], uniform[DRAWS];
    static const uint32_t *allowed[DRAWS];
    static int32_t token[DRAWS];
    /* of 0.8 in all: tokens 1 and 3 (0.36 each) and 2 (0.17), which crosses it */
    static const bool kept[2][WORDS] = {{1, 1, 1, 1, 1, 1}, {0, 1, 1, 1, 0, 0}};
    for (int mode = 0; mode < 2; mode++) {
        for (int64_t n = 0; n < DRAWS; n++) {
            for (int64_t v = 0; v < WORDS; v++) logits[n * WORDS + v] = row[v];
            temperature[n] = 1.25f;
            top_p[n] = mode == 0 ? 1.0f : 0.8f;
            uniform[n] = ((float)n + 0.5f) / DRAWS;
        }
        const struct token_choice choice = {allowed, temperature, top_p, uniform};
        choose(&kernels_cpu, token, logits, &choice, DRAWS, WORDS);
        double total = 0, count[WORDS] = {0};
        for (int v = 0; v < WORDS; v++) total += kept[mode][v] ? exp((double)row[v] / 1.25) : 0;
        for (int64_t n = 0; n < DRAWS; n++) count[token[n]]++;
        for (int v = 0; v < WORDS; v++) {
            const double want = kept[mode][v] ? exp((double)row[v] / 1.25) / total * DRAWS : 0;
            assert_true(fabs(count[v] - want) <= 1.001);
        }
    }
}

static void impossible_choices_give_no_token(void **state)
{
    (void)state;
    static const float logits[] = {1, 2, 3, NAN, 2, INFINITY, NAN, NAN, NAN};
    static const uint32_t none[] = {0}, last[] = {4};
    const uint32_t *allowed[] = {none, last, NULL};
    static const float zero[3] = {0}, one[3] = {1, 1, 1};
    const struct token_choice choice = {allowed, zero, one, zero};
    const struct kernels *const tables[] = {&kernels_ref, &kernels_cpu};
    for (int k = 0; k < 2; k++) {
        int32_t token[3];
        choose(tables[k], token, logits, &choice, 3, 3);
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
