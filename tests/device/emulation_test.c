/* The emulated GPU finds what it is there for: each fault is made on purpose. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/device.h"
#include "device/stream.h"
#include "emulation/broken_kernels.h"
#include "emulation/emulation.h"

#define N BROKEN_THREADS

struct gpu {
    struct device *device;
    struct stream *stream;
    int *in, *out; /* [N], the GPU's */
};

static void assert_ok(enum status status)
{
    if (status != OK) fail_msg("%s", status_message());
}

static struct gpu gpu_open(void)
{
    struct gpu gpu = {0};
    void *memory = NULL;
    int values[N];
    for (int i = 0; i < N; i++) values[i] = i;
    assert_ok(device_open(&gpu.device, "cuda", 0));
    assert_ok(device_stream(gpu.device, &gpu.stream, 1));
    assert_ok(stream_take(gpu.stream, &memory, sizeof values, "in"));
    gpu.in = memory;
    assert_ok(stream_take(gpu.stream, &memory, sizeof values, "out"));
    gpu.out = memory;
    assert_ok(stream_copy(gpu.stream, gpu.in, values, sizeof values));
    assert_ok(stream_wait(gpu.stream));
    return gpu;
}

static void gpu_close(struct gpu *gpu)
{
    stream_give(gpu->stream, gpu->in);
    stream_give(gpu->stream, gpu->out);
    stream_destroy(gpu->stream);
    device_close(gpu->device);
}

/* How many of the reversed numbers are right, with the threads in that order. */
static int count_right(struct gpu *gpu, bool waits, unsigned order)
{
    int got[N], right = 0;
    emulation_set_order(order);
    broken_reverse(gpu->out, gpu->in, waits, gpu->stream);
    assert_ok(stream_read(gpu->stream, got, gpu->out, sizeof got));
    for (int i = 0; i < N; i++) right += got[i] == N - 1 - i;
    emulation_set_order(0);
    return right;
}

static void a_missing_barrier_shows(void **state)
{
    (void)state;
    struct gpu gpu = gpu_open();
    assert_true(count_right(&gpu, false, 0) < N); /* first: shared memory keeps what it held */
    for (unsigned order = 0; order < 3; order++)
        assert_int_equal(count_right(&gpu, true, order), N);
    gpu_close(&gpu);
}

/* How many are right where all groups of copies but so many of the last were waited for. */
static int count_copied(struct gpu *gpu, unsigned but_last)
{
    int got[N], right = 0;
    broken_copy(gpu->out, gpu->in, but_last, gpu->stream);
    assert_ok(stream_read(gpu->stream, got, gpu->out, sizeof got));
    for (int i = 0; i < N; i++) right += got[i] == N - 1 - i;
    return right;
}

static void a_copy_that_nobody_waited_for_shows(void **state)
{
    (void)state;
    struct gpu gpu = gpu_open();
    assert_int_equal(count_copied(&gpu, 0), N);
    assert_int_equal(count_copied(&gpu, 1), N);
    assert_true(count_copied(&gpu, 2) < N);
    gpu_close(&gpu);
}

/* The signal that ends a child which does `fault`; 0: none. */
static int signal_of(void (*fault)(struct gpu *gpu))
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct gpu gpu = gpu_open();
        (void)signal(SIGSEGV, SIG_DFL);
        (void)signal(SIGABRT, SIG_DFL);
        (void)close(STDERR_FILENO);
        fault(&gpu);
        _exit(0);
    }
    int code = 0;
    assert_int_equal(waitpid(child, &code, 0), child);
    if (WIFSIGNALED(code)) return WTERMSIG(code);
    return WEXITSTATUS(code) == 0 ? 0 : SIGSEGV; /* a sanitizer ends with a code of its own */
}

static void read_from_the_host(struct gpu *gpu)
{
    const volatile int *memory = gpu->in;
    (void)memory[0];
}

static void barrier_of_some(struct gpu *gpu)
{
    broken_barrier(gpu->out, gpu->stream);
    (void)stream_wait(gpu->stream);
}

static void copies_left_under_way(struct gpu *gpu)
{
    broken_copy(gpu->out, gpu->in, 3, gpu->stream);
    (void)stream_wait(gpu->stream);
}

static void nothing(struct gpu *gpu)
{
    gpu_close(gpu);
}

static void faults_end_the_program(void **state)
{
    (void)state;
    assert_int_equal(signal_of(nothing), 0);
    assert_int_equal(signal_of(read_from_the_host), SIGSEGV);
    assert_int_equal(signal_of(barrier_of_some), SIGABRT);
    assert_int_equal(signal_of(copies_left_under_way), SIGABRT);
}

static void nothing_happens_before_a_wait(void **state)
{
    (void)state;
    struct gpu gpu = gpu_open();
    int got[N];
    memset(got, 0xff, sizeof got);
    assert_ok(stream_copy(gpu.stream, got, gpu.in, sizeof got));
    assert_int_equal(got[1], -1);
    assert_ok(stream_wait(gpu.stream));
    assert_int_equal(got[1], 1);
    gpu_close(&gpu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_barrier_shows),
        cmocka_unit_test(a_copy_that_nobody_waited_for_shows),
        cmocka_unit_test(faults_end_the_program),
        cmocka_unit_test(nothing_happens_before_a_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
