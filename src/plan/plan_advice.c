/* Other plans of the same run. */
#include "plan/plan_advice.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/text_buffer.h"

bool run_plan_fits(const struct run_plan *plan)
{
    return plan->options.rates.memory == 0 || plan->memory.all <= plan->options.rates.memory;
}

/* A run changed in up to four ways, each of which makes a rank need less. */
struct change {
    bool recompute;
    int halvings;  /* of data.max_tokens */
    int doublings; /* of tp */
    bool more;     /* eight times the ranks */
    int n;         /* how many of the four */
    double memory, seconds;
};

#define MAX_HALVINGS  5
#define MAX_DOUBLINGS 3

/* False where the change cannot be made, or does not help enough. */
static bool try_change(struct change *change, const struct run_plan *plan)
{
    struct run_config config = *plan->config; /* a shallow copy */
    struct plan_options options = plan->options;
    struct run_plan other;
    config.train.recompute = config.train.recompute || change->recompute;
    config.data.max_tokens >>= change->halvings;
    options.tp = plan->tp << change->doublings;
    options.ranks *= change->more ? 8 : 1;
    if (config.data.max_tokens < config.data.max_length) return false;
    if (options.tp > options.ranks || options.tp > options.rates.ranks_per_machine) return false;
    if (run_plan_make(&other, &config, &options) != OK) {
        status_clear();
        return false;
    }
    change->memory = other.memory.all;
    change->seconds = other.time.all;
    change->n = change->recompute + (change->halvings > 0) + (change->doublings > 0) + change->more;
    return run_plan_fits(&other);
}

static void put_change(struct text_buffer *out, const struct change *change,
                       const struct run_plan *plan)
{
    text_append(out, " ");
    if (change->recompute) text_append(out, " train.recompute=true");
    if (change->halvings > 0)
        text_printf(out, " data.max_tokens=%" PRId64,
                    plan->config->data.max_tokens >> change->halvings);
    if (change->doublings > 0) text_printf(out, " --tp %d", plan->tp << change->doublings);
    if (change->more) text_printf(out, " --ranks %d", 8 * plan->options.ranks);
    text_printf(out, ": %.1f GB, %.3f s a step\n", change->memory / 1e9, change->seconds);
}

/* All changes that help, the fastest of each kind: [16] by which of the four they are. */
static void find_changes(struct change best[16], const struct run_plan *plan)
{
    const int n = 2 * (MAX_HALVINGS + 1) * (MAX_DOUBLINGS + 1) * 2;
    for (int i = 1; i < n; i++) {
        struct change change = {.recompute = i % 2 != 0,
                                .more = i / 2 % 2 != 0,
                                .halvings = i / 4 % (MAX_HALVINGS + 1),
                                .doublings = i / 4 / (MAX_HALVINGS + 1)};
        const int kind = change.recompute + 2 * (change.halvings > 0) + 4 * (change.doublings > 0) +
                         8 * change.more;
        if (change.recompute && plan->config->train.recompute) continue;
        if (!try_change(&change, plan)) continue;
        if (best[kind].n == 0 || change.seconds < best[kind].seconds) best[kind] = change;
    }
}

void plan_advice(char **text_out, const struct run_plan *plan)
{
    struct text_buffer out = {0};
    struct change best[16] = {{0}};
    int fewest = 5;
    if (!run_plan_fits(plan)) {
        text_printf(&out, "does not fit: %.1f GB of %.1f GB", plan->memory.all / 1e9,
                    plan->options.rates.memory / 1e9);
        find_changes(best, plan);
        for (int kind = 1; kind < 16; kind++)
            if (best[kind].n > 0 && best[kind].n < fewest) fewest = best[kind].n;
        text_append(&out, fewest < 5 ? "; these would\n"
                                     : "; neither train.recompute, nor a smaller data.max_tokens, "
                                       "more --tp or more --ranks is enough\n");
        for (int kind = 1; kind < 16; kind++)
            if (best[kind].n == fewest) put_change(&out, &best[kind], plan);
    }
    *text_out = text_take(&out);
}

enum status plan_scaling(char **text_out, const struct run_plan *plan)
{
    enum status status = OK;
    static const int counts[] = {1, 8, 64, 512};
    struct text_buffer out = {0};
    double one = 0; /* samples per second of a rank, in the first row */
    text_append(&out, "scaling     ranks   busy       step  collectives  samples/s  efficiency\n");
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct plan_options options = plan->options;
        struct run_plan other;
        options.ranks = counts[i];
        if (counts[i] % plan->tp != 0) continue;
        options.rank = 0;
        TRY(run_plan_make(&other, plan->config, &options));
        const double rate = (double)plan->config->train.global_batch / other.time.all;
        if (one == 0) one = rate / counts[i];
        text_printf(&out, "  %15d %6.0f %8.3f s %9.1f %% %11.2f %9.1f %%\n", counts[i],
                    other.busy_ranks * plan->tp, other.time.all,
                    100 * other.time.exposed / other.time.all, rate, 100 * rate / counts[i] / one);
    }
    *text_out = text_take(&out);
out:
    text_release(&out);
    return status;
}
