/* A run's checkpoint: opened and verified. */
#include "base/status.h"
#include "checkpoint/run_checkpoint.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run_checkpoint *checkpoint = NULL;
    if (run_checkpoint_open(&checkpoint, fuzz_file(data, size)) != OK) return 0;
    if (run_checkpoint_verify(checkpoint) != OK) status_clear();
    run_checkpoint_close(checkpoint);
    return 0;
}
