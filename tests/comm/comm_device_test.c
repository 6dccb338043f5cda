/* comm_device.h on 2 to 4 ranks with a GPU each (emulated, where there is none): integers bit for
 * bit by NCCL and through the host, in the order of the stream; NCCL refused on a shared GPU; a
 * failure that NCCL tells of later, and a rank that does not come, are named in one line. The
 * program runs itself under mpirun with a case's name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/assertion.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "comm/comm_device.h"
#include "device/device.h"
#include "device/stream.h"
#include "emulation/emulation.h"
#include "support/mpi_run.h"

#define HANG_SECONDS 2
#define MOST         20000 /* floats: several pieces of whatever the library cuts them into */

static const char *self;

/* ---- what each rank does ---- */

struct work {
    struct comm *comm;
    struct device *device;
    struct stream *stream;
    int rank, size;
    float *values, *more; /* [4 * MOST], the device's */
};

static enum status begin_work(struct work *work, struct comm *comm, const char *backend)
{
    enum status status = OK;
    void *memory = NULL;
    const enum comm_backend way = strcmp(backend, "nccl") == 0  ? COMM_BACKEND_NCCL
                                  : strcmp(backend, "mpi") == 0 ? COMM_BACKEND_MPI
                                                                : COMM_BACKEND_AUTO;
    *work = (struct work){.comm = comm, .rank = comm_rank(comm), .size = comm_size(comm)};
    TRY(comm_agree(comm, device_open(&work->device, "cuda", work->rank)));
    TRY(device_stream(work->device, &work->stream, 1));
    TRY(stream_take(work->stream, &memory, 4 * MOST * sizeof(float), "values"));
    work->values = memory;
    TRY(stream_take(work->stream, &memory, 4 * MOST * sizeof(float), "more"));
    work->more = memory;
    TRY(comm_use_device(comm, work->device, way));
out:
    return status;
}

static void end_work(struct work *work)
{
    if (work->stream != NULL) {
        stream_give(work->stream, work->values);
        stream_give(work->stream, work->more);
    }
    stream_destroy(work->stream);
    device_close(work->device);
}

/* Small integers, others on every rank: their sums are exact in any order. */
static float value_of(int rank, int64_t i)
{
    return (float)((i * 7 + rank * 13) % 1000);
}

static void send(struct work *work, float *to, int64_t n)
{
    float *host = memory_new((size_t)n + 1, sizeof *host);
    for (int64_t i = 0; i < n; i++) host[i] = value_of(work->rank, i);
    ASSERT(stream_read(work->stream, to, host, (size_t)n * sizeof *host) == OK, "send");
    free(host);
}

/* Asks the stream and nobody else whether the collective before it is done. */
static float *receive(struct work *work, const float *from, int64_t n)
{
    float *host = memory_new((size_t)n + 1, sizeof *host);
    ASSERT(stream_read(work->stream, host, from, (size_t)n * sizeof *host) == OK, "receive");
    return host;
}

/* Parts of one length, of many, or with all in the last. */
static void make_parts(int64_t first[], int size, int kind)
{
    for (int rank = 0; rank <= size; rank++)
        first[rank] = kind == 0      ? rank * 5000
                      : kind == 1    ? rank * (rank + 3) * 700 + (rank > 1)
                      : rank == size ? 9001
                                     : 0;
}

static float sum_of(const struct work *work, int64_t i)
{
    float sum = 0;
    for (int rank = 0; rank < work->size; rank++) sum += value_of(rank, i);
    return sum;
}

static void check_reductions(struct work *work, int64_t n)
{
    send(work, work->values, n);
    send(work, work->more, n);
    ASSERT(comm_device_sum(work->comm, work->values, n, "sums", work->stream) == OK, "sum");
    ASSERT(comm_device_max(work->comm, work->more, n, "tops", work->stream) == OK, "max");
    float *sums = receive(work, work->values, n), *tops = receive(work, work->more, n);
    for (int64_t i = 0; i < n; i++) {
        float top = 0;
        for (int r = 0; r < work->size; r++) top = value_of(r, i) > top ? value_of(r, i) : top;
        ASSERT(sums[i] == sum_of(work, i), "sum %lld is %g", (long long)i, (double)sums[i]);
        ASSERT(tops[i] == top, "largest %lld is %g", (long long)i, (double)tops[i]);
    }
    free(sums);
    free(tops);
}

static void check_gather(struct work *work, const int64_t *first)
{
    const int64_t n = first[work->size];
    send(work, work->values, n);
    ASSERT(comm_device_all_gather(work->comm, work->values, first, "parts", work->stream) == OK,
           "gather");
    float *all = receive(work, work->values, n);
    for (int rank = 0; rank < work->size; rank++)
        for (int64_t i = first[rank]; i < first[rank + 1]; i++)
            ASSERT(all[i] == value_of(rank, i), "gathered %lld: %g", (long long)i, (double)all[i]);
    free(all);
}

/* Scattered sums, and the pieces that they are made of. */
static void check_scatter(struct work *work, const int64_t *first)
{
    const int64_t begin = first[work->rank], own = first[work->rank + 1] - begin;
    send(work, work->values, first[work->size]);
    ASSERT(comm_device_reduce_scatter(work->comm, work->more, work->values, first, "shards",
                                      work->stream) == OK,
           "scatter");
    float *sums = receive(work, work->more, own);
    ASSERT(comm_device_exchange(work->comm, work->more, work->values, first, "pieces",
                                work->stream) == OK,
           "exchange");
    float *pieces = receive(work, work->more, own * work->size);
    for (int64_t i = 0; i < own; i++) {
        ASSERT(sums[i] == sum_of(work, begin + i), "shard %lld: %g", (long long)i, (double)sums[i]);
        for (int rank = 0; rank < work->size; rank++)
            ASSERT(pieces[rank * own + i] == value_of(rank, begin + i), "piece %lld of %d: %g",
                   (long long)i, rank, (double)pieces[rank * own + i]);
    }
    free(sums);
    free(pieces);
}

static enum status work_values(struct work *work)
{
    static const int64_t sizes[] = {0, 1, 31, 4096, 4097, MOST};
    int64_t first[16];
    for (int i = 0; i < 6; i++) check_reductions(work, sizes[i]);
    for (int kind = 0; kind < 3; kind++) {
        make_parts(first, work->size, kind);
        check_gather(work, first);
        check_scatter(work, first);
    }
    if (work->rank == 0) printf("by %s\n", comm_has_nccl(work->comm) ? "nccl" : "mpi");
    return comm_agree(work->comm, OK);
}

/* Sums that nobody looks at. Where it `hangs` rank 1 does not come to the third. */
static enum status work_sums(struct work *work, bool hangs)
{
    enum status status = OK;
    for (int i = 0; i < 3; i++) {
        if (hangs && i == 2 && work->rank == 1) sleep(30);
        TRY(comm_device_sum(work->comm, work->values, MOST, "sums", work->stream));
        TRY(stream_wait(work->stream));
        if (hangs && i == 1) usleep(400000); /* all that is known has been reported */
    }
    TRY(comm_barrier(work->comm));
out:
    return status;
}

static int work_as(const char *name, const char *backend)
{
    enum status status = OK;
    struct comm *comm = NULL;
    struct work work = {0};
    const bool hangs = strcmp(name, "hang") == 0;
    const struct comm_options options = {.chunk_elements = 1000,
                                         .timeout_seconds = hangs ? HANG_SECONDS : 60};
    ASSERT(comm_create(&comm, &options) == OK, "%s", status_message());
    comm_set_step(comm, 17);
    status = begin_work(&work, comm, backend);
    const bool values = strcmp(name, "values") == 0;
    if (status == OK) status = values ? work_values(&work) : work_sums(&work, hangs);
    comm_check_together(comm, status);
    comm_destroy(comm);
    end_work(&work);
    return status == OK ? 0 : 2;
}

/* ---- what is expected of them ---- */

/* How many GPUs ranks can have: as many as one likes where they are emulated. */
static int count_gpus(void)
{
    char line[256];
    int n = 0;
    if (emulation_set_order != NULL) return INT32_MAX;
    FILE *list = popen("nvidia-smi -L 2>/dev/null", "r");
    while (list != NULL && fgets(line, sizeof line, list) != NULL)
        n += strncmp(line, "GPU ", 4) == 0;
    if (list != NULL) pclose(list);
    return n;
}

/* Skips the test, with the reason, where there are not that many. */
static void need_gpus(int least)
{
    const int n = count_gpus();
    if (n >= least) return;
    print_message("skipped: %d GPUs are needed, %d are there\n", least, n);
    skip();
}

static struct mpi_run run_with(const char *gpus, const char *failing, int n, const char *arguments)
{
    setenv("ROBIN_EMULATED_GPUS", gpus, 1);
    setenv("ROBIN_EMULATED_NCCL_FAILS", failing, 1);
    struct mpi_run run = mpi_run(n, self, arguments, 60);
    unsetenv("ROBIN_EMULATED_GPUS");
    unsetenv("ROBIN_EMULATED_NCCL_FAILS");
    return run;
}

static void expect(struct mpi_run run, int exit_code, const char *line)
{
    const int lines = mpi_run_lines_with(&run, line);
    if (lines != 1 || run.exit_code != exit_code)
        print_message("not once '%s', exit code %d:\n%s\n", line, run.exit_code, run.output);
    assert_int_equal(lines, 1);
    assert_int_equal(run.exit_code, exit_code);
    free(run.output);
}

static void test_by_nccl(void **state)
{
    (void)state;
    need_gpus(4);
    expect(run_with("4", "", 2, "work values nccl"), 0, "by nccl");
    expect(run_with("4", "", 4, "work values auto"), 0, "by nccl");
}

static void test_through_the_host(void **state)
{
    (void)state;
    need_gpus(1);
    expect(run_with("4", "", 3, "work values mpi"), 0, "by mpi");
    if (emulation_set_order != NULL || count_gpus() == 1)
        expect(run_with("1", "", 2, "work values auto"), 0, "by mpi");
}

static void test_shared_gpu(void **state)
{
    (void)state;
    need_gpus(1);
    if (emulation_set_order == NULL && count_gpus() >= 4) skip(); /* each has its own */
    expect(run_with("2", "", 4, "work values nccl"), 2,
           "but NCCL wants a GPU for each rank; start fewer ranks, or set parallel.backend");
}

static void test_later_failure(void **state)
{
    (void)state;
    if (emulation_set_order == NULL) skip(); /* no way to break a true network */
    expect(run_with("4", "1:3", 2, "work sums nccl"), 1, "error: rank 1 of 2 (");
    expect(run_with("4", "0:2", 2, "work sums nccl"), 1,
           ": NCCL failed in sums: remote process exited");
}

static void test_missing_rank(void **state)
{
    (void)state;
    need_gpus(2);
    struct mpi_run run = run_with("4", "", 2, "work hang nccl");
    const char *const said[] = {"error: ", "rank 1 of 2 (",
                                " is stuck at step 17, after sums, collective "};
    for (int i = 0; i < 3; i++) {
        if (mpi_run_lines_with(&run, said[i]) != 1)
            print_message("not once '%s':\n%s\n", said[i], run.output);
        assert_int_equal(mpi_run_lines_with(&run, said[i]), 1);
    }
    assert_int_equal(run.exit_code, 1);
    free(run.output);
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc >= 4 && strcmp(argv[1], "work") == 0) return work_as(argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_nccl),      cmocka_unit_test(test_through_the_host),
        cmocka_unit_test(test_shared_gpu),   cmocka_unit_test(test_later_failure),
        cmocka_unit_test(test_missing_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
