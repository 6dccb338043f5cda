#!/bin/bash
# The table of kernels/cuda/README.md is what step_budget.py computes.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
diff <(grep '^| ' kernels/cuda/README.md) <(python3 tests/gpu/step_budget.py | grep '^| ') || {
    echo "FAILED: kernels/cuda/README.md has another table than tests/gpu/step_budget.py prints"
    exit 1
}
python3 tests/gpu/step_budget.py --tokens 131072 | grep '^| \*\*step of 131,072 tokens' >/dev/null ||
    { echo "FAILED: no other number of tokens"; exit 1; }
