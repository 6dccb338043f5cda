/* Lines of progress and metrics.jsonl. */
#include "train/progress.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_file.h"
#include "base/log.h"
#include "base/text_buffer.h"

#define MAX_METRICS_BYTES ((size_t)1 << 32)

struct progress {
    FILE *file;
    char *path;
    int64_t total_steps, log_every, first_step;
    double last_line, start; /* seconds */
    int64_t tokens;          /* since the last line, like seconds */
    double seconds[N_PHASES];
};

/* The length of the part of the file that tells of steps up to `steps_done`. */
static enum status kept_length(size_t *length_out, const char *text, size_t size, const char *path,
                               int64_t steps_done)
{
    enum status status = OK;
    size_t at = 0;
    for (int64_t line = 1; at < size; line++) {
        const char *end = memchr(text + at, '\n', size - at);
        if (end == NULL) break; /* a killed run's last words */
        const size_t length = (size_t)(end - (text + at));
        json_t *object = NULL;
        int64_t step = 0;
        const struct json_place place = {.file = path, .record = "step"};
        TRY(json_line_parse(&object, text + at, length, path, line));
        status = json_field_integer(&step, object, "step", 0, INT64_MAX, place);
        json_decref(object);
        if (status != OK) goto out;
        if (step > steps_done) break;
        at += length + 1;
    }
    *length_out = at;
out:
    return status;
}

static enum status drop_later_steps(const char *path, int64_t steps_done)
{
    enum status status = OK;
    unsigned char *text = NULL;
    size_t size = 0, kept = 0;
    if (!file_exists(path)) goto out;
    TRY(file_read(&text, &size, path, MAX_METRICS_BYTES));
    TRY(kept_length(&kept, (const char *)text, size, path, steps_done));
    if (kept < size) TRY(file_write_atomic(path, text, kept));
out:
    free(text);
    return status;
}

enum status progress_open(struct progress **progress_out, const char *path, int64_t steps_done,
                          int64_t total_steps, int64_t log_every)
{
    enum status status = OK;
    struct progress *progress = memory_new(1, sizeof *progress);
    progress->path = text_copy(path);
    progress->total_steps = total_steps;
    progress->log_every = log_every;
    progress->first_step = steps_done;
    progress->start = progress->last_line = monotonic_seconds();
    TRY(drop_later_steps(path, steps_done));
    progress->file = fopen(path, "ae");
    if (progress->file == NULL) FAIL(ERR_IO, "cannot open %s: %s", path, strerror(errno));
    *progress_out = progress;
    progress = NULL;
out:
    progress_close(progress);
    return status;
}

void progress_close(struct progress *progress)
{
    if (progress == NULL) return;
    if (progress->file != NULL) fclose(progress->file);
    free(progress->path);
    free(progress);
}

/* JSON has no number for what is not finite. */
static void put_number(FILE *file, const char *name, double value)
{
    if (isfinite(value))
        fprintf(file, "\"%s\": %.17g, ", name, value);
    else
        fprintf(file, "\"%s\": null, ", name);
}

/* Why the step was not taken, and what it was about. */
static void put_verdict(FILE *file, const struct progress_step *step)
{
    if (step->result->verdict == STEP_TAKEN) return;
    fprintf(file, "\"not_taken\": \"%s\", \"sample_ids\": [",
            step_verdict_texts[step->result->verdict]);
    for (int64_t i = 0; i < step->n_samples; i++)
        fprintf(file, "%s\"%016" PRIx64 "\"", i > 0 ? ", " : "", step->sample_ids[i]);
    fprintf(file, "], ");
}

static enum status write_object(struct progress *progress, const struct progress_step *step)
{
    enum status status = OK;
    const struct train_result *result = step->result;
    FILE *file = progress->file;
    fprintf(file, "{\"step\": %" PRId64 ", ", step->step);
    put_number(file, "loss", result->loss);
    put_number(file, "lr", step->lr);
    put_number(file, "grad_norm", result->gradient_norm);
    put_verdict(file, step);
    fprintf(file,
            "\"tokens\": %" PRId64 ", \"targets\": %" PRId64 ", \"images\": %" PRId64
            ", \"samples\": %" PRId64 ", \"skipped\": %" PRId64 ", \"cut\": %" PRId64 ", ",
            step->n_tokens, step->n_targets, step->n_images, step->n_samples, step->n_skipped,
            step->n_cut);
    fprintf(file, "\"order_hash\": \"%016" PRIx64 "\", \"seconds\": {", step->order_hash);
    for (int phase = 0; phase < N_PHASES; phase++)
        fprintf(file, "%s\"%s\": %.6f", phase > 0 ? ", " : "", train_phase_names[phase],
                result->seconds[phase]);
    fprintf(file, "}}\n");
    if (fflush(file) != 0 || ferror(file))
        FAIL(ERR_IO, "cannot write to %s: %s", progress->path, strerror(errno));
out:
    return status;
}

/* "3 h 12 min", "41 s". */
static char *time_left(double seconds)
{
    const int64_t s = (int64_t)(seconds + 0.5);
    if (s >= 3600) return text_format("%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
    if (s >= 60) return text_format("%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    return text_format("%" PRId64 " s", s);
}

static void print_line(struct progress *progress, const struct progress_step *step)
{
    const double time = monotonic_seconds(), elapsed = time - progress->last_line;
    double all = 1e-9;
    for (int phase = 0; phase < N_PHASES; phase++) all += progress->seconds[phase];
    struct text_buffer shares = {0};
    for (int phase = 0; phase < N_PHASES; phase++)
        text_printf(&shares, "%s%s %.0f %%", phase > 0 ? ", " : "", train_phase_names[phase],
                    100 * progress->seconds[phase] / all);
    const double per_step = (time - progress->start) / (double)(step->step - progress->first_step);
    char *left = time_left(per_step * (double)(progress->total_steps - step->step));
    log_info("step %" PRId64 " of %" PRId64 ": loss %.4f, lr %.3g, gradient norm %.3f, "
             "%.0f tokens/s (%s), %s left",
             step->step, progress->total_steps, step->result->loss, step->lr,
             step->result->gradient_norm, (double)progress->tokens / (elapsed + 1e-9),
             text_of(&shares), left);
    free(left);
    text_release(&shares);
    progress->last_line = time;
    progress->tokens = 0;
    memset(progress->seconds, 0, sizeof progress->seconds);
}

enum status progress_report(struct progress *progress, const struct progress_step *step)
{
    enum status status = OK;
    progress->tokens += step->n_tokens;
    for (int phase = 0; phase < N_PHASES; phase++)
        progress->seconds[phase] += step->result->seconds[phase];
    const bool due = step->step % progress->log_every == 0 ||
                     step->step == progress->first_step + 1 || step->step == progress->total_steps;
    if (due) print_line(progress, step);
    TRY(write_object(progress, step));
out:
    return status;
}
