/* What saving and resuming cost on a disk: how long a run stands still for the copy of its state,
 * how fast the copy is written past the page cache and through it, and how fast it is read back,
 * each beside dd on the same disk with its data brought there.
 *
 * usage: checkpoint_bench [FOLDER [MEGABYTES [ROUNDS]]]
 *
 * Figures are the best of the rounds: the first through the page cache is often the slowest. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assertion.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text_buffer.h"
#include "checkpoint/checkpoint_commit.h"
#include "checkpoint/checkpoint_shard.h"
#include "checkpoint/manifest.h"
#include "support/bench.h"

#define N_TENSORS 24
#define SOURCE    "/dev/shm/robin-checkpoint-bench"

static void must(enum status status)
{
    ASSERT(status == OK, "%s", status_message());
}

struct subject {
    const char *folder;
    int64_t n; /* floats of each tensor */
    float *state;
    struct checkpoint_tensor tensors[N_TENSORS];
    char names[N_TENSORS][16];
    struct checkpoint_shard *shard;
    unsigned char *snapshot;
    double bytes;
};

static void make_subject(struct subject *subject, const char *folder, int64_t megabytes)
{
    struct checkpoint_source sources[N_TENSORS];
    subject->folder = folder;
    subject->n = megabytes * 1000000 / 4 / N_TENSORS;
    subject->state = bench_floats(subject->n * N_TENSORS);
    for (int64_t t = 0; t < N_TENSORS; t++) {
        snprintf(subject->names[t], sizeof subject->names[t], "tensor%" PRId64, t);
        subject->tensors[t] = (struct checkpoint_tensor){.part = CHECKPOINT_WEIGHT,
                                                         .name = subject->names[t],
                                                         .n_dims = 1,
                                                         .dims = {subject->n}};
        sources[t] = (struct checkpoint_source){.tensor = t,
                                                .runs = {.length = subject->n, .n = 1},
                                                .data = subject->state + t * subject->n};
    }
    subject->shard = checkpoint_shard_create(sources, N_TENSORS, 0);
    subject->bytes = (double)checkpoint_shard_bytes(subject->shard);
    const size_t size = checkpoint_shard_snapshot_bytes(subject->shard);
    subject->snapshot = aligned_alloc(FILE_LAYER_ALIGNMENT, size);
    ASSERT(subject->snapshot != NULL, "no memory");
    memset(subject->snapshot, 0, size);
}

/* Seconds until all of it is committed. */
static double save(const struct subject *subject, bool direct)
{
    const double start = monotonic_seconds();
    const struct checkpoint_place place = {&file_layer_system, subject->folder};
    const struct checkpoint_keep keep = {.last = 1};
    char *name = NULL, *fragment = NULL;
    struct text_buffer manifest = {0};
    json_t *about = json_object();
    const struct manifest_header header = {
        .tensors = subject->tensors, .n_tensors = N_TENSORS, .about = about};
    must(checkpoint_begin(&place, 1, &name));
    char *aside = checkpoint_aside(&place, name);
    const struct shard_writing writing = {
        .layer = place.layer, .folder = aside, .direct = direct, .snapshot = subject->snapshot};
    must(checkpoint_shard_write(subject->shard, &writing, &fragment));
    must(manifest_write(&manifest, &header, &fragment, 1));
    must(checkpoint_publish(&place, name, manifest.text, manifest.length));
    const double seconds = monotonic_seconds() - start;
    must(checkpoint_prune(&place, &keep));
    json_decref(about);
    text_release(&manifest);
    free(aside);
    free(fragment);
    free(name);
    return seconds;
}

/* The pages of a file leave the cache, so that reading reads the disk. */
static void drop_cache(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

static void drop_checkpoint(const char *path)
{
    char **names = NULL;
    size_t n = 0;
    must(directory_list(&names, &n, path));
    for (size_t i = 0; i < n; i++) {
        char *file = path_join(path, names[i]);
        drop_cache(file);
        free(file);
    }
    names_free(names, n);
}

static double load(const struct subject *subject)
{
    struct run_checkpoint *checkpoint = NULL;
    struct checkpoint_request requests[N_TENSORS];
    must(run_checkpoint_open_newest(&checkpoint, subject->folder));
    drop_checkpoint(run_checkpoint_path(checkpoint));
    for (int64_t t = 0; t < N_TENSORS; t++)
        requests[t] = (struct checkpoint_request){
            t, {{.length = subject->n, .n = 1}, subject->state + t * subject->n, 0}};
    const double start = monotonic_seconds();
    must(run_checkpoint_load(checkpoint, requests, N_TENSORS));
    const double seconds = monotonic_seconds() - start;
    run_checkpoint_close(checkpoint);
    return seconds;
}

/* Seconds of a shell command. */
static double shell(char *command)
{
    const double start = monotonic_seconds();
    ASSERT(system(command) == 0, "%s failed", command);
    const double seconds = monotonic_seconds() - start;
    free(command);
    return seconds;
}

/* The same bytes from memory: a disk may be quick with zeros. */
static double dd_write(const struct subject *subject, const char *flags)
{
    return shell(text_format("dd if=" SOURCE " of=%s/dd bs=8M conv=fdatasync %s 2>/dev/null",
                             subject->folder, flags));
}

static double dd_read(const struct subject *subject)
{
    char *path = path_join(subject->folder, "dd");
    drop_cache(path);
    free(path);
    return shell(text_format("dd if=%s/dd of=/dev/null bs=8M 2>/dev/null", subject->folder));
}

static void keep_best(double *best, double seconds)
{
    if (*best == 0 || seconds < *best) *best = seconds;
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : "build/checkpoint-bench";
    const int64_t megabytes = argc > 2 ? strtoll(argv[2], NULL, 10) : 1000;
    const int64_t rounds = argc > 3 ? strtoll(argv[3], NULL, 10) : 1;
    struct subject subject = {0};
    double copy = 0, plain = 0, direct = 0, dd = 0, dd_direct = 0, read = 0, read_dd = 0;
    must(directory_create(folder));
    make_subject(&subject, folder, megabytes);
    must(file_write_atomic(SOURCE, subject.state, (size_t)(subject.n * N_TENSORS) * sizeof(float)));
    for (int64_t round = 0; round < rounds; round++) {
        const double start = monotonic_seconds();
        checkpoint_shard_snapshot(subject.shard, subject.snapshot);
        keep_best(&copy, monotonic_seconds() - start);
        keep_best(&dd_direct, dd_write(&subject, "oflag=direct"));
        keep_best(&dd, dd_write(&subject, ""));
        keep_best(&plain, save(&subject, false));
        keep_best(&direct, save(&subject, true));
        keep_best(&read_dd, dd_read(&subject));
        keep_best(&read, load(&subject));
    }
    char *size = text_format("%.0f MB", subject.bytes / 1e6);
    bench_row("checkpoint copy", size, "%.3f s", copy);
    bench_row("checkpoint save, page cache", size, "%.0f MB/s", subject.bytes / plain / 1e6);
    bench_row("checkpoint save, direct", size, "%.0f MB/s", subject.bytes / direct / 1e6);
    bench_row("dd conv=fdatasync", size, "%.0f MB/s", subject.bytes / dd / 1e6);
    bench_row("dd conv=fdatasync oflag=direct", size, "%.0f MB/s", subject.bytes / dd_direct / 1e6);
    bench_row("checkpoint load", size, "%.0f MB/s", subject.bytes / read / 1e6);
    bench_row("dd, reading", size, "%.0f MB/s", subject.bytes / read_dd / 1e6);
    must(directory_remove(folder));
    must(directory_remove(SOURCE));
    checkpoint_shard_destroy(subject.shard);
    free(subject.snapshot);
    free(subject.state);
    free(size);
    return 0;
}
