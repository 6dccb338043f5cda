/* Choosing the next token, as the definition reads: by sorting. */
#include "ref.h"

#include <math.h>
#include <stdlib.h>

struct candidate {
    double logit, p;
    int64_t id;
    int kept;
};

static int by_logit(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit < y->logit ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int by_id(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* The draw from c [n], which are sorted by logit; all in terms of p ~ exp(logit / temperature). */
static int64_t draw(struct candidate *c, int64_t n, double temperature, double top_p,
                    double uniform)
{
    double total = 0, before = 0, kept = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        c[i].p = exp((c[i].logit - c[0].logit) / temperature);
        total += c[i].p;
    }
    for (int64_t i = 0; i < n; i++) {
        c[i].kept = before < top_p * total;
        before += c[i].p;
        if (c[i].kept) kept += c[i].p;
    }
    qsort(c, (size_t)n, sizeof *c, by_id);
    int64_t last = -1;
    for (int64_t i = 0; i < n; i++) {
        if (!c[i].kept) continue;
        sum += c[i].p;
        last = c[i].id;
        if (sum > uniform * kept) break;
    }
    return last;
}

static int is_allowed(const uint32_t *allowed, int64_t v)
{
    return allowed == NULL || (allowed[v / 32] >> (v % 32) & 1) != 0;
}

enum status ref_choose_tokens(int32_t *token, float *log_probability, float *margin,
                              const void *logits, const struct token_choice *choice, int64_t n,
                              int64_t v, struct stream *stream)
{
    enum status status = OK;
    (void)stream;
    struct candidate *c = calloc((size_t)v + 1, sizeof *c);
    if (c == NULL) FAIL(ERR_MEMORY, "no memory for %lld tokens to choose from", (long long)v);
    for (int64_t row = 0; row < n; row++) {
        const float *l = (const float *)logits + row * v;
        double first = -INFINITY, second = -INFINITY, sum = 0;
        int64_t count = 0;
        for (int64_t k = 0; k < v; k++) {
            second = fmax(second, fmin(first, (double)l[k]));
            first = fmax(first, (double)l[k]);
            if (is_allowed(choice->allowed[row], k))
                c[count++] = (struct candidate){.logit = (double)l[k], .id = k};
        }
        for (int64_t k = 0; k < v; k++) sum += exp((double)l[k] - first);
        qsort(c, (size_t)count, sizeof *c, by_logit);
        token[row] = -1;
        margin[row] = (float)(first - second);
        log_probability[row] = 0;
        if (count == 0 || !isfinite(c[0].logit)) continue;
        token[row] = (int32_t)c[0].id;
        if (choice->temperature[row] > 0)
            token[row] = (int32_t)draw(c, count, (double)choice->temperature[row],
                                       (double)choice->top_p[row], (double)choice->uniform[row]);
        log_probability[row] = (float)((double)l[token[row]] - first - log(sum));
    }
out:
    free(c);
    return status;
}
