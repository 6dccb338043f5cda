/* src/device on the CPU and on the GPU that this build has, a true or an emulated one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/trace.h"
#include "device/device.h"
#include "device/event.h"
#include "device/stream.h"
#include "emulation/emulation.h"

static void assert_ok(enum status status)
{
    if (status != OK) fail_msg("%s", status_message());
}

/* Bytes go to the device, are copied there, partly zeroed, and come back. */
static void copy_and_zero(const char *name)
{
    enum { N = 1000, FIRST = 100, END = 300 };
    struct device *device = NULL;
    struct stream *stream = NULL;
    void *a = NULL, *b = NULL, *pinned = NULL;
    assert_ok(device_open(&device, name, 3));
    if (device_is_gpu(device)) assert_string_equal(getenv("CUDA_DEVICE_MAX_CONNECTIONS"), "32");
    assert_true(strlen(device_text(device)) > 0);
    assert_ok(device_stream(device, &stream, 1));
    assert_ok(stream_take(stream, &a, N, "one"));
    assert_ok(stream_take(stream, &b, N, "two"));
    assert_ok(stream_take_host(stream, &pinned, N, "three"));
    assert_int_equal((uintptr_t)a % 256, 0);
    unsigned char *bytes = pinned, back[N];
    for (int i = 0; i < N; i++) bytes[i] = (unsigned char)(i * 7 + 1);
    assert_ok(stream_copy(stream, a, bytes, N));
    assert_ok(stream_copy(stream, b, a, N));
    assert_ok(stream_zero(stream, (char *)b + FIRST, END - FIRST));
    assert_ok(stream_read(stream, back, b, N));
    for (int i = 0; i < N; i++)
        assert_int_equal(back[i], i >= FIRST && i < END ? 0 : (unsigned char)(i * 7 + 1));
    stream_give_host(stream, pinned);
    stream_give(stream, b);
    stream_give(stream, a);
    stream_destroy(stream);
    device_close(device);
}

static void memory_on_the_cpu(void **state)
{
    (void)state;
    copy_and_zero("cpu");
}

static void memory_on_the_gpu(void **state)
{
    (void)state;
    copy_and_zero("cuda");
}

static void too_much_memory_is_a_sentence(void **state)
{
    (void)state;
    static const char *const names[] = {"cpu", "cuda"};
    for (int i = 0; i < 2; i++) {
        struct device *device = NULL;
        void *memory = NULL;
        struct stream *stream = NULL;
        assert_ok(device_open(&device, names[i], 0));
        assert_ok(device_stream(device, &stream, 1));
        assert_int_equal(stream_take(stream, &memory, SIZE_MAX / 4, "activations"), ERR_MEMORY);
        assert_non_null(strstr(status_message(), "activations"));
        assert_ok(stream_take(stream, &memory, 100, "something small"));
        stream_give(stream, memory);
        stream_destroy(stream);
        device_close(device);
    }
}

/* Work on one stream that waits for another's: what the host reads last is what was sent first. */
static void streams_wait_for_events(void **state)
{
    (void)state;
    enum { N = 1000 };
    static const char *const names[] = {"cpu", "cuda"};
    static int64_t from[N], to[N];
    for (int64_t i = 0; i < N; i++) from[i] = i * i;
    for (int name = 0; name < 2; name++) {
        struct device *device = NULL;
        struct stream *one = NULL, *other = NULL;
        struct event *begin = NULL, *sent = NULL;
        void *memory = NULL;
        bool happened = false;
        double ms = -1;
        if (device_open(&device, names[name], 0) != OK) continue; /* no GPU */
        assert_ok(device_stream(device, &one, 1));
        assert_ok(device_side_stream(device, &other));
        assert_ok(stream_take(one, &memory, sizeof from, "a test"));
        assert_ok(event_create(&begin, one));
        assert_ok(event_create(&sent, one));
        assert_ok(event_happened(begin, &happened));
        assert_true(happened); /* as long as it was not recorded */
        assert_ok(event_record(begin, one));
        assert_ok(stream_copy(one, memory, from, sizeof from));
        assert_ok(event_record(sent, one));
        assert_ok(event_hold(other, sent));
        assert_ok(stream_read(other, to, memory, sizeof to));
        assert_memory_equal(to, from, sizeof to);
        assert_ok(event_wait(sent));
        assert_ok(event_happened(sent, &happened));
        assert_true(happened);
        assert_ok(event_elapsed(begin, sent, &ms));
        assert_true(ms >= 0);
        event_destroy(begin);
        event_destroy(sent);
        stream_give(one, memory);
        stream_destroy(other);
        stream_destroy(one);
        device_close(device);
    }
}

/* With a GPU open, spans of the trace are ranges of its profilers. */
static void spans_are_ranges(void **state)
{
    (void)state;
    struct device *device = NULL;
    if (emulation_range == NULL) skip(); /* a true GPU: only a profiler sees them */
    trace_push("phase", "before");
    assert_ok(device_open(&device, "cuda", 0));
    trace_push("phase", "step");
    trace_push("part", "forward");
    assert_string_equal(emulation_range(), "forward");
    trace_pop(0);
    assert_string_equal(emulation_range(), "step");
    trace_pop(0);
    trace_pop(0);
    assert_string_equal(emulation_range(), "");
    trace_follow(NULL);
    trace_push("phase", "alone");
    assert_string_equal(emulation_range(), "");
    trace_pop(0);
    device_close(device);
}

static void unknown_devices_are_refused(void **state)
{
    (void)state;
    struct device *device = NULL;
    assert_int_equal(device_open(&device, "tpu", 0), ERR_ARGUMENT);
    assert_non_null(strstr(status_message(), "take cpu or cuda"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_on_the_cpu),
        cmocka_unit_test(memory_on_the_gpu),
        cmocka_unit_test(too_much_memory_is_a_sentence),
        cmocka_unit_test(streams_wait_for_events),
        cmocka_unit_test(spans_are_ranges),
        cmocka_unit_test(unknown_devices_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
