/* Rotary position embedding. */
#include "cpu.h"

#include "blocks.h"

struct rope {
    float *qkv;
    const float *cos, *sin;
    const int32_t *position;
    int64_t t, n_heads, row_heads, d; /* heads that turn, heads of a row */
    float direction;
};

static void rotate_head(float *restrict a, float *restrict b, const float *restrict cos,
                        const float *restrict sin, float direction, int64_t half)
{
    for (int64_t j = 0; j < half; j++) {
        float s = sin[j] * direction, a_j = a[j], b_j = b[j];
        a[j] = a_j * cos[j] - b_j * s;
        b[j] = b_j * cos[j] + a_j * s;
    }
}

static void rope_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct rope *r = argument;
    int64_t half = r->d / 2, rows = light_block_rows(r->n_heads * r->d);
    int64_t end = smaller(r->t, (block + 1) * rows);
    for (int64_t row = block * rows; row < end; row++) {
        const float *cos = r->cos + r->position[row] * half;
        const float *sin = r->sin + r->position[row] * half;
        float *head = r->qkv + row * r->row_heads * r->d;
        for (int64_t k = 0; k < r->n_heads; k++, head += r->d)
            rotate_head(head, head + half, cos, sin, r->direction, half);
    }
}

enum status cpu_rope(void *qkv, const float *cos, const float *sin, const int32_t *position,
                     int64_t t, int64_t h, int64_t kv, int64_t d, int direction,
                     struct stream *stream)
{
    struct rope r = {qkv, cos, sin, position, t, h + kv, h + 2 * kv, d, (float)direction};
    run_blocks(stream, t, light_block_rows((h + kv) * d), rope_block, &r);
    return OK;
}
