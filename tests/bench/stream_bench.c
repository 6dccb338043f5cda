/* Streams one epoch of corpora of any size through the loader, nothing behind it: how long until
 * the first batch is there, samples and bytes a second, resident memory. Under mpirun the ranks
 * share it.
 *
 * usage: [launch/mpirun.sh -np N] stream_bench CORPUS... ; ROBIN_TASK (default sg), ROBIN_SIDE
 * (pixels a side, default 128), ROBIN_THREADS; ROBIN_SHARE=16: a sixteenth of each corpus */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/allocator.h"
#include "base/text_buffer.h"
#include "support/bench.h"
#include "train/corpus_source.h"

enum { GLOBAL_BATCH = 64, MAX_CORPORA = 16 };

struct streaming {
    struct comm *comm;
    struct corpus_entry entries[MAX_CORPORA];
    struct order_source sources[MAX_CORPORA];
    const struct task *task;
    int n_corpora;
    struct tokenizer *tokenizer;
    struct order *order;
    struct corpus_source samples;
    struct model_config config;
    double start, first, first_cpu; /* seconds */
    int64_t n_samples, n_images, n_regions, n_tokens, n_skipped;
};

static double seconds(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* An environment's whole number, or what stands in for it. */
static int64_t setting(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoll(text, NULL, 10) : otherwise;
}

static enum status open_corpora(struct streaming *s, char **folders, int n)
{
    enum status status = OK;
    const char *task = getenv("ROBIN_TASK");
    s->task = task_find(task != NULL ? task : "sg");
    if (s->task == NULL || n > MAX_CORPORA)
        FAIL(ERR_ARGUMENT, "%d corpora, task %s: at most %d, and a task that exists", n, task,
             MAX_CORPORA);
    TRY(tokenizer_open(&s->tokenizer, "datasets/tokenizer-scenes"));
    for (; s->n_corpora < n; s->n_corpora++) {
        struct corpus_entry *entry = &s->entries[s->n_corpora];
        *entry = (struct corpus_entry){
            .tasks = &s->task, .n_tasks = 1, .options = task_options_default()};
        TRY(corpus_open(&entry->corpus, folders[s->n_corpora]));
        s->sources[s->n_corpora] = (struct order_source){.name = folders[s->n_corpora],
                                                         .n_records = corpus_size(entry->corpus) /
                                                                      setting("ROBIN_SHARE", 1),
                                                         .n_tasks = 1,
                                                         .weight = 1};
    }
    TRY(order_create(&s->order, 1, GLOBAL_BATCH, s->sources, n));
    s->samples =
        (struct corpus_source){.entries = s->entries, .tokenizer = s->tokenizer, .seed = 1};
    const int64_t side = setting("ROBIN_SIDE", 128);
    s->config = (struct model_config){
        .image_height = side, .image_width = side, .extractor = {.mask_side = 28}};
out:
    return status;
}

static struct loader_options options_of(const struct streaming *s)
{
    const int64_t rows = s->config.image_height / 16;
    return (struct loader_options){.comm = s->comm,
                                   .dp_rank = comm_rank(s->comm),
                                   .order = s->order,
                                   .source = corpus_source_samples(&s->samples),
                                   .config = &s->config,
                                   .rows = {.mask_id = tokenizer_id(s->tokenizer, "<mask>"),
                                            .vocab = tokenizer_size(s->tokenizer),
                                            .image_rows = rows * rows,
                                            .max_length = 8192},
                                   .pack = {.mode = PACK_BALANCED,
                                            .n_ranks = comm_size(s->comm),
                                            .limits = {64, 2000, 64, 16384, 16384},
                                            .cost = {.token = 1, .image = 1}},
                                   .image_mode = IMAGE_MODE_PAD,
                                   .n_threads = bench_threads(),
                                   .prefetch = 4,
                                   .prefetch_bytes = (int64_t)256 << 20,
                                   .end_step = order_epoch_size(s->order) / GLOBAL_BATCH};
}

static enum status stream(struct streaming *s)
{
    enum status status = OK;
    struct loader *loader = NULL;
    const struct global_batch *batch;
    const struct loader_options options = options_of(s);
    TRY(loader_create(&loader, &options));
    for (int64_t step = 0; step < options.end_step; step++) {
        TRY(loader_next_batch(loader, &batch));
        s->n_samples += batch->n_samples;
        s->n_skipped += batch->n_skipped;
        for (int64_t m = 0; m < batch->n_mine; m++) {
            struct micro_batch *micro;
            TRY(loader_next_micro(loader, &micro));
            s->n_images += micro->batch.n_images;
            s->n_regions += micro->batch.n_regions;
            s->n_tokens += micro->batch.n_tokens;
            micro_batch_destroy(micro);
            if (s->first > 0) continue;
            s->first = seconds(CLOCK_MONOTONIC) - s->start;
            s->first_cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        }
    }
out:
    loader_destroy(loader);
    return status;
}

static enum status report(struct streaming *s, double cpu_start)
{
    enum status status = OK;
    const double wall = seconds(CLOCK_MONOTONIC) - s->start;
    int64_t sums[3] = {s->n_images, s->n_regions, s->n_tokens};
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_start, memory = bench_resident_mib();
    TRY(comm_sum_int64(s->comm, sums, 3));
    TRY(comm_sum_double(s->comm, &cpu, 1));
    TRY(comm_sum_double(s->comm, &memory, 1));
    if (comm_rank(s->comm) > 0) goto out;
    char *size = text_format("%d ranks, %d threads", comm_size(s->comm), bench_threads());
    bench_row("stream, first batch", size, "%.3f s after opening began, %.3f s of processor time",
              s->first, s->first_cpu - cpu_start);
    bench_row("stream, epoch", size,
              "%lld samples (%lld skipped), %lld images, %lld regions, %lld tokens",
              (long long)s->n_samples, (long long)s->n_skipped, (long long)sums[0],
              (long long)sums[1], (long long)sums[2]);
    bench_row("stream, epoch", size,
              "%.1f s, %.0f images/s; %.1f s of processor time, %.0f images/s of one core", wall,
              (double)sums[0] / wall, cpu, (double)sums[0] / cpu);
    bench_row("stream, resident", size, "%.0f MB on all ranks", memory);
    free(size);
out:
    return status;
}

int main(int argc, char **argv)
{
    allocator_keep_blocks(); /* as the program does */
    enum status status = OK;
    struct streaming s = {0};
    if (argc < 2) {
        bench_row("stream", "an epoch", "skipped: give it corpora, see tests/bench/stream_bench.c");
        return 0;
    }
    TRY(comm_create(&s.comm, NULL));
    s.start = seconds(CLOCK_MONOTONIC);
    const double cpu_start = seconds(CLOCK_PROCESS_CPUTIME_ID);
    TRY(open_corpora(&s, argv + 1, argc - 1));
    TRY(stream(&s));
    TRY(report(&s, cpu_start));
out:
    if (status != OK) fprintf(stderr, "error: %s\n", status_message());
    order_destroy(s.order);
    for (int i = 0; i < s.n_corpora; i++) corpus_close(s.entries[i].corpus);
    tokenizer_close(s.tokenizer);
    comm_destroy(s.comm);
    return status == OK ? 0 : 1;
}
