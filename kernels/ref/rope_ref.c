/* Rotary position embedding, rotate-half convention (channels j and j + D/2 form a pair). */
#include "ref.h"

/* With angle phi of (position, j), a = x_j, b = x_{j + D/2}; direction -1 negates phi:
 *   a' = a cos phi - b sin phi,   b' = b cos phi + a sin phi      for heads 0 .. H + KV - 1 */
enum status ref_rope(void *qkv, const float *cos, const float *sin, const int32_t *position,
                     int64_t t, int64_t h, int64_t kv, int64_t d, int direction,
                     struct stream *stream)
{
    (void)stream;
    float *xs = qkv;
    int64_t half = d / 2;
    for (int64_t row = 0; row < t; row++)
        for (int64_t head = 0; head < h + kv; head++) {
            float *x = xs + (row * (h + 2 * kv) + head) * d;
            for (int64_t j = 0; j < half; j++) {
                double a = (double)x[j], b = (double)x[j + half];
                double c = (double)cos[position[row] * half + j];
                double s = (double)sin[position[row] * half + j] * direction;
                x[j] = (float)(a * c - b * s);
                x[j + half] = (float)(b * c + a * s);
            }
        }
    return OK;
}
