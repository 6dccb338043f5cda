#!/bin/bash
# The reference results that travel with the sources: the whole model's forward, loss and gradients,
# greedy decoding, the schedule and the decay groups, on both tables of kernels.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${ROBIN_BUILD:-build/cpu}
for kernels in ref cpu; do
    "$build/tests/golden" --kernels "$kernels" tests/data/golden/*/
done
