#!/bin/bash
# The benchmarks of the GPU's operations and of generation run through, on both tables; on the emulated GPU where
# there is no other.
set -uo pipefail
build=${ROBIN_BUILD:-build/cpu}
for table in cuda cuda-bf16; do
    want=26
    [ $table = cuda ] || want=29 # three more of attention, by cuDNN
    rows=$("$build/tests/gpu/gpu_operations" --small --table "$table" | grep -c ' ms ')
    [ "$rows" = $want ] || { echo "FAILED: $rows rows for $table"; exit 1; }
    rows=$("$build/tests/gpu/gpu_generate" --small --table "$table" | grep -c 'tokens/s')
    [ "$rows" = 5 ] || { echo "FAILED: $rows rows of generation for $table"; exit 1; }
done
if "$build/tests/gpu/gpu_operations" --table tpu 2>/dev/null; then
    echo "FAILED: no such table"
    exit 1
fi
