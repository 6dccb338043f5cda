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
enum status unigram_entropy(struct unigram *unigram, struct comm *comm, double *entropy_out)
{
    enum status status = OK;
    double total = 0, entropy = 0;
    TRY(comm_sum_int64(comm, unigram->counts, unigram->vocab));
    for (int64_t v = 0; v < unigram->vocab; v++) total += (double)unigram->counts[v];
    for (int64_t v = 0; v < unigram->vocab; v++) {
        const double p = (double)unigram->counts[v] / total;
        if (unigram->counts[v] > 0) entropy -= p * log(p);
    }
    *entropy_out = entropy;
out:
    return status;
}
