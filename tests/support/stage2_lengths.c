/* Kinds of samples, how often each comes, and how long one is. */
#include "support/stage2_lengths.h"

#include <math.h>

#include "base/random.h"

enum { IMAGE_ROWS = 1024, TEMPLATE = 30, MAX_LENGTH = 8192, MAX_OBJECTS = 99 };
enum { PER_REGION = 25, PER_NAME = 8, PER_RELATION = 8, PER_BOX = 22, PER_CAPTION = 14 };

static double lognormal(struct random_stream stream, uint64_t draw, double mean, double sigma)
{
    return mean * exp(sigma * random_normal(stream, draw) - sigma * sigma / 2);
}

static int64_t objects(struct random_stream stream)
{
    const double mean = random_uniform(stream, 1) < 33.0 / 146 ? 13.2 : 19.8;
    const int64_t n = llround(lognormal(stream, 2, mean, 0.6));
    return n < 1 ? 1 : n > MAX_OBJECTS ? MAX_OBJECTS : n;
}

static struct sample_size about(int64_t regions, int64_t prompt, int64_t targets, bool image)
{
    struct sample_size size = {.images = image, .regions = regions, .targets = targets};
    size.tokens = (image ? IMAGE_ROWS : 0) + TEMPLATE + PER_REGION * regions + prompt + targets;
    if (size.tokens > MAX_LENGTH) {
        size.cut = size.tokens - MAX_LENGTH;
        size.targets -= size.cut < targets ? size.cut : targets;
        size.tokens = MAX_LENGTH;
    }
    return size;
}

static struct sample_size graph(struct random_stream stream)
{
    const int64_t n = objects(stream);
    const int64_t relations = llround((double)n * lognormal(stream, 3, 2.1, 0.35));
    return about(n, 20, n * PER_NAME + relations * PER_RELATION, true);
}

static struct sample_size detection(struct random_stream stream)
{
    const int64_t n = objects(stream);
    return about(0, 20, n * (PER_NAME + PER_BOX) + 2 * n * PER_RELATION, true);
}

static struct sample_size per_object(struct random_stream stream)
{
    return about(objects(stream), 30, 10 + 14 * (int64_t)random_below(stream, 3, 10), true);
}

static struct sample_size referring(struct random_stream stream)
{
    return about(2 + (int64_t)random_below(stream, 2, 29), 30, 4, true);
}

static struct sample_size captions(struct random_stream stream)
{
    const int64_t n = 1 + (int64_t)random_below(stream, 2, 10);
    return about(n, 20 * n, PER_CAPTION * n, true);
}

static struct sample_size questions(struct random_stream stream, bool image)
{
    const int64_t turns = 1 + (int64_t)random_below(stream, 2, 8);
    return about(0, 25 * turns, llround(lognormal(stream, 3, 20, 0.9)) * turns, image);
}

struct sample_size stage2_length(uint64_t i)
{
    const struct random_stream stream = random_substream(random_stream(2, "stage2.length"), i);
    const double kind = random_uniform(stream, 0);
    if (kind < 0.25) return graph(stream);
    if (kind < 0.35) return detection(stream);
    if (kind < 0.55) return per_object(stream);
    if (kind < 0.70) return referring(stream);
    if (kind < 0.80) return captions(stream);
    return questions(stream, kind < 0.95);
}

struct sample_cost stage2_cost(void)
{
    const struct model_config config = {
        .image_height = 512,
        .image_width = 512,
        .vision = {.depths = {3, 3, 27, 3}, .dims = {192, 384, 768, 1536}},
        .extractor = {.embed = 1024, .mask_side = 112},
        .lm = {.vocab = 151936,
               .hidden = 2048,
               .ffn = 11008,
               .layers = 36,
               .heads = 16,
               .kv_heads = 2}};
    return sample_cost_of(&config, (const bool[N_MODULES]){true, true, true, true});
}
