/* Lines of progress, and where the numbers of a step go. */
#include "train/progress.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "train/event_file.h"
#include "train/metrics_file.h"

struct progress {
    struct progress_options options;
    struct metrics_file *metrics;
    struct event_file *events; /* NULL: not wanted */
    double last_step, start;   /* seconds */
    /* since the last line */
    int64_t tokens, images;
    double flops, elapsed, seconds[N_PHASES];
};

enum status progress_open(struct progress **progress_out, const struct progress_options *options)
{
    enum status status = OK;
    struct progress *progress = memory_new(1, sizeof *progress);
    char *path = path_join(options->run_dir, "metrics.jsonl");
    progress->options = *options;
    progress->start = progress->last_step = monotonic_seconds();
    TRY(metrics_file_open(&progress->metrics, path, options->steps_done));
    if (options->tensorboard)
        TRY(event_file_open(&progress->events, options->run_dir, options->steps_done));
    *progress_out = progress;
    progress = NULL;
out:
    free(path);
    progress_close(progress);
    return status;
}

void progress_close(struct progress *progress)
{
    if (progress == NULL) return;
    metrics_file_close(progress->metrics);
    event_file_close(progress->events);
    free(progress);
}

/* "3 h 12 min", "41 s". */
static char *time_left(const struct progress *progress, int64_t step)
{
    const double per_step =
        (monotonic_seconds() - progress->start) / (double)(step - progress->options.steps_done);
    const int64_t s = (int64_t)(per_step * (double)(progress->options.total_steps - step) + 0.5);
    if (s >= 3600) return text_format("%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
    if (s >= 60) return text_format("%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    return text_format("%" PRId64 " s", s);
}

static void print_line(struct progress *progress, const struct progress_step *step)
{
    const struct train_result *result = step->result;
    double all = 1e-9;
    for (int phase = 0; phase < N_PHASES; phase++) all += progress->seconds[phase];
    struct text_buffer line = {0};
    text_printf(&line, "step %" PRId64 " of %" PRId64 ": loss %.4f, lr %.3g, gradient norm %.3f, ",
                step->step, progress->options.total_steps, result->loss,
                progress->options.main_lr * result->lr_factor, result->gradient_norm);
    text_printf(&line, "%.0f tokens/s, %.1f images/s",
                (double)progress->tokens / (progress->elapsed + 1e-9),
                (double)progress->images / (progress->elapsed + 1e-9));
    if (progress->options.peak_flops > 0)
        text_printf(&line, ", MFU %.1f %%",
                    100 * progress->flops / (progress->elapsed + 1e-9) /
                        progress->options.peak_flops);
    text_append(&line, " (");
    for (int phase = 0; phase < N_PHASES; phase++)
        text_printf(&line, "%s%s %.0f %%", phase > 0 ? ", " : "", train_phase_names[phase],
                    100 * progress->seconds[phase] / all);
    char *left = time_left(progress, step->step);
    log_info("%s), %s left", text_of(&line), left);
    free(left);
    text_release(&line);
    progress->tokens = progress->images = 0;
    progress->flops = progress->elapsed = 0;
    memset(progress->seconds, 0, sizeof progress->seconds);
}

/* The step that was just done, on the terminal's last line. */
static void print_live(const struct progress *progress, const struct progress_step *step)
{
    if (!log_is_live()) return;
    char *left = time_left(progress, step->step);
    log_live("step %" PRId64 "/%" PRId64 "  loss %.4f  %.0f tokens/s  %.0f ms  %s left", step->step,
             progress->options.total_steps, step->result->loss,
             (double)step->n_tokens / (step->wall_seconds + 1e-9), 1e3 * step->wall_seconds, left);
    free(left);
}

static void add_module_events(struct event_file *events, const struct progress *progress,
                              const struct progress_step *step)
{
    for (int m = 0; m < N_MODULES; m++) {
        if (!progress->options.trainable[m]) continue;
        char *norm = text_format("grad_norm/%s", module_names[m]);
        char *rate = text_format("lr/%s", module_names[m]);
        event_file_add(events, step->step, norm, step->result->module_norm[m]);
        event_file_add(events, step->step, rate, progress->options.lr[m] * step->result->lr_factor);
        free(norm);
        free(rate);
    }
}

static enum status write_events(const struct progress *progress, const struct progress_step *step)
{
    struct event_file *events = progress->events;
    if (events == NULL) return OK;
    event_file_add(events, step->step, "loss", step->result->loss);
    event_file_add(events, step->step, "grad_norm", step->result->gradient_norm);
    event_file_add(events, step->step, "tokens_per_s",
                   (double)step->n_tokens / (step->wall_seconds + 1e-9));
    if (progress->options.peak_flops > 0)
        event_file_add(events, step->step, "mfu",
                       model_flops_sum(&step->flops) / (step->wall_seconds + 1e-9) /
                           progress->options.peak_flops);
    for (int64_t i = 0; i < task_loss_count(step->task_loss); i++) {
        int64_t n = 0;
        const double mean = task_loss_mean(step->task_loss, i, &n);
        char *tag = text_format("loss/%s", task_loss_name(step->task_loss, i));
        if (n > 0) event_file_add(events, step->step, tag, mean);
        free(tag);
    }
    add_module_events(events, progress, step);
    return event_file_flush(events);
}

enum status progress_report(struct progress *progress, struct progress_step *step)
{
    enum status status = OK;
    const double now = monotonic_seconds();
    step->wall_seconds = now - progress->last_step;
    progress->last_step = now;
    progress->tokens += step->n_tokens;
    progress->images += step->n_images;
    progress->flops += model_flops_sum(&step->flops);
    progress->elapsed += step->wall_seconds;
    for (int phase = 0; phase < N_PHASES; phase++)
        progress->seconds[phase] += step->result->seconds[phase];
    const bool due = step->step % progress->options.log_every == 0 ||
                     step->step == progress->options.steps_done + 1 ||
                     step->step == progress->options.total_steps;
    if (due) print_line(progress, step);
    print_live(progress, step);
    TRY(metrics_file_write(progress->metrics, &progress->options, step));
    TRY(write_events(progress, step));
out:
    return status;
}
