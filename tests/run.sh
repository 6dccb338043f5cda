#!/bin/bash
# Runs every test program of a build and closes with one line that counts tests.
#
# usage: tests/run.sh BUILD [PATTERN...]     BUILD is build/cpu or build/asan; a path with one of the
#        patterns in it is picked
#
# A test is tests/FOLDER/NAME_test.c (a cmocka program), .sh or .py (one test each: exit code 0
# passed, 77 skipped, else failed). A C test with "mpi: 1 2 4" in its first three lines runs once
# per count under launch/mpirun.sh. Each small folder of reference tensors is one test of the
# golden tool.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

build=${1:?usage: tests/run.sh BUILD [PATTERN...]}
patterns=("${@:2}")
limit_s=${ROBIN_TEST_LIMIT_S:-600}
shared=${ROBIN_SHARED:-../shared}
large=" convnext_large mask_extractor_large lm_3b_two_layers lm_3b robin_3b "
# Folders of later work: evaluation by sentence embeddings, tools and not tensors.
other=" sbert make make_text "
logs=$build/test-logs
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}
export ROBIN_SHARED=$shared ROBIN_BUILD=$build PYTHONDONTWRITEBYTECODE=1 ROBIN_CACHE=$logs/cache
# MPI and HDF5 keep memory until the process ends; leaks of ours are found in the other programs.
export HWLOC_HIDE_ERRORS=${HWLOC_HIDE_ERRORS:-2}
export ASAN_OPTIONS=${ASAN_OPTIONS:-allocator_may_return_null=1}
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$PWD/tests/support/lsan.supp:print_suppressions=0}

passed=0
failed=0
skipped=0
reruns=()
skip_reasons=()
mkdir -p "$logs"

count() { # PATTERN FILE
    grep -c -- "$1" "$2" || true
}

# run_one NAME LOG KIND COMMAND...; KIND is cmocka, mpi or plain.
run_one() {
    local name=$1 log=$2 kind=$3 started code good bad idle
    shift 3
    started=$(date +%s)
    timeout --kill-after=10 "$limit_s" "$@" >"$log" 2>&1 </dev/null
    code=$?
    good=0 bad=0 idle=0
    if [ "$kind" = plain ]; then
        case $code in
        0) good=1 ;;
        77) idle=1 ;;
        *) bad=1 ;;
        esac
    else
        # Of an MPI program rank 0 is counted; the others speak through the exit code.
        local mine=$log
        if [ "$kind" = mpi ]; then
            mine=$log.rank0
            grep -a '^\[1,0\]' "$log" | sed -E 's/^\[1,0\]<[a-z]+>: ?//' >"$mine"
        fi
        good=$(count '^\[       OK \]' "$mine")
        bad=$(count '^\[  FAILED  \] [A-Za-z_0-9]*$' "$mine")
        idle=$(count '^\[  SKIPPED \] [A-Za-z_0-9]*$' "$mine")
        # cmocka names each failed and skipped test twice: where it ran and in its summary.
        bad=$(((bad + 1) / 2)) idle=$(((idle + 1) / 2))
        if [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
        if [ $((good + bad + idle)) -eq 0 ]; then bad=1; fi
    fi
    passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + idle))
    if [ "$idle" -gt 0 ]; then
        while IFS= read -r reason; do skip_reasons+=("$reason"); done \
            < <(grep -aoE 'skipped: .*' "$log" | sort -u)
    fi
    local seconds=$(($(date +%s) - started))
    if [ "$bad" -eq 0 ]; then
        echo "ok      $name ($good passed, $idle skipped, $seconds s)"
        return
    fi
    echo "FAILED  $name ($bad failed, exit code $code, $seconds s); its last lines:"
    grep -avE '^(\[1,[0-9]+\]<[a-z]+>: ?)?\[ (RUN     | {6}OK) \]' "$log" | tail -n 30 |
        sed 's/^/    /'
    [ "$code" -ne 124 ] || echo "    stopped after $limit_s s"
    reruns+=("ROBIN_SHARED=$shared $*")
}

picked() {
    local pattern
    [ "${#patterns[@]}" -gt 0 ] || return 0
    for pattern in "${patterns[@]}"; do
        [[ $1 != *"$pattern"* ]] || return 0
    done
    return 1
}

run_programs() {
    local source program ranks np log
    for source in tests/*/*_test.c; do
        [ -e "$source" ] || continue
        [[ $source != tests/support/* ]] || continue
        picked "$source" || continue
        program=$build/${source%.c}
        log=$logs/$(basename "$program")
        ranks=$(head -n 3 "$source" | sed -nE 's/.*mpi: *([0-9 ]+).*/\1/p')
        if [ -z "$ranks" ]; then
            run_one "$source" "$log.log" cmocka "$program"
            continue
        fi
        for np in $ranks; do
            run_one "$source -np $np" "$log.np$np.log" mpi \
                launch/mpirun.sh -np "$np" --tag-output "$program"
        done
    done
    for source in tests/*/*_test.sh tests/*/*_test.py; do
        [ -e "$source" ] || continue
        picked "$source" || continue
        log=$logs/$(basename "$source").log
        case $source in
        *.sh) run_one "$source" "$log" plain bash "$source" ;;
        *.py) run_one "$source" "$log" plain python3 "$source" ;;
        esac
    done
}

run_golden() {
    local folder name
    [ -x "$build/tests/golden" ] || return 0
    if [ ! -d "$shared/golden" ]; then
        skip_reasons+=("skipped: no $shared/golden: the golden tool had nothing to compare")
        skipped=$((skipped + 1))
        return 0
    fi
    for folder in "$shared"/golden/*/; do
        folder=${folder%/}
        name=$(basename "$folder")
        [[ "$large$other" != *" $name "* ]] || continue
        picked "golden/$name" || continue
        run_one "golden/$name" "$logs/golden.$name.log" plain "$build/tests/golden" "$folder"
    done
}

run_programs
run_golden

if [ "${#skip_reasons[@]}" -gt 0 ]; then printf '%s\n' "${skip_reasons[@]}" | sort | uniq -c; fi
if [ "${#reruns[@]}" -gt 0 ]; then
    echo "to run again what failed:"
    printf '    %s\n' "${reruns[@]}"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ $((passed + failed)) -gt 0 ]
