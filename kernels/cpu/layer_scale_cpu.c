/* Layer scale, DropPath and the residual sum on the CPU. */
#include "blocks.h"
#include "column_sums.h"
#include "cpu.h"
#include "vector.h"

struct layer_scale {
    float *out;            /* out, or dbranch */
    const float *shortcut; /* forward */
    const float *branch, *gamma, *keep, *dout;
    float *partial; /* [blocks, C]; NULL: gamma is frozen */
    int64_t n, p, c;
};

/* Factor of DropPath for a row. */
static float keep_at(const struct layer_scale *l, int64_t row)
{
    return l->keep != NULL ? l->keep[row / l->p] : 1;
}

static void forward_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct layer_scale *l = argument;
    int64_t c = l->c, end = (block + 1) * CPU_NORM_BLOCK_ROWS;
    for (int64_t row = block * CPU_NORM_BLOCK_ROWS; row < end && row < l->n; row++) {
        const float *shortcut = l->shortcut + row * c, *branch = l->branch + row * c;
        float *out = l->out + row * c, keep = keep_at(l, row);
        for (int64_t i = 0; i < c; i += VECTOR_LANES) {
            int64_t part = vector_part(c - i);
            vector_f32 factor = keep * vector_load_partial(l->gamma + i, part, 0);
            vector_f32 sum = vector_fma(factor, vector_load_partial(branch + i, part, 0),
                                        vector_load_partial(shortcut + i, part, 0));
            vector_store_partial(out + i, sum, part);
        }
    }
}

enum status cpu_layer_scale_forward(void *out, const void *shortcut, const void *branch,
                                    const void *gamma, const float *keep, int64_t b, int64_t p,
                                    int64_t c, struct stream *stream)
{
    struct layer_scale l = {.out = out,
                            .shortcut = shortcut,
                            .branch = branch,
                            .gamma = gamma,
                            .keep = keep,
                            .n = b * p,
                            .p = p,
                            .c = c};
    thread_pool_run(pool_for(stream, l.n * c), cpu_norm_blocks(l.n), forward_block, &l);
    return OK;
}

static void backward_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct layer_scale *l = argument;
    int64_t c = l->c, end = (block + 1) * CPU_NORM_BLOCK_ROWS;
    float *dgamma = l->partial != NULL ? l->partial + block * c : NULL;
    if (dgamma != NULL) memset(dgamma, 0, (size_t)c * sizeof(float));
    for (int64_t row = block * CPU_NORM_BLOCK_ROWS; row < end && row < l->n; row++) {
        const float *dout = l->dout + row * c, *branch = l->branch + row * c;
        float *dbranch = l->out + row * c, keep = keep_at(l, row);
        for (int64_t i = 0; i < c; i += VECTOR_LANES) {
            int64_t part = vector_part(c - i);
            vector_f32 d = keep * vector_load_partial(dout + i, part, 0);
            vector_store_partial(dbranch + i, d * vector_load_partial(l->gamma + i, part, 0), part);
            if (dgamma == NULL) continue;
            vector_f32 sum = vector_load_partial(dgamma + i, part, 0);
            sum = vector_fma(d, vector_load_partial(branch + i, part, 0), sum);
            vector_store_partial(dgamma + i, sum, part);
        }
    }
}

enum status cpu_layer_scale_backward(void *dbranch, float *dgamma, const void *dout,
                                     const void *branch, const void *gamma, const float *keep,
                                     int64_t b, int64_t p, int64_t c, void *workspace,
                                     struct stream *stream)
{
    struct layer_scale l = {.out = dbranch,
                            .branch = branch,
                            .gamma = gamma,
                            .keep = keep,
                            .dout = dout,
                            .n = b * p,
                            .p = p,
                            .c = c,
                            .partial = dgamma != NULL ? workspace : NULL};
    int64_t blocks = cpu_norm_blocks(l.n);
    thread_pool_run(pool_for(stream, l.n * c), blocks, backward_block, &l);
    if (dgamma == NULL) return OK;
    struct column_sums sums = {
        .out = dgamma, .partial = workspace, .blocks = blocks, .stride = c, .columns = c};
    column_sums_add(&sums, stream);
    return OK;
}
