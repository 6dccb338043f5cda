/* Algorithms of matrix products: timed, chosen, and refused where they cannot be used. On an
 * emulated GPU, whose library has three that differ in time and in the last bits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text_buffer.h"
#include "device/device.h"
#include "device/stream.h"
#include "emulation/emulation.h"
#include "support/kernel_test.h"

enum { N = 24, O = 16, I = 64 };
static const struct linear_size layers[] = {{N, O, I, false}, {N, 2 * O, I, true}};

struct gpu {
    const struct kernels *kernels;
    struct device *device;
    struct stream *stream;
    float *x, *w, *out; /* [N, I], [O, I], [N, O], the GPU's */
};

static bool open_gpu(struct gpu *gpu)
{
    void *memory = NULL;
    *gpu = (struct gpu){.kernels = kernels_find("cuda")};
    if (gpu->kernels == NULL) return false;
    if (device_open(&gpu->device, "cuda", 0) != OK) return false;
    float *x = kernel_random("products.x", N * I, -1, 1), *w = kernel_random("w", O * I, -1, 1);
    kernel_ok(device_stream(gpu->device, &gpu->stream, 1));
    kernel_ok(stream_take(gpu->stream, &memory, (N * I + O * I + N * O) * sizeof(float), "test"));
    gpu->x = memory;
    gpu->w = gpu->x + N * I;
    gpu->out = gpu->w + O * I;
    kernel_ok(stream_copy(gpu->stream, gpu->x, x, N * I * sizeof(float)));
    kernel_ok(stream_copy(gpu->stream, gpu->w, w, O * I * sizeof(float)));
    kernel_ok(stream_wait(gpu->stream));
    free(x);
    free(w);
    return true;
}

static void close_gpu(struct gpu *gpu)
{
    stream_give(gpu->stream, gpu->x);
    stream_destroy(gpu->stream);
    device_close(gpu->device);
}

/* x w^T with these choices. */
static void compute(struct gpu *gpu, float out[N * O], const char *choices)
{
    kernel_ok(gpu->kernels->products_use(choices, gpu->stream));
    kernel_ok(gpu->kernels->linear_forward(gpu->out, gpu->x, gpu->w, NULL, N, O, I, gpu->stream));
    kernel_ok(stream_read(gpu->stream, out, gpu->out, N * O * sizeof(float)));
}

static char *measure(struct gpu *gpu, const char *known)
{
    char *choices = NULL;
    kernel_ok(gpu->kernels->products_measure(&choices, known, layers, 2, gpu->stream));
    return choices;
}

static int count_lines(const char *text)
{
    int n = 0;
    for (; *text != '\0'; text++) n += *text == '\n';
    return n;
}

static void the_fastest_is_kept_and_not_timed_again(void **state)
{
    (void)state;
    struct gpu gpu;
    if (!open_gpu(&gpu)) skip();
    char *choices = measure(&gpu, "");
    assert_int_equal(count_lines(choices), 6);
    assert_non_null(strstr(choices, "16 32 64 tn f32 f32: ")); /* 24 rows: as 32 */
    assert_non_null(strstr(choices, "64 16 32 nt f32 f32 add: "));
    assert_non_null(strstr(choices, "32 32 64 tn f32 f32 bias: "));
    if (emulation_set_order != NULL)
        assert_non_null(strstr(choices, " 60.2500 ms, the first 80.3333 ms"));
    char *again = measure(&gpu, choices);
    assert_string_equal(again, choices);
    kernel_ok(gpu.kernels->products_use(choices, gpu.stream));
    free(again);
    free(choices);
    close_gpu(&gpu);
}

static void a_choice_changes_who_computes(void **state)
{
    (void)state;
    struct gpu gpu;
    float first[N * O], chosen[N * O], again[N * O];
    if (emulation_set_order == NULL || !open_gpu(&gpu)) skip();
    char *choices = measure(&gpu, "");
    compute(&gpu, first, "");
    compute(&gpu, chosen, choices);
    compute(&gpu, again, choices);
    assert_memory_equal(chosen, again, sizeof again);
    assert_true(memcmp(first, chosen, sizeof first) != 0);
    for (int i = 0; i < N * O; i++) assert_true(fabsf(first[i] - chosen[i]) < 1e-4f);
    compute(&gpu, again, "");
    assert_memory_equal(first, again, sizeof again);
    free(choices);
    close_gpu(&gpu);
}

static void what_the_library_refuses_is_computed_by_its_first(void **state)
{
    (void)state;
    struct gpu gpu;
    float first[N * O], other[N * O];
    if (emulation_set_order == NULL || !open_gpu(&gpu)) skip();
    char *choices = measure(&gpu, "");
    compute(&gpu, first, "");
    char *wrong = text_copy(choices), *line = strstr(wrong, "16 32 64 tn f32 f32: ");
    assert_non_null(line);
    strchr(line, ':')[3] = '9'; /* an algorithm that it does not have */
    compute(&gpu, other, wrong);
    assert_memory_equal(first, other, sizeof first);
    free(wrong);
    free(choices);
    close_gpu(&gpu);
}

static void other_lines_are_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {"16 32 64 tn f32 f32: 01\n", "nothing\n", "no end",
                                        "16 32 64 tn f32 f32: 0g00000000 1 ms\n"};
    struct gpu gpu;
    if (!open_gpu(&gpu)) skip();
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_int_equal(gpu.kernels->products_use(lines[i], gpu.stream), ERR_FORMAT);
        assert_non_null(strstr(status_message(), "this is no choice of an algorithm"));
    }
    close_gpu(&gpu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fastest_is_kept_and_not_timed_again),
        cmocka_unit_test(a_choice_changes_who_computes),
        cmocka_unit_test(what_the_library_refuses_is_computed_by_its_first),
        cmocka_unit_test(other_lines_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
