/* Layer scale, DropPath and the residual sum of a ConvNeXt block, specification. */
#include "ref.h"

/* out = shortcut + keep[b] gamma[c] branch */
enum status ref_layer_scale_forward(void *out, const void *shortcut, const void *branch,
                                    const void *gamma, const float *keep, int64_t b, int64_t p,
                                    int64_t c, struct stream *stream)
{
    (void)stream;
    for (int64_t i = 0; i < b * p * c; i++) {
        double factor = (keep != NULL ? keep[i / (p * c)] : 1.0) * ((const float *)gamma)[i % c];
        ((float *)out)[i] =
            (float)(((const float *)shortcut)[i] + factor * ((const float *)branch)[i]);
    }
    return OK;
}

/* dbranch = keep gamma dout,  dgamma += sum_{b, p} keep branch dout */
enum status ref_layer_scale_backward(void *dbranch, float *dgamma, const void *dout,
                                     const void *branch, const void *gamma, const float *keep,
                                     int64_t b, int64_t p, int64_t c, void *workspace,
                                     struct stream *stream)
{
    (void)workspace;
    (void)stream;
    const float *dy = dout;
    for (int64_t i = 0; i < b * p * c; i++) {
        double factor = (keep != NULL ? keep[i / (p * c)] : 1.0) * ((const float *)gamma)[i % c];
        ((float *)dbranch)[i] = (float)(factor * dy[i]);
    }
    for (int64_t channel = 0; dgamma != NULL && channel < c; channel++) {
        double sum = 0;
        for (int64_t pixel = 0; pixel < b * p; pixel++) {
            double factor = keep != NULL ? keep[pixel / p] : 1.0;
            int64_t i = pixel * c + channel;
            sum += factor * ((const float *)branch)[i] * dy[i];
        }
        dgamma[channel] = (float)(dgamma[channel] + sum);
    }
    return OK;
}
