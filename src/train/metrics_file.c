/* Writing and mending metrics.jsonl. */
#include "train/metrics_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/log.h"
#include "base/text_buffer.h"

#define MAX_METRICS_BYTES ((size_t)1 << 32)

/* A checkpoint written behind the run may fill the disk, and free it again when it fails: so many
 * lines wait for that. */
#define MOST_WAITING 256

struct metrics_file {
    int fd; /* -1: closed */
    char *path;
    struct text_buffer waiting; /* lines, the first perhaps begun */
    int64_t n_waiting;
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

enum status metrics_file_open(struct metrics_file **file_out, const char *path, int64_t steps_done)
{
    enum status status = OK;
    struct metrics_file *file = memory_new(1, sizeof *file);
    file->path = text_copy(path);
    file->fd = -1;
    TRY(drop_later_steps(path, steps_done));
    file->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file->fd < 0) FAIL(ERR_IO, "cannot open %s: %s", path, strerror(errno));
    *file_out = file;
    file = NULL;
out:
    metrics_file_close(file);
    return status;
}

/* As much of the lines as the disk takes; false, with errno: not all. */
static bool write_waiting(struct metrics_file *file)
{
    size_t done = 0;
    const size_t all = file->waiting.length;
    while (done < all) {
        const ssize_t n = write(file->fd, file->waiting.text + done, all - done);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = ENOSPC;
        if (n <= 0) break;
        done += (size_t)n;
    }
    const int error = errno;
    struct text_buffer rest = {0};
    if (done < all) text_append_bytes(&rest, file->waiting.text + done, all - done);
    text_release(&file->waiting);
    file->waiting = rest;
    if (done == all) file->n_waiting = 0;
    errno = error;
    return done == all;
}

void metrics_file_close(struct metrics_file *file)
{
    if (file == NULL) return;
    if (file->n_waiting > 0 && !write_waiting(file))
        log_warn("the last %" PRId64 " lines are missing in %s: %s", file->n_waiting, file->path,
                 strerror(errno));
    if (file->fd >= 0) close(file->fd);
    text_release(&file->waiting);
    free(file->path);
    free(file);
}

/* The lines that wait, to the disk. A full one is waited for. */
static enum status flush(struct metrics_file *file)
{
    enum status status = OK;
    if (write_waiting(file)) return OK;
    const bool full = errno == ENOSPC || errno == EDQUOT;
    if (!full || file->n_waiting > MOST_WAITING)
        FAIL(ERR_IO, "cannot write to %s: %s", file->path, strerror(errno));
    if (file->n_waiting == 1)
        log_warn("cannot write to %s: %s; up to %d steps wait for space", file->path,
                 strerror(errno), MOST_WAITING);
out:
    return status;
}

/* JSON has no number for what is not finite. */
static void put_value(struct text_buffer *out, double value)
{
    if (isfinite(value))
        text_printf(out, "%.17g", value);
    else
        text_append(out, "null");
}

static void put_number(struct text_buffer *out, const char *name, double value)
{
    text_printf(out, "\"%s\": ", name);
    put_value(out, value);
    text_append(out, ", ");
}

static void put_modules(struct text_buffer *out, const char *name, const bool shown[N_MODULES],
                        const double values[N_MODULES])
{
    const char *between = "";
    text_printf(out, "\"%s\": {", name);
    for (int m = 0; m < N_MODULES; m++) {
        if (!shown[m]) continue;
        text_printf(out, "%s\"%s\": ", between, module_names[m]);
        put_value(out, values[m]);
        between = ", ";
    }
    text_append(out, "}, ");
}

/* Means, and over how many targets each: together they are the loss. */
static void put_tasks(struct text_buffer *out, const struct task_loss *losses)
{
    struct text_buffer counts = {0};
    const char *between = "";
    text_append(out, "\"task_loss\": {");
    for (int64_t i = 0; i < task_loss_count(losses); i++) {
        int64_t n = 0;
        const double mean = task_loss_mean(losses, i, &n);
        if (n == 0) continue;
        text_printf(out, "%s\"%s\": ", between, task_loss_name(losses, i));
        put_value(out, mean);
        text_printf(&counts, "%s\"%s\": %" PRId64, between, task_loss_name(losses, i), n);
        between = ", ";
    }
    text_printf(out, "}, \"task_targets\": {%s}, ", text_of(&counts));
    text_release(&counts);
}

/* Why the step was not taken, and what it was about. */
static void put_verdict(struct text_buffer *out, const struct progress_step *step)
{
    if (step->result->verdict == STEP_TAKEN) return;
    text_printf(out, "\"not_taken\": \"%s\", \"sample_ids\": [",
                step_verdict_texts[step->result->verdict]);
    for (int64_t i = 0; i < step->n_samples; i++)
        text_printf(out, "%s\"%016" PRIx64 "\"", i > 0 ? ", " : "", step->sample_ids[i]);
    text_append(out, "], ");
}

static void put_counts(struct text_buffer *out, const struct progress_step *step)
{
    const struct {
        const char *name;
        int64_t value;
    } counts[] = {{"tokens", step->n_tokens},   {"targets", step->n_targets},
                  {"images", step->n_images},   {"regions", step->n_regions},
                  {"samples", step->n_samples}, {"skipped", step->n_skipped},
                  {"cut", step->n_cut},         {"skipped_steps", step->skipped_steps}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        text_printf(out, "\"%s\": %" PRId64 ", ", counts[i].name, counts[i].value);
    text_printf(out, "\"order_hash\": \"%016" PRIx64 "\", ", step->order_hash);
}

/* Most memory that this process ever had, bytes. */
static int64_t peak_memory(void)
{
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    return (int64_t)usage.ru_maxrss * 1024;
}

/* What another run of the same configuration would measure otherwise: all behind "seconds". */
static void put_measured(struct text_buffer *out, const struct progress_options *options,
                         const struct progress_step *step)
{
    const double wall = step->wall_seconds > 0 ? step->wall_seconds : 1e-9;
    const double flops = model_flops_sum(&step->flops);
    text_append(out, "\"seconds\": {");
    for (int phase = 0; phase < N_PHASES; phase++)
        text_printf(out, "\"%s\": %.6f, ", train_phase_names[phase], step->result->seconds[phase]);
    text_printf(out, "\"step\": %.6f}, ", step->wall_seconds);
    text_printf(out, "\"tokens_per_s\": %.1f, \"images_per_s\": %.2f, \"flops\": %.6g, ",
                (double)step->n_tokens / wall, (double)step->n_images / wall, flops);
    if (options->peak_flops > 0)
        text_printf(out, "\"mfu\": %.4f, ", flops / wall / options->peak_flops);
    if (step->result->overlap >= 0) text_printf(out, "\"overlap\": %.3f, ", step->result->overlap);
    if (step->slowest.compared)
        text_printf(out, "\"slowest\": {\"rank\": %d, \"seconds\": %.6f, \"median\": %.6f}, ",
                    step->slowest.rank, step->slowest.busy, step->slowest.median);
    if (step->save_seconds > 0) text_printf(out, "\"checkpoint\": %.6f, ", step->save_seconds);
    text_printf(out, "\"memory\": %" PRId64 "}\n", peak_memory());
}

enum status metrics_file_write(struct metrics_file *file, const struct progress_options *options,
                               const struct progress_step *step)
{
    const struct train_result *result = step->result;
    struct text_buffer line = {0};
    double lr[N_MODULES];
    for (int m = 0; m < N_MODULES; m++) lr[m] = options->lr[m] * result->lr_factor;
    text_printf(&line, "{\"step\": %" PRId64 ", ", step->step);
    put_number(&line, "loss", result->loss);
    put_number(&line, "lr", options->main_lr * result->lr_factor);
    put_number(&line, "grad_norm", result->gradient_norm);
    put_modules(&line, "module_lr", options->trainable, lr);
    put_modules(&line, "module_grad_norm", options->trainable, result->module_norm);
    put_tasks(&line, step->task_loss);
    put_verdict(&line, step);
    put_counts(&line, step);
    put_measured(&line, options, step);
    text_append_bytes(&file->waiting, line.text, line.length);
    file->n_waiting++;
    text_release(&line);
    return flush(file);
}
