/* Counting targets. */
#include "train/unigram.h"

#include <math.h>
#include <stdlib.h>

#include "base/text_buffer.h"

void unigram_init(struct unigram *unigram, int64_t vocab)
{
    unigram->vocab = vocab;
    unigram->counts = memory_new((size_t)vocab, sizeof *unigram->counts);
}

void unigram_release(struct unigram *unigram)
{
    free(unigram->counts);
    *unigram = (struct unigram){0};
}

void unigram_add(struct unigram *unigram, const struct model_batch *batch)
{
    for (int64_t t = 0; t < batch->n_targets; t++) unigram->counts[batch->target[t]]++;
}

/* H = - sum_v p_v log p_v, p_v = count_v / total */
double unigram_loss(const int64_t *counts, int64_t vocab)
{
    double total = 0, entropy = 0;
    for (int64_t v = 0; v < vocab; v++) total += (double)counts[v];
    for (int64_t v = 0; v < vocab; v++) {
        const double p = (double)counts[v] / total;
        if (counts[v] > 0) entropy -= p * log(p);
    }
    return entropy;
}

enum status unigram_loss_of_all(struct unigram *unigram, struct comm *comm, double *loss_out)
{
    enum status status = OK;
    TRY(comm_sum_int64(comm, unigram->counts, unigram->vocab));
    *loss_out = unigram_loss(unigram->counts, unigram->vocab);
out:
    return status;
}
