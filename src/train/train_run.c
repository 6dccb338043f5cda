/* The loop of a training run. */
#include "train/train_run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "base/trace.h"
#include "train/straggler.h"
#include "train/unigram.h"

/* Up to this many skipped samples the share is not judged. */
#define SKIPPED_GRACE 1000

static enum status append_lines(const char *path, char *const *texts, int n)
{
    enum status status = OK;
    FILE *file = fopen(path, "ae");
    if (file == NULL) FAIL(ERR_IO, "cannot open %s: %s", path, strerror(errno));
    for (int i = 0; i < n; i++) fputs(texts[i], file);
    if (ferror(file)) FAIL(ERR_IO, "cannot write to %s: %s", path, strerror(errno));
out:
    if (file != NULL && fclose(file) != 0 && status == OK)
        status = status_fail(ERR_IO, "cannot write to %s: %s", path, strerror(errno));
    return status;
}

/* Collective. Skipped samples are listed in the run directory, and too many of them end the run. */
static enum status note_skipped(const struct train_run *run, const struct global_batch *batch,
                                int64_t n_skipped)
{
    enum status status = OK;
    struct comm *comm = run->parts->comm;
    char **texts = NULL, *path = path_join(run->run_dir, "skipped.txt");
    if (batch->n_skipped == 0) goto out; /* a sum over the ranks: all agree that there is none */
    TRY(comm_gather_strings(comm, &texts, batch->skipped));
    if (comm_rank(comm) == 0) status = append_lines(path, texts, comm_size(comm));
    TRY(comm_agree(comm, status));
    const double seen = (double)((batch->step + 1) * batch->n_samples);
    const double allowed = run->max_skipped * (seen > SKIPPED_GRACE ? seen : SKIPPED_GRACE);
    if ((double)n_skipped > allowed)
        status = status_fail(ERR_FORMAT,
                             "step %" PRId64 ": %" PRId64 " of %.0f samples had nothing to learn, "
                             "more than train.max_skipped allows; %s lists them with reasons",
                             batch->step, n_skipped, seen, path);
    TRY(comm_agree(comm, status));
out:
    names_free(texts, texts == NULL ? 0 : (size_t)comm_size(comm));
    free(path);
    return status;
}

/* A mean over no targets is no number. The plan is the same on all ranks. */
static enum status check_targets(const struct train_run *run, const struct global_batch *batch)
{
    enum status status = OK;
    for (int64_t m = 0; m < batch->plan.n_micro; m++) {
        const uint64_t first = batch->ids[batch->plan.slot[batch->plan.first[m]]];
        if (batch->plan.targets[m] == 0 && batch->mean_of_means)
            FAIL(ERR_FORMAT,
                 "step %" PRId64 ": no target token in the micro-batch of sample "
                 "%016" PRIx64 "; with train.loss_average microbatch it has no mean: use global",
                 batch->step, first);
    }
    if (batch->plan.n_targets == 0)
        FAIL(ERR_FORMAT,
             "step %" PRId64 ": no target token in the global batch of sample "
             "%016" PRIx64 "; its answers are empty or cut at data.max_length",
             batch->step, batch->ids[0]);
out:
    if (status != OK) status = comm_agree(run->parts->comm, status);
    return status;
}

/* What the loop adds up beside the run's progress. */
struct tally {
    struct loader *loader;
    struct unigram unigram;
    int64_t n_skipped;
    double loss; /* of the last step */
    struct straggler_times times;
};

static enum status next_micro(void *context, struct micro_batch **micro_out)
{
    enum status status = OK;
    struct tally *tally = context;
    TRY(loader_next_micro(tally->loader, micro_out));
    unigram_add(&tally->unigram, &(*micro_out)->batch);
out:
    return status;
}

static struct model_load load_of(const struct global_batch *batch)
{
    struct model_load load = {0};
    for (int64_t i = 0; i < batch->n_samples; i++) {
        const struct sample_size *size = &batch->sizes[i];
        model_load_add(&load, size->tokens, size->images, size->regions, size->targets);
    }
    return load;
}

static enum status report_step(const struct train_run *run, const struct global_batch *batch,
                               const struct run_progress *progress,
                               const struct train_result *result,
                               const struct straggler_found *slowest)
{
    enum status status = OK;
    const struct model_load load = load_of(batch);
    struct progress_step step = {
        .step = progress->step,
        .n_tokens = batch->plan.n_tokens,
        .n_targets = batch->plan.n_targets,
        .n_images = batch->plan.n_images,
        .n_samples = batch->n_samples,
        .n_skipped = batch->n_skipped,
        .n_cut = batch->n_cut,
        .n_regions = (int64_t)load.regions,
        .skipped_steps = progress->skipped_steps,
        .flops = model_flops(model_config_of(run->parts->model), run->model, &load),
        .task_loss = run->task_loss,
        .slowest = *slowest,
        .save_seconds = checkpoint_saver_stall(run_saver_files(run->saver)),
        .order_hash = progress->order_hash,
        .sample_ids = batch->ids,
        .result = result,
    };
    if (run->report != NULL) status = progress_report(run->report, &step);
    TRY(comm_agree(run->parts->comm, status));
out:
    return status;
}

/* Collective. Begins a checkpoint, and waits for it where the run ends with it. */
static enum status save(const struct train_run *run, const struct run_progress *progress, bool ends)
{
    enum status status = OK;
    TRY(run_saver_begin(run->saver, progress, ends));
    if (ends) TRY(checkpoint_saver_finish(run_saver_files(run->saver)));
out:
    return status;
}

/* Collective. One skipped step more than the run may have: what was learnt before it is saved,
 * unless the weights themselves are lost, and the run ends. */
static enum status give_up(const struct train_run *run, const struct run_progress *before,
                           const struct train_result *result)
{
    enum status status = OK;
    bool finite = false;
    TRY(run_state_weights_finite(run->parts, &finite));
    if (finite) TRY(save(run, before, true));
    FAIL(ERR_DIVERGED,
         "step %" PRId64 ": %s (loss %g, norm of the gradient %g), and train.max_skipped_steps = "
         "%" PRId64 " were skipped before it%s; lower optimizer.lr, or look at the samples that "
         "%s/metrics.jsonl lists",
         before->step + 1, step_verdict_texts[result->verdict], result->loss, result->gradient_norm,
         run->max_skipped_steps,
         finite ? "" : "; weights are not finite either, so nothing is saved", run->run_dir);
out:
    return comm_agree(run->parts->comm, status);
}

/* A step that was not taken counts, and is told; see give_up for one too many. */
static void note_verdict(struct run_progress *progress, const struct train_result *result)
{
    if (result->verdict == STEP_TAKEN) {
        run_means_add(&progress->means, result->loss, result->gradient_norm);
        return;
    }
    progress->skipped_steps++;
    log_info("warning: step %" PRId64 " is skipped: %s (loss %g, norm of the gradient %g); "
             "weights and moments stay as they were",
             progress->step + 1, step_verdict_texts[result->verdict], result->loss,
             result->gradient_norm);
}

/* Batch and step; progress moves on by one. */
static enum status one_step(const struct train_run *run, struct run_progress *progress,
                            struct tally *tally)
{
    enum status status = OK;
    const struct global_batch *batch = NULL;
    struct train_result result;
    const double start = monotonic_seconds();
    TRY(loader_next_batch(run->loader, &batch));
    tally->n_skipped += batch->n_skipped;
    TRY(note_skipped(run, batch, tally->n_skipped));
    TRY(check_targets(run, batch));
    const double waited = monotonic_seconds() - start;
    const struct train_input input = {
        .step = batch->step,
        .sample_ids = batch->ids,
        .n_samples = batch->n_samples,
        .n_micro = batch->n_mine,
        .first_micro = run->ordered && batch->n_mine > 0 ? batch->mine[0] : 0,
        .n_all_micro = run->ordered ? batch->plan.n_micro : 0,
        .next = next_micro,
        .context = tally,
        .task_loss = run->task_loss,
        .means = &progress->means,
        .spike_factor = run->spike_factor,
    };
    const struct run_progress before = *progress;
    TRY(train_step(run->parts, &input, &result));
    note_verdict(progress, &result);
    result.seconds[PHASE_DATA] += batch->waited;
    result.seconds[PHASE_REDUCE] += waited - batch->waited; /* for the other ranks' samples */
    straggler_add(&tally->times, result.seconds);
    tally->loss = result.loss;
    for (int64_t i = 0; i < batch->n_samples; i++)
        progress->order_hash = order_hash_next(progress->order_hash, batch->ids[i]);
    progress->step++;
    progress->samples += batch->n_samples;
    struct straggler_found slowest = {0};
    if (run->straggler_every > 0 && progress->step % run->straggler_every == 0)
        TRY(straggler_compare(&tally->times, &slowest, run->parts->comm));
    TRY(report_step(run, batch, progress, &result, &slowest));
    if (progress->skipped_steps > run->max_skipped_steps) TRY(give_up(run, &before, &result));
out:
    return status;
}

/* Collective: what any rank was asked for, all do; and where all have written, the checkpoint that
 * goes on behind the steps does, too. */
static enum status poll_requests(const struct train_run *run, struct stop_requests *requests_out)
{
    enum status status = OK;
    struct checkpoint_saver *files = run_saver_files(run->saver);
    bool works = checkpoint_saver_works(files);
    TRY(stop_signals_agree(run->signals, run->parts->comm, &works, requests_out));
    if (!works && !checkpoint_saver_is_idle(files)) TRY(checkpoint_saver_advance(files));
out:
    return status;
}

/* Collective. A loss means something only beside one that needs no model. */
static enum status compare_with_unigram(const struct train_run *run, struct tally *tally)
{
    enum status status = OK;
    double baseline = 0;
    TRY(unigram_loss_of_all(&tally->unigram, run->parts->comm, &baseline));
    log_info("last loss %.4f; knowing no more than how often each token comes would give %.4f",
             tally->loss, baseline);
out:
    return status;
}

/* Collective. The first step of a call warms up; the profile_steps after it are recorded. `done` of
 * this call. */
static enum status profile(const struct train_run *run, int64_t done)
{
    enum status status = OK;
    char *folder = NULL, *path = NULL;
    struct comm *comm = run->parts->comm;
    if (run->profile_steps == 0) return OK;
    if (done == 1) trace_start();
    if (done != 1 + run->profile_steps) return OK;
    trace_stop();
    folder = path_join(run->run_dir, "profile");
    path = text_format("%s/rank-%05d.json", folder, comm_rank(comm));
    status = directory_create(folder);
    if (status == OK) status = trace_write(path, comm_rank(comm));
    char *table = trace_table();
    if (comm_rank(comm) == 0)
        log_info("profile of %" PRId64 " steps on rank 0; %s opens in Perfetto:\n%s",
                 run->profile_steps, path, table);
    free(table);
    trace_clear();
    TRY(comm_agree(comm, status));
out:
    free(path);
    free(folder);
    return status;
}

enum status train_run(const struct train_run *run, struct run_progress *progress)
{
    enum status status = OK;
    const int64_t first = progress->step;
    struct tally tally = {.loader = run->loader};
    unigram_init(&tally.unigram, model_config_of(run->parts->model)->lm.vocab);
    ASSERT(optimizer_steps_done(run->parts->optimizer) == first - progress->skipped_steps,
           "the optimizer and the run are not at the same step: %" PRId64 " and %" PRId64,
           optimizer_steps_done(run->parts->optimizer), first - progress->skipped_steps);
    while (progress->step < run->total_steps) {
        struct stop_requests requests;
        TRY(one_step(run, progress, &tally));
        TRY(profile(run, progress->step - first));
        TRY(poll_requests(run, &requests));
        const bool last = progress->step == run->total_steps;
        const bool enough = run->stop_after > 0 && progress->step - first >= run->stop_after;
        const bool stop = !last && (requests.stop || enough);
        const bool due = run->save_every > 0 && progress->step % run->save_every == 0;
        if (last || stop || due || requests.checkpoint) TRY(save(run, progress, last || stop));
        if (!stop) continue;
        log_info("stopped after step %" PRId64 " of %" PRId64 "; the same command goes on there",
                 progress->step, run->total_steps);
        status_clear(); /* no failure, so no sentence */
        status = ERR_STOPPED;
        goto out;
    }
    if (progress->step > first) TRY(compare_with_unigram(run, &tally));
out:
    unigram_release(&tally.unigram);
    return status;
}
