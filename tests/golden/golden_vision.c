/* See golden_vision.h. */
#include "golden_vision.h"

#include <stdlib.h>

#include "base/random.h"
#include "base/text_buffer.h"

void golden_channels_first(float *out, const float *in, int64_t b, int64_t p, int64_t c)
{
    for (int64_t image = 0; image < b; image++) {
        for (int64_t i = 0; i < p * c; i++) {
            int64_t point = i / c;
            int64_t channel = i % c;
            out[(image * c + channel) * p + point] = in[image * p * c + i];
        }
    }
}

void golden_channels_last(float *out, const float *in, int64_t b, int64_t p, int64_t c)
{
    golden_channels_first(out, in, b, c, p);
}

void golden_fill(float *out, int64_t n, uint64_t seed, const char *name, double amplitude)
{
    random_fill(out, (uint64_t)n, 0, random_stream(seed, name), 0, amplitude);
}

enum status golden_compare_map(struct golden_reference *reference, const char *name, const float *x,
                               const int64_t sizes[3], enum golden_kind kind)
{
    int64_t n = sizes[0] * sizes[1] * sizes[2];
    float *turned = memory_new((size_t)n + 1, sizeof *turned);
    golden_channels_first(turned, x, sizes[0], sizes[1], sizes[2]);
    enum status status = golden_compare(reference, name, turned, n, kind);
    free(turned);
    return status;
}

enum status golden_weights_create(struct golden_weights *weights, const struct model_config *config,
                                  enum module module, uint64_t seed)
{
    enum status status = OK;
    bool trainable[N_MODULES] = {false};
    trainable[module] = true;
    *weights = (struct golden_weights){0};
    TRY(parameter_table_create(&weights->table, config, trainable));
    weights->values = memory_new((size_t)weights->table->n_weight_elements, sizeof(float));
    weights->gradients = memory_new((size_t)weights->table->n_gradient_elements, sizeof(float));
    parameters_fill(weights->values, weights->table, seed);
out:
    return status;
}

void golden_weights_release(struct golden_weights *weights)
{
    parameter_table_destroy(weights->table);
    free(weights->values);
    free(weights->gradients);
    *weights = (struct golden_weights){0};
}
