/* See generate_progress.h. */
#include "sgedit/generate_progress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "sgedit/generate_run.h"

#define SPEAK_SECONDS 10
#define NOTE_SECONDS  5
#define MAX_METRICS   ((size_t)1 << 30)

static enum status cut_last_line(const char *path)
{
    enum status status = OK;
    unsigned char *bytes = NULL;
    size_t size = 0;
    if (!file_exists(path)) return OK;
    TRY(file_read(&bytes, &size, path, MAX_METRICS));
    size_t whole = size;
    while (whole > 0 && bytes[whole - 1] != '\n') whole--;
    if (whole < size) TRY(file_write_atomic(path, bytes, whole));
out:
    free(bytes);
    return status;
}

static enum status counter(const struct generate_run *run, int which, int64_t *value_out)
{
    return shared_counters_add(run->counters, which, 0, value_out);
}

enum status generate_progress_begin(struct generate_progress *progress,
                                    const struct generate_run *run)
{
    enum status status = OK;
    char *path = path_join(run->run_dir, "metrics.jsonl");
    *progress = (struct generate_progress){.run = run, .begun = monotonic_seconds()};
    progress->told = progress->noted = progress->begun;
    progress->first = progress->last_done = journal_totals(run->journal)->n_final;
    if (comm_rank(run->comm) != 0) goto out;
    TRY(cut_last_line(path));
    progress->metrics = fopen(path, "ae");
    if (progress->metrics == NULL) FAIL(ERR_IO, "cannot open %s: %s", path, strerror(errno));
out:
    free(path);
    return status;
}

struct state { /* of all ranks */
    int64_t done, failed, refused, tokens, calls, teacher_tokens, nano;
    double rate, token_rate, left_s;
};

static enum status read_state(struct state *state, struct generate_progress *progress, double now)
{
    enum status status = OK;
    const struct generate_run *run = progress->run;
    TRY(counter(run, COUNT_DONE, &state->done));
    TRY(counter(run, COUNT_FAILED, &state->failed));
    TRY(counter(run, COUNT_REFUSED, &state->refused));
    TRY(counter(run, COUNT_TOKENS, &state->tokens));
    TRY(counter(run, COUNT_LIMITS + TEACHER_COUNT_CALLS, &state->calls));
    TRY(counter(run, COUNT_LIMITS + TEACHER_COUNT_TOKENS, &state->teacher_tokens));
    TRY(counter(run, COUNT_LIMITS + TEACHER_COUNT_NANO, &state->nano));
    const double seconds = now - progress->begun;
    state->rate = seconds > 0 ? (double)(state->done - progress->first) / seconds : 0;
    state->token_rate = seconds > 0 ? (double)state->tokens / seconds : 0;
    state->left_s = state->rate > 0 ? (double)(run->n_items - state->done) / state->rate : -1;
out:
    return status;
}

static enum status note(struct generate_progress *progress, const struct state *state, double now)
{
    enum status status = OK;
    if (fprintf(progress->metrics,
                "{\"seconds\": %.3f, \"done\": %" PRId64 ", \"total\": %" PRId64
                ", \"images_per_s\": %.3f, \"tokens_per_s\": %.1f, \"teacher_calls\": %" PRId64
                ", \"teacher_tokens\": %" PRId64 ", \"money\": %.6f, \"refusals\": %" PRId64
                ", \"failed\": %" PRId64 ", \"left_s\": %.0f}\n",
                now - progress->begun, state->done, progress->run->n_items, state->rate,
                state->token_rate, state->calls, state->teacher_tokens, (double)state->nano / 1e9,
                state->refused, state->failed, state->left_s) < 0 ||
        fflush(progress->metrics) != 0)
        FAIL(ERR_IO, "cannot append to metrics.jsonl: %s", strerror(errno));
    progress->noted = now;
out:
    return status;
}

void generate_progress_end(struct generate_progress *progress)
{
    struct state state = {0};
    const double now = monotonic_seconds();
    if (progress->metrics == NULL) return;
    if (read_state(&state, progress, now) == OK) (void)note(progress, &state, now);
    fclose(progress->metrics);
    progress->metrics = NULL;
}

static void speak(struct generate_progress *progress, const struct state *state, double now)
{
    char *teacher =
        state->calls == 0
            ? text_copy("")
            : text_format(", teacher %" PRId64 " calls, %.2f paid, %" PRId64 " refusals",
                          state->calls, (double)state->nano / 1e9, state->refused);
    log_info("%" PRId64 " of %" PRId64 " pictures, %.1f a second%s%s, %.0f s left", state->done,
             progress->run->n_items, state->rate, teacher, state->failed > 0 ? ", some failed" : "",
             state->left_s);
    free(teacher);
    progress->told = now;
}

enum status generate_progress_share(struct generate_progress *progress,
                                    struct generate_counts *counts)
{
    enum status status = OK;
    const struct generate_run *run = progress->run;
    const double now = monotonic_seconds();
    struct state state = {0};
    if (counts->done > 0) TRY(shared_counters_add(run->counters, COUNT_DONE, counts->done, NULL));
    if (counts->failed > 0)
        TRY(shared_counters_add(run->counters, COUNT_FAILED, counts->failed, NULL));
    if (counts->refused > 0)
        TRY(shared_counters_add(run->counters, COUNT_REFUSED, counts->refused, NULL));
    if (counts->tokens > 0)
        TRY(shared_counters_add(run->counters, COUNT_TOKENS, counts->tokens, NULL));
    *counts = (struct generate_counts){0};
    if (progress->metrics == NULL) goto out;
    const bool notes = now - progress->noted >= NOTE_SECONDS;
    const bool speaks = now - progress->told >= SPEAK_SECONDS;
    if (!notes && !speaks) goto out;
    TRY(read_state(&state, progress, now));
    if (notes) TRY(note(progress, &state, now));
    if (speaks) speak(progress, &state, now);
out:
    return status;
}
