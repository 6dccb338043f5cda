/* See bench.h. */
#include "support/bench.h"

#include <cblas.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assertion.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "device/stream.h"

enum { MIN_RUNS = 3, MAX_RUNS = 20, SGEMM_SIDE = 1024 };

static double clock_seconds(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double now_seconds(void)
{
    return clock_seconds(CLOCK_MONOTONIC);
}

void bench_side_by_side(struct bench_contestant *contestants, int n, int n_rounds)
{
    for (int round = -1; round < n_rounds; round++) {
        for (int i = 0; i < n; i++) {
            struct bench_contestant *contestant = &contestants[i];
            const double start = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
            contestant->body(contestant->context);
            const double seconds = clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - start;
            if (round <= 0 || seconds < contestant->seconds) contestant->seconds = seconds;
        }
    }
}

double bench_seconds(void (*body)(void *context), void *context)
{
    body(context);
    double first = now_seconds(), best = 0;
    for (int run = 0; run < MAX_RUNS; run++) {
        double start = now_seconds();
        body(context);
        double end = now_seconds();
        if (run == 0 || end - start < best) best = end - start;
        if (run + 1 >= MIN_RUNS && end - first > 0.5) break;
    }
    return best;
}

float *bench_floats(int64_t n)
{
    size_t bytes = ((size_t)n * sizeof(float) + 63) / 64 * 64;
    float *values = aligned_alloc(64, bytes + 64);
    ASSERT(values != NULL, "no memory for %lld floats", (long long)n);
    random_fill(values, (uint64_t)n, 0, random_stream(1, "bench"), 0, 1);
    return values;
}

struct sgemm {
    float *a, *b, *c;
    struct stream *stream;
};

static void sgemm_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct sgemm *s = argument;
    const int n = SGEMM_SIDE;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, n, 1, s->a, n, s->b, n, 0,
                s->c + block * n * n, n);
}

static void sgemm_all(void *context)
{
    struct sgemm *s = context;
    thread_pool_run(s->stream->pool, stream_threads(s->stream), sgemm_block, s);
}

double bench_sgemm_gflops(struct stream *stream)
{
    int64_t threads = stream_threads(stream), n = SGEMM_SIDE;
    struct sgemm s = {.a = bench_floats(n * n),
                      .b = bench_floats(n * n),
                      .c = bench_floats(threads * n * n),
                      .stream = stream};
    openblas_set_num_threads(1);
    double seconds = bench_seconds(sgemm_all, &s);
    free(s.a);
    free(s.b);
    free(s.c);
    return 2e-9 * (double)(threads * n * n * n) / seconds;
}

int bench_threads(void)
{
    const char *text = getenv("ROBIN_THREADS");
    long threads = text != NULL ? strtol(text, NULL, 10) : sysconf(_SC_NPROCESSORS_ONLN);
    return threads < 1 ? 1 : (int)threads;
}

double bench_resident_mib(void)
{
    double kilobytes = 0;
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0) kilobytes = strtod(line + 6, NULL);
    if (file != NULL) fclose(file);
    return kilobytes / 1024;
}

void bench_row(const char *what, const char *size, const char *format, ...)
{
    printf("%-28s %-26s ", what, size);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
}
