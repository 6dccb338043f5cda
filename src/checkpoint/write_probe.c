/* Timed writes of a file that is removed at once; should it stay, its name is a leftover's. */
#include "checkpoint/write_probe.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "checkpoint/checkpoint_names.h"
#include "checkpoint/checkpoint_shard.h"

#define PROBE_BYTES ((size_t)32 << 20)
#define ROUNDS      2
#define CACHE_GAIN  2 /* a few megabytes go through the cache better than a checkpoint does */

/* Nanoseconds until the file is on disk; -1 where this file system has no way past the cache. */
static enum status write_once(int64_t *ns_out, const struct file_layer *layer, const char *path,
                              const unsigned char *bytes, bool direct)
{
    enum status status = OK;
    struct layer_file file = {.fd = -1};
    bool way = direct;
    const double start = monotonic_seconds();
    TRY(layer_file_create(&file, layer, path, &way));
    *ns_out = -1;
    if (way != direct) goto out;
    for (size_t at = 0; at < PROBE_BYTES; at += SHARD_CHUNK_BYTES)
        TRY(layer_file_write(&file, bytes + at, SHARD_CHUNK_BYTES, at));
    TRY(layer_file_finish(&file));
    *ns_out = (int64_t)((monotonic_seconds() - start) * 1e9);
out:
    layer_file_abandon(&file);
    return status;
}

/* This rank's best of each way: [0] through the cache, [1] past it. */
static enum status measure(int64_t best[2], const struct file_layer *layer, const char *path)
{
    enum status status = OK;
    unsigned char *bytes = aligned_alloc(FILE_LAYER_ALIGNMENT, PROBE_BYTES);
    if (bytes == NULL) FAIL(ERR_MEMORY, "no memory to try the disk with");
    const struct random_stream stream = random_stream(1, path); /* a disk may be quick with zeros */
    for (size_t i = 0; i < PROBE_BYTES / sizeof(uint64_t); i++)
        ((uint64_t *)(void *)bytes)[i] = random_u64(stream, i);
    best[0] = best[1] = INT64_MAX;
    for (int i = 0; i < 2 * ROUNDS; i++) {
        int64_t ns = 0;
        TRY(write_once(&ns, layer, path, bytes, i % 2 > 0));
        if (ns < 0) break; /* there is one way */
        if (ns < best[i % 2]) best[i % 2] = ns;
    }
    TRY(layer_remove(layer, path));
out:
    if (status != OK) (void)layer->remove(layer->context, path);
    free(bytes);
    return status;
}

bool write_probe_choice(int64_t past_ns, int64_t through_ns)
{
    return past_ns / CACHE_GAIN < through_ns;
}

enum status write_probe(bool *direct_out, struct comm *comm, const struct file_layer *layer,
                        const char *directory, size_t bytes)
{
    enum status status = OK;
    int64_t most = (int64_t)bytes, numbers[3] = {0}; /* failed, through the cache, past it */
    char *path = text_format("%s/step-probe-%d" CHECKPOINT_PARTIAL, directory, comm_rank(comm));
    *direct_out = true;
    TRY(comm_max_int64(comm, &most, 1));
    if ((size_t)most < WRITE_PROBE_LEAST) goto out;
    if (comm_rank(comm) == 0) numbers[0] = layer_make_directories(layer, directory) != OK;
    TRY(comm_max_int64(comm, numbers, 1));
    if (numbers[0] == 0) numbers[0] = measure(numbers + 1, layer, path) != OK;
    if (numbers[0] > 0 && status_message()[0] != '\0')
        log_warn("how the disk writes fastest is not known: %s", status_message());
    status_clear();
    TRY(comm_max_int64(comm, numbers, 3));
    if (numbers[0] > 0) goto out;
    *direct_out = write_probe_choice(numbers[2], numbers[1]);
    const double mb = (double)PROBE_BYTES / 1e6;
    if (numbers[2] == INT64_MAX)
        log_info("checkpoints go through the page cache: %s has no way past it", directory);
    else
        log_info(
            "checkpoints go %s the page cache: each rank wrote %.0f MB/s past it, %.0f through "
            "it",
            *direct_out ? "past" : "through", mb / ((double)numbers[2] * 1e-9),
            mb / ((double)numbers[1] * 1e-9));
out:
    free(path);
    return status;
}
