/* A checkpoint's manifest under a checksum that holds, beside two data files: opened and verified.
 * Of one that is taken every element of every tensor is there once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/status.h"
#include "checkpoint/run_checkpoint.h"
#include "fuzz/fuzz.h"

#define FIRST  "data-00000-000.bin"
#define SECOND "data-00001-000.bin"
#define MOST   4096 /* elements that are read */

static void write_data(void)
{
    static const uint8_t zeros[192];
    fuzz_folder_file(FIRST, zeros, 128);
    fuzz_folder_file(SECOND, zeros, 192);
}

/* The checksum is made right, or no input would get past it. */
static void write_manifest(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 32);
    fuzz_require(text != NULL, "no memory");
    const int head = snprintf(text, 32, "{\"crc32c\":\"%08x\",", crc32c(0, data, size));
    memcpy(text + head, data, size);
    fuzz_folder_file("manifest.json", (const uint8_t *)text, (size_t)head + size);
    free(text);
}

/* All tensors together are no more than the files. */
static void read_all(const struct run_checkpoint *checkpoint)
{
    float values[MOST];
    for (int64_t i = 0; i < run_checkpoint_size(checkpoint); i++) {
        const int64_t n = checkpoint_tensor_size(run_checkpoint_tensor(checkpoint, i));
        fuzz_require(n <= MOST, "a tensor is larger than its files");
        if (run_checkpoint_read(checkpoint, i, values) != OK) status_clear();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int ready;
    struct run_checkpoint *checkpoint = NULL;
    if (!ready) write_data();
    ready = 1;
    write_manifest(data, size);
    if (run_checkpoint_open(&checkpoint, fuzz_folder()) != OK) return 0;
    if (run_checkpoint_verify(checkpoint) != OK) status_clear();
    read_all(checkpoint);
    run_checkpoint_close(checkpoint);
    return 0;
}
