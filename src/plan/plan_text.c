/* A plan for people. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/text_buffer.h"
#include "plan/run_plan.h"

/* "12.3 GB", "456.7 MB"; to free(). */
static char *bytes_text(double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    int unit = 0;
    for (; bytes >= 1000 && unit < 5; unit++) bytes /= 1000;
    return text_format(unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

/* "3 d 4 h", "41.2 s", "12.5 ms"; to free(). */
static char *time_text(double seconds)
{
    if (seconds >= 86400)
        return text_format("%.0f d %.0f h", floor(seconds / 86400), fmod(seconds, 86400) / 3600);
    if (seconds >= 3600)
        return text_format("%.0f h %.0f min", floor(seconds / 3600), fmod(seconds, 3600) / 60);
    if (seconds >= 60) return text_format("%.1f min", seconds / 60);
    return seconds >= 1 ? text_format("%.2f s", seconds) : text_format("%.2f ms", 1e3 * seconds);
}

static void put_bytes(struct text_buffer *out, const char *what, double bytes)
{
    char *text = bytes_text(bytes);
    if (bytes > 0) text_printf(out, "  %-28s %12s\n", what, text);
    free(text);
}

static void put_time(struct text_buffer *out, const char *what, double seconds, double all)
{
    char *text = time_text(seconds);
    if (seconds > 0) text_printf(out, "  %-28s %12s  %4.1f %%\n", what, text, 100 * seconds / all);
    free(text);
}

static void put_mesh(struct text_buffer *out, const struct run_plan *plan)
{
    text_printf(out, "mesh        %d ranks: data %d x tensor %d%s, rates of %s\n",
                plan->options.ranks, plan->dp, plan->tp, plan->sequence ? " with split rows" : "",
                plan->options.rates.name);
    if (plan->busy_ranks < plan->dp)
        text_printf(
            out, "            only %.0f of %d have a sample: train.global_batch is %" PRId64 "\n",
            plan->busy_ranks, plan->dp, plan->config->train.global_batch);
}

static void put_parameters(struct text_buffer *out, const struct run_plan *plan)
{
    int64_t all = 0, learning = 0;
    text_append(out, "parameters\n");
    for (int m = 0; m < N_MODULES; m++) {
        const bool trains = plan->model.options.trainable[m];
        text_printf(out, "  %-28s %14" PRId64 "  %s\n", module_names[m], plan->parameters[m],
                    trains ? "learning" : "frozen");
        all += plan->parameters[m];
        learning += trains ? plan->parameters[m] : 0;
    }
    text_printf(out, "  %-28s %14" PRId64 "  %" PRId64 " learning\n", "in all", all, learning);
}

static void put_memory(struct text_buffer *out, const struct run_plan *plan)
{
    const struct plan_memory *memory = &plan->memory;
    text_append(out, "memory of each rank\n");
    put_bytes(out, memory->master > 0 ? "weights, bf16" : "weights", memory->weights);
    put_bytes(out, "weights, fp32", memory->master);
    put_bytes(out, "gradients", memory->gradients);
    put_bytes(out, "moments of the optimizer", memory->moments);
    put_bytes(out, "activations", memory->activations);
    put_bytes(out, "workspace", memory->workspace);
    put_bytes(out, "  of it logits", memory->logits);
    put_bytes(out, "buffers of collectives", memory->buffers);
    put_bytes(out, "micro-batches prepared", memory->batches);
    if (!plan->options.rates.half) put_bytes(out, "copy for checkpoints", memory->copy);
    put_bytes(out, "in all", memory->all);
    if (plan->options.rates.half) put_bytes(out, "copy for checkpoints, on host", memory->copy);
    put_bytes(out, "there are", plan->options.rates.memory);
}

static void put_traffic(struct text_buffer *out, const struct run_plan *plan)
{
    double wire = 0;
    if (plan->n_traffic == 0) return;
    text_append(out, "collectives of a step       axis      calls       tensor   rank sends"
                     "       time\n");
    for (int i = 0; i < plan->n_traffic; i++) {
        const struct plan_traffic *row = &plan->traffic[i];
        char *bytes = bytes_text(row->bytes), *sent = bytes_text(row->wire);
        char *time = time_text(row->seconds);
        text_printf(out, "  %-25s %-5s %9.0f %12s %12s %10s%s\n", row->what, row->axis, row->calls,
                    bytes, sent, time, row->hidden ? "  behind the backward" : "");
        wire += row->wire;
        free(bytes);
        free(sent);
        free(time);
    }
    put_bytes(out, "a rank sends in all", wire);
}

static void put_step(struct text_buffer *out, const struct run_plan *plan)
{
    const struct plan_sample *sample = &plan->options.sample;
    const struct plan_time *time = &plan->time;
    text_printf(out,
                "sample      %.0f tokens (pictures and regions included), %.2f pictures, %.1f "
                "regions, %.0f targets%s\n",
                sample->tokens, sample->images, sample->regions, sample->targets,
                sample->assumed ? ": assumed" : "");
    text_printf(out,
                "step        %" PRId64 " samples, %.0f tokens, %.0f micro-batches on a rank, "
                "%.3g TFLOP (%.3g more computed again)\n",
                plan->config->train.global_batch, plan->load.tokens, plan->micro_batches,
                model_flops_sum(&plan->flops) / 1e12,
                (plan->flops.again[MODULE_LM] + plan->flops.again[MODULE_TOWER]) / 1e12);
    text_append(out, "time of a step\n");
    put_time(out, "matrices of the lm", time->lm_matrices, time->all);
    put_time(out, "attention", time->attention, time->all);
    put_time(out, "between them", time->elementwise, time->all);
    put_time(out, "output layer", time->head, time->all);
    put_time(out, "pictures and regions", time->vision, time->all);
    put_time(out, "computed again", time->again, time->all);
    put_time(out, "optimizer", time->optimizer, time->all);
    put_time(out, "between kernels", time->gap, time->all);
    put_time(out, "collectives", time->exposed, time->all);
    put_time(out, "in all", time->all, time->all);
}

static void put_run(struct text_buffer *out, const struct run_plan *plan)
{
    const double tokens = plan->load.tokens / plan->time.all;
    text_printf(out, "rate        %.0f tokens/s, %.1f samples/s, MFU %.1f %%\n", tokens,
                (double)plan->config->train.global_batch / plan->time.all, 100 * plan->mfu);
    if (plan->steps > 0) {
        char *time = time_text((double)plan->steps * plan->time.all);
        text_printf(out, "run         %" PRId64 " steps: %s\n", plan->steps, time);
        free(time);
    } else {
        text_append(out,
                    "run         its length is not known without the corpora; give --samples\n");
    }
}

char *run_plan_memory_text(const struct run_plan *plan)
{
    struct text_buffer out = {0};
    put_parameters(&out, plan);
    put_memory(&out, plan);
    return text_take(&out);
}

char *run_plan_text(const struct run_plan *plan)
{
    struct text_buffer out = {0};
    put_mesh(&out, plan);
    put_parameters(&out, plan);
    put_memory(&out, plan);
    put_step(&out, plan);
    put_traffic(&out, plan);
    put_run(&out, plan);
    return text_take(&out);
}
