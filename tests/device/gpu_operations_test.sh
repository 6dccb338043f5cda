#!/bin/bash
# The benchmark of the GPU's operations runs through, on both tables; on the emulated GPU where
# there is no other.
set -uo pipefail
build=${ROBIN_BUILD:-build/cpu}
for table in cuda cuda-bf16; do
    rows=$("$build/tests/gpu/gpu_operations" --small --table "$table" | grep -c ' ms ')
    [ "$rows" = 24 ] || { echo "FAILED: $rows rows for $table"; exit 1; }
done
if "$build/tests/gpu/gpu_operations" --table tpu 2>/dev/null; then
    echo "FAILED: no such table"
    exit 1
fi
