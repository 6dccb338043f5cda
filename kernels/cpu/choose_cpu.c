/* Choosing the next token. The kept tokens are those above a logit that is found by halving the
 * range of floats, which needs no memory and no sorting; sums are in double, in order of ids. */
#include "cpu.h"

#include <math.h>
#include <stdbool.h>

#include "blocks.h"
#include "vector.h"

struct choose {
    int32_t *token;
    float *log_probability, *margin;
    const float *logits;
    const struct token_choice *choice;
    int64_t v;
};

/* A row with what is asked of it. */
struct row {
    const float *logits;
    const uint32_t *allowed;
    int64_t v;
    float max, temperature; /* the largest allowed logit */
};

static bool is_allowed(const struct row *row, int64_t v)
{
    return row->allowed == NULL || (row->allowed[v / 32] >> (v % 32) & 1) != 0;
}

/* exp((logit - max) / temperature) of VECTOR_LANES tokens from `at` on; 0 where not allowed, or not
 * above `floor`. */
VECTOR_INLINE void shares(float *p, const struct row *row, int64_t at, float floor)
{
    const int64_t n = vector_part(row->v - at);
    const vector_f32 logit = vector_load_partial(row->logits + at, n, -INFINITY);
    vector_store(p, vector_exp((logit - row->max) / row->temperature));
    for (int64_t k = 0; k < n; k++)
        if (!(row->logits[at + k] > floor) || !is_allowed(row, at + k)) p[k] = 0.0f;
}

static double sum_above(const struct row *row, float floor)
{
    double sum = 0;
    float p[VECTOR_LANES];
    for (int64_t at = 0; at < row->v; at += VECTOR_LANES) {
        shares(p, row, at, floor);
        for (int k = 0; k < VECTOR_LANES; k++) sum += (double)p[k];
    }
    return sum;
}

/* Floats in the order of their values, as integers, and back. */
static int64_t order_of(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits >= 0 ? bits : (int64_t)INT32_MIN - bits;
}

static float float_at(int64_t order)
{
    const int32_t bits = (int32_t)(order >= 0 ? order : (int64_t)INT32_MIN - order);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The lowest float above which the tokens have less than `share`. */
static float find_floor(const struct row *row, double share)
{
    int64_t low = order_of(-INFINITY), high = order_of(row->max); /* above max there is nothing */
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (sum_above(row, float_at(middle)) < share)
            high = middle;
        else
            low = middle + 1;
    }
    return float_at(low);
}

static int64_t draw(const struct row *row, double top_p, double uniform)
{
    const double total = sum_above(row, -INFINITY);
    float floor = -INFINITY;
    double above = total, each = 0;
    int64_t n_equal = 0; /* tokens of exactly the floor that are kept */
    if (top_p < 1) {
        floor = find_floor(row, top_p * total);
        above = sum_above(row, floor);
        float p[VECTOR_LANES];
        vector_store(p, vector_exp((vector_set(floor) - row->max) / row->temperature));
        each = (double)p[0];
        for (int64_t v = 0; v < row->v && above + (double)n_equal * each < top_p * total; v++)
            n_equal += row->logits[v] == floor && is_allowed(row, v);
    }
    const double wanted = uniform * (above + (double)n_equal * each);
    double sum = 0;
    int64_t last = -1;
    float p[VECTOR_LANES];
    for (int64_t at = 0; at < row->v; at += VECTOR_LANES) {
        shares(p, row, at, floor);
        for (int64_t k = 0; k < vector_part(row->v - at); k++) {
            const bool equal =
                top_p < 1 && n_equal > 0 && row->logits[at + k] == floor && is_allowed(row, at + k);
            if (equal) n_equal--;
            if (!equal && p[k] == 0.0f) continue;
            sum += equal ? each : (double)p[k];
            last = at + k;
            if (sum > wanted) return last;
        }
    }
    return last;
}

/* The largest logit, the next one, and the sum of exp(logit - largest), of all tokens. */
static void survey(const float *logits, int64_t v, float *first_out, float *second_out,
                   double *sum_out)
{
    float first = -INFINITY, second = -INFINITY;
    for (int64_t k = 0; k < v; k++) {
        if (logits[k] > first) {
            second = first;
            first = logits[k];
        } else if (logits[k] > second) {
            second = logits[k];
        }
    }
    *sum_out = 0;
    for (int64_t k = 0; k < v; k += VECTOR_LANES) {
        const vector_f32 logit = vector_load_partial(logits + k, vector_part(v - k), -INFINITY);
        *sum_out += (double)vector_sum(vector_exp(logit - first));
    }
    *first_out = first;
    *second_out = second;
}

static void choose_row(void *argument, int64_t n, int worker)
{
    (void)worker;
    const struct choose *c = argument;
    struct row row = {.logits = c->logits + n * c->v,
                      .allowed = c->choice->allowed[n],
                      .v = c->v,
                      .max = -INFINITY,
                      .temperature = c->choice->temperature[n]};
    float first, second;
    double sum;
    int64_t best = -1;
    survey(row.logits, c->v, &first, &second, &sum);
    for (int64_t v = 0; v < c->v; v++) {
        if (!(row.logits[v] > row.max) || !is_allowed(&row, v)) continue;
        best = v;
        row.max = row.logits[v];
    }
    if (best >= 0 && !isfinite(row.max)) best = -1;
    if (best >= 0 && row.temperature > 0)
        best = draw(&row, (double)c->choice->top_p[n], (double)c->choice->uniform[n]);
    c->token[n] = (int32_t)best;
    c->margin[n] = first - second;
    c->log_probability[n] =
        best < 0 ? 0.0f : (float)((double)row.logits[best] - (double)first - log(sum));
}

enum status cpu_choose_tokens(int32_t *token, float *log_probability, float *margin,
                              const void *logits, const struct token_choice *choice, int64_t n,
                              int64_t v, struct stream *stream)
{
    struct choose c = {token, log_probability, margin, logits, choice, v};
    thread_pool_run(pool_for(stream, n * v), n, choose_row, &c);
    return OK;
}
