/* Region masks on feature grids: bilinear resize and mean pooling, specification. */
#include <inttypes.h>

#include "base/assertion.h"
#include "mask_tap.h"
#include "ref.h"

/* out = (1 - v) ((1 - u) m[y0, x0] + u m[y0, x1]) + v ((1 - u) m[y1, x0] + u m[y1, x1]) */
enum status ref_mask_resize(float *out, const uint8_t *mask, int64_t q, int64_t y, int64_t x,
                            int64_t oy, int64_t ox, struct stream *stream)
{
    (void)stream;
    for (int64_t i = 0; i < q * oy * ox; i++) {
        const uint8_t *m = mask + i / (oy * ox) * y * x;
        struct mask_tap v = mask_tap_at(i / ox % oy, y, oy), u = mask_tap_at(i % ox, x, ox);
        double v0 = 1.0F - v.weight_high, u0 = 1.0F - u.weight_high;
        double low = u0 * m[v.low * x + u.low] + (double)u.weight_high * m[v.low * x + u.high];
        double high = u0 * m[v.high * x + u.low] + (double)u.weight_high * m[v.high * x + u.high];
        out[i] = (float)(v0 * low + v.weight_high * high);
    }
    return OK;
}

/* Cells of a footprint that are 1. */
static int64_t footprint_count(const uint8_t *footprint, int64_t p)
{
    int64_t count = 0;
    for (int64_t cell = 0; cell < p; cell++) count += footprint[cell] != 0;
    return count;
}

/* The rows of the image that region `region` lies in. */
static int64_t first_row(const int32_t *image_of, int64_t region, int64_t b, int64_t p)
{
    int32_t image = image_of[region];
    ASSERT(image >= 0 && image < b, "region %" PRId64 " is of image %d, not in 0 .. %" PRId64,
           region, image, b - 1);
    return image * p;
}

/* out[q, c] = sum_{p in footprint} feature[image_of[q], p, c] / (count + 1e-8) */
enum status ref_mask_pool_forward(float *out, const void *feature, const uint8_t *footprint,
                                  const int32_t *image_of, int64_t q, int64_t b, int64_t p,
                                  int64_t c, struct stream *stream)
{
    (void)stream;
    for (int64_t region = 0; region < q; region++) {
        const float *rows = (const float *)feature + first_row(image_of, region, b, p) * c;
        const uint8_t *cells = footprint + region * p;
        double divisor = (double)footprint_count(cells, p) + 1e-8;
        for (int64_t channel = 0; channel < c; channel++) {
            double sum = 0;
            for (int64_t cell = 0; cell < p; cell++)
                sum += cells[cell] != 0 ? rows[cell * c + channel] : 0;
            out[region * c + channel] = (float)(sum / divisor);
        }
    }
    return OK;
}

/* dfeature[image_of[q], p, c] += dout[q, c] / (count + 1e-8) where the footprint is 1 */
enum status ref_mask_pool_backward(void *dfeature, const float *dout, const uint8_t *footprint,
                                   const int32_t *image_of, int64_t q, int64_t b, int64_t p,
                                   int64_t c, struct stream *stream)
{
    (void)stream;
    for (int64_t region = 0; region < q; region++) {
        float *rows = (float *)dfeature + first_row(image_of, region, b, p) * c;
        const uint8_t *cells = footprint + region * p;
        double divisor = (double)footprint_count(cells, p) + 1e-8;
        for (int64_t i = 0; i < p * c; i++)
            if (cells[i / c] != 0) rows[i] = (float)(rows[i] + dout[region * c + i % c] / divisor);
    }
    return OK;
}
