/* The states of a save: idle, all ranks write, rank 0 publishes; the last two in threads. */
#include "checkpoint/checkpoint_saver.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "checkpoint/write_probe.h"

#define POLL_NANOSECONDS 10000000

enum phase { SAVER_IDLE, SAVER_WRITING, SAVER_PUBLISHING };

struct checkpoint_saver {
    struct saver_options options;
    bool direct;
    char *directory;
    json_t *about;
    struct checkpoint_shard *shard;
    unsigned char *snapshot; /* NULL: none */
    enum phase phase;        /* the same on all ranks */
    struct run_progress progress;
    bool must; /* the save in work */
    char *name;
    char *aside;
    char *fragment;   /* of this rank */
    char **fragments; /* rank 0: of all */
    double began, stalled, stall_reported;

    pthread_t thread;
    bool has_thread;
    atomic_bool done;
    enum status status; /* of the thread */
    char *sentence;
};

static struct checkpoint_place place_of(const struct checkpoint_saver *saver)
{
    return (struct checkpoint_place){.layer = saver->options.layer, .directory = saver->directory};
}

/* ---- life ---- */

static enum status take_snapshot_memory(struct checkpoint_saver *saver)
{
    enum status status = OK;
    const size_t bytes = checkpoint_shard_snapshot_bytes(saver->shard);
    if (!saver->options.in_background || bytes == 0) return OK;
    saver->snapshot = aligned_alloc(FILE_LAYER_ALIGNMENT, bytes);
    if (saver->snapshot == NULL)
        FAIL(ERR_MEMORY,
             "no memory for a copy of the state, %.1f MB; with train.save_async=false there is "
             "none",
             (double)bytes / 1e6);
    memset(saver->snapshot, 0, bytes); /* so that the first copy does not wait for pages */
out:
    return status;
}

enum status checkpoint_saver_create(struct checkpoint_saver **saver_out,
                                    const struct saver_options *options)
{
    enum status status = OK;
    struct checkpoint_saver *saver = memory_new(1, sizeof *saver);
    saver->options = *options;
    if (options->layer == NULL) saver->options.layer = &file_layer_system;
    saver->directory = text_copy(options->directory);
    saver->about = json_deep_copy(options->about);
    saver->shard =
        checkpoint_shard_create(options->sources, options->n_sources, options->file_bytes);
    status = take_snapshot_memory(saver);
    TRY(comm_agree(options->comm, status));
    saver->direct = options->io != SAVER_IO_PLAIN;
    if (options->io == SAVER_IO_AUTO)
        TRY(write_probe(&saver->direct, options->comm, saver->options.layer, saver->directory,
                        (size_t)checkpoint_shard_bytes(saver->shard)));
    *saver_out = saver;
    saver = NULL;
out:
    checkpoint_saver_destroy(saver);
    return status;
}

/* The end of a save, whatever became of it. */
static void forget(struct checkpoint_saver *saver)
{
    names_free(saver->fragments,
               saver->fragments == NULL ? 0 : (size_t)comm_size(saver->options.comm));
    free(saver->fragment);
    free(saver->name);
    free(saver->aside);
    free(saver->sentence);
    saver->fragments = NULL;
    saver->fragment = saver->name = saver->aside = saver->sentence = NULL;
    saver->phase = SAVER_IDLE;
}

void checkpoint_saver_destroy(struct checkpoint_saver *saver)
{
    if (saver == NULL) return;
    if (saver->has_thread) pthread_join(saver->thread, NULL);
    forget(saver);
    checkpoint_shard_destroy(saver->shard);
    json_decref(saver->about);
    free(saver->snapshot);
    free(saver->directory);
    free(saver);
}

/* ---- what the threads do ---- */

static enum status write_shard(struct checkpoint_saver *saver)
{
    const struct shard_writing writing = {.layer = saver->options.layer,
                                          .folder = saver->aside,
                                          .rank = comm_rank(saver->options.comm),
                                          .direct = saver->direct,
                                          .snapshot = saver->snapshot};
    return checkpoint_shard_write(saver->shard, &writing, &saver->fragment);
}

static enum status publish(struct checkpoint_saver *saver)
{
    enum status status = OK;
    const struct checkpoint_place place = place_of(saver);
    const struct manifest_header header = {.progress = saver->progress,
                                           .tensors = saver->options.tensors,
                                           .n_tensors = saver->options.n_tensors,
                                           .about = saver->about};
    struct text_buffer manifest = {0};
    TRY(manifest_write(&manifest, &header, saver->fragments, comm_size(saver->options.comm)));
    TRY(checkpoint_publish(&place, saver->name, manifest.text, manifest.length));
    if (checkpoint_prune(&place, &saver->options.keep) != OK)
        log_warn("%s; older checkpoints stay", status_message());
out:
    text_release(&manifest);
    return status;
}

static void *thread_main(void *context)
{
    struct checkpoint_saver *saver = context;
    saver->status = saver->phase == SAVER_WRITING ? write_shard(saver) : publish(saver);
    if (saver->status != OK) saver->sentence = text_copy(status_message());
    atomic_store(&saver->done, true);
    return NULL;
}

/* Without a thread the work is done here and now. */
static void start(struct checkpoint_saver *saver, enum phase phase)
{
    sigset_t all, before;
    saver->phase = phase;
    saver->status = OK;
    atomic_store(&saver->done, false);
    if (phase == SAVER_PUBLISHING && comm_rank(saver->options.comm) > 0) {
        atomic_store(&saver->done, true);
        return;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* who handles signals is the program's affair */
    saver->has_thread = pthread_create(&saver->thread, NULL, thread_main, saver) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!saver->has_thread) (void)thread_main(saver);
}

bool checkpoint_saver_works(struct checkpoint_saver *saver)
{
    return saver->phase != SAVER_IDLE && !atomic_load(&saver->done);
}

bool checkpoint_saver_is_idle(const struct checkpoint_saver *saver)
{
    return saver->phase == SAVER_IDLE;
}

/* ---- what all ranks do together ---- */

/* Collective. One rank's failure is everybody's. Without an error to be: a warning, and OK. */
static enum status fail_together(struct checkpoint_saver *saver, enum status own)
{
    enum status status = OK;
    struct comm *comm = saver->options.comm;
    const struct checkpoint_place place = place_of(saver);
    char **sentences = NULL;
    char *sentence = NULL;
    if (own != OK)
        status_add_context("checkpoint of step %" PRId64 " is not written", saver->progress.step);
    if (comm_rank(comm) == 0 && saver->name != NULL) checkpoint_abandon(&place, saver->name);
    if (saver->must || !saver->options.failures_go_on) TRY(comm_agree(comm, own));
    sentence = own == OK ? text_copy("")
                         : text_format("rank %d of %d (%s): %s", comm_rank(comm), comm_size(comm),
                                       comm_host(comm), status_message());
    TRY(comm_gather_strings(comm, &sentences, sentence));
    for (int rank = 0; sentences != NULL && rank < comm_size(comm); rank++)
        if (sentences[rank][0] != '\0') log_warn("%s; the run goes on without it", sentences[rank]);
    status_clear();
out:
    names_free(sentences, sentences == NULL ? 0 : (size_t)comm_size(comm));
    free(sentence);
    forget(saver);
    return status;
}

/* Collective. Whether a rank failed; the own sentence is this thread's then. */
static enum status meet(struct checkpoint_saver *saver, bool *failed_out)
{
    enum status status = OK;
    int64_t failed = saver->status != OK;
    if (saver->has_thread) pthread_join(saver->thread, NULL);
    saver->has_thread = false;
    if (saver->status != OK) (void)status_fail(saver->status, "%s", saver->sentence);
    TRY(comm_max_int64(saver->options.comm, &failed, 1));
    *failed_out = failed > 0;
out:
    return status;
}

/* Collective. */
static enum status tell(struct checkpoint_saver *saver)
{
    enum status status = OK;
    int64_t bytes = (int64_t)checkpoint_shard_bytes(saver->shard);
    const double seconds = monotonic_seconds() - saver->began;
    TRY(comm_sum_int64(saver->options.comm, &bytes, 1));
    log_info("checkpoint of step %" PRId64 " in %s/%s: %.1f MB in %.2f s, in which the run stood "
             "still for %.2f s",
             saver->progress.step, saver->directory, saver->name, (double)bytes / 1e6, seconds,
             saver->stalled);
out:
    return status;
}

static enum status advance(struct checkpoint_saver *saver)
{
    enum status status = OK;
    bool failed = false;
    if (saver->phase == SAVER_IDLE) return OK;
    TRY(meet(saver, &failed));
    if (failed) return fail_together(saver, saver->status);
    if (saver->phase == SAVER_WRITING) {
        TRY(comm_gather_strings(saver->options.comm, &saver->fragments, saver->fragment));
        start(saver, SAVER_PUBLISHING);
        return OK;
    }
    TRY(tell(saver));
    forget(saver);
out:
    return status;
}

/* Collective. The work in between is waited for in short calls, which no watchdog takes for a hang.
 */
static enum status finish(struct checkpoint_saver *saver)
{
    enum status status = OK;
    const struct timespec nap = {.tv_nsec = POLL_NANOSECONDS};
    while (saver->phase != SAVER_IDLE) {
        int64_t works = checkpoint_saver_works(saver);
        TRY(comm_max_int64(saver->options.comm, &works, 1));
        if (works > 0)
            (void)nanosleep(&nap, NULL);
        else
            TRY(advance(saver));
    }
out:
    return status;
}

/* Collective. Rank 0 makes the folder and tells its name. */
static enum status make_folder(struct checkpoint_saver *saver)
{
    enum status status = OK;
    struct comm *comm = saver->options.comm;
    const struct checkpoint_place place = place_of(saver);
    char name[128] = "";
    int64_t failed = 0;
    if (comm_rank(comm) == 0) {
        status = checkpoint_begin(&place, saver->progress.step, &saver->name);
        if (status == OK) snprintf(name, sizeof name, "%s", saver->name);
        failed = status != OK;
    }
    const enum status own = status;
    TRY(comm_max_int64(comm, &failed, 1));
    if (failed > 0) return fail_together(saver, own);
    TRY(comm_broadcast(comm, name, sizeof name, 0));
    if (saver->name == NULL) saver->name = text_copy(name);
    saver->aside = checkpoint_aside(&place, saver->name);
out:
    return status;
}

static enum status begin(struct checkpoint_saver *saver, const struct run_progress *progress,
                         bool must)
{
    enum status status = OK;
    TRY(finish(saver));
    saver->progress = *progress;
    saver->must = must;
    saver->began = monotonic_seconds();
    saver->stalled = 0;
    TRY(make_folder(saver));
    if (saver->name == NULL) goto out; /* failed, and the run goes on */
    if (saver->snapshot != NULL) checkpoint_shard_snapshot(saver->shard, saver->snapshot);
    start(saver, SAVER_WRITING);
    if (!saver->options.in_background) TRY(finish(saver));
out:
    return status;
}

/* ---- the same with the clock on ---- */

static enum status timed(struct checkpoint_saver *saver, double since, enum status status)
{
    const double seconds = monotonic_seconds() - since;
    saver->stalled += seconds;
    saver->stall_reported += seconds;
    return status;
}

enum status checkpoint_saver_begin(struct checkpoint_saver *saver,
                                   const struct run_progress *progress, bool must)
{
    const double since = monotonic_seconds();
    return timed(saver, since, begin(saver, progress, must));
}

enum status checkpoint_saver_advance(struct checkpoint_saver *saver)
{
    const double since = monotonic_seconds();
    return timed(saver, since, advance(saver));
}

enum status checkpoint_saver_finish(struct checkpoint_saver *saver)
{
    const double since = monotonic_seconds();
    return timed(saver, since, finish(saver));
}

double checkpoint_saver_stall(struct checkpoint_saver *saver)
{
    const double seconds = saver->stall_reported;
    saver->stall_reported = 0;
    return seconds;
}

size_t checkpoint_saver_memory(const struct checkpoint_saver *saver)
{
    return saver->snapshot == NULL ? 0 : checkpoint_shard_snapshot_bytes(saver->shard);
}
