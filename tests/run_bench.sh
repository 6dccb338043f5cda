#!/bin/bash
# Runs every benchmark program of tests/bench. Give the machine nothing else to do meanwhile.
#
# usage: tests/run_bench.sh BUILD
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

build=${1:?usage: tests/run_bench.sh BUILD}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}
failed=0
for source in tests/bench/*.c; do
    [ -e "$source" ] || continue
    "$build/${source%.c}" || failed=$((failed + 1))
done
for script in tests/bench/*_bench.sh; do
    "$script" "$build" || failed=$((failed + 1))
done
[ "$failed" -eq 0 ]
