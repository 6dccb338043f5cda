/* A safetensors file: opened, every tensor read. */
#include <stdlib.h>

#include "base/status.h"
#include "checkpoint/safetensors.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors *file = NULL;
    if (safetensors_open(&file, fuzz_file(data, size)) != OK) return 0;
    for (int64_t i = 0; i < safetensors_count(file); i++) {
        const struct safetensor *tensor = safetensors_at(file, i);
        fuzz_require(tensor->n_elements >= 0 && (uint64_t)tensor->n_elements <= size,
                     "a tensor is no larger than its file");
        fuzz_require(safetensors_find(file, tensor->name) == tensor, "a tensor is found by name");
        float *values = malloc(((size_t)tensor->n_elements + 1) * sizeof *values);
        fuzz_require(values != NULL, "memory");
        if (safetensors_read_float(file, tensor, values, 0, tensor->n_elements) != OK)
            status_clear();
        free(values);
    }
    safetensors_close(file);
    return 0;
}
