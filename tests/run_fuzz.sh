#!/bin/bash
# Runs every fuzz target of a build and prints a table; exit code 1 if one found something.
#
# usage: tests/run_fuzz.sh build/fuzz LIMIT [TARGET]     LIMIT is -runs=N or -max_total_time=SECONDS
#
# The inputs that libFuzzer grows stay in build/fuzz/corpus/TARGET for the next time, what it finds
# in build/fuzz/findings: copy a finding to tests/fuzz/seeds/TARGET once it is mended.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=${1:?usage: tests/run_fuzz.sh BUILD LIMIT [TARGET]}
limit=${2:?usage: tests/run_fuzz.sh BUILD LIMIT [TARGET]}
only=${3:-}
findings=$build/findings
mkdir -p "$findings"
# Short stacks, a small quarantine and no filling: twice the runs a second.
asan=allocator_may_return_null=1:malloc_context_size=6:quarantine_size_mb=16:max_malloc_fill_size=0
export ASAN_OPTIONS=${ASAN_OPTIONS:-$asan}
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$PWD/tests/support/lsan.supp:print_suppressions=0}
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
tests/fuzz/make_seeds.sh "$build/made-seeds" || exit 1

failed=0
known=0
printf '%-18s %10s %8s %9s  %s\n' target runs runs/s coverage result
for program in "$build"/tests/fuzz/*_fuzz; do
    name=$(basename "$program" _fuzz)
    [ -z "$only" ] || [ "$only" = "$name" ] || continue
    known=1
    corpus=$build/corpus/$name
    log=$build/fuzz-$name.log
    mkdir -p "$corpus"
    seeds=()
    for folder in "tests/fuzz/seeds/$name" "$build/made-seeds/$name"; do
        [ ! -d "$folder" ] || seeds+=("$folder")
    done
    options=()
    [ ! -f "tests/fuzz/$name.dict" ] || options+=("-dict=tests/fuzz/$name.dict")
    "$program" "$limit" -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 \
        -artifact_prefix="$findings/$name-" "${options[@]}" "$corpus" "${seeds[@]}" >"$log" 2>&1
    code=$?
    runs=$(sed -nE 's/^stat::number_of_executed_units: *//p' "$log")
    rate=$(sed -nE 's/^stat::average_exec_per_sec: *//p' "$log")
    coverage=$(grep -aoE 'cov: [0-9]+' "$log" | tail -n 1)
    if [ "$code" -eq 0 ]; then
        result='nothing found'
    else
        result="FOUND: $(grep -aE 'SUMMARY|broken promise' "$log" | head -n 1); see $log"
        failed=1
    fi
    printf '%-18s %10s %8s %9s  %s\n' "$name" "${runs:-?}" "${rate:-?}" "${coverage#cov: }" "$result"
done
[ "$known" -eq 1 ] || { echo "run_fuzz: no target '$only' in $build/tests/fuzz" >&2; exit 2; }
exit "$failed"
