#!/bin/bash
# The long proofs of the parallel trainer: reference tensors, steps with every combination of switches and
# ten reference steps on every mesh of up to 8 ranks, 10,000 random steps on three meshes of 4 ranks, 64
# ranks against one.
#
# usage: tests/run_meshes.sh BUILD [goldens|matrix|fuzz|ranks64]...
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=${1:?usage: tests/run_meshes.sh BUILD [goldens|matrix|fuzz|ranks64]...}
shift
[ $# -gt 0 ] || set -- goldens matrix fuzz ranks64
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# 20 steps of the demo's stage 2, from new weights, on 1 rank and on 64 (dp 16 x tp 4).
ranks64() {
    local work robin=$build/robin-dist started
    work=$(mktemp -d)
    "$robin" data build scenes --count 400 --out "$work/scenes" --threads 2 >/dev/null 2>&1 || return 1
    # run RANKS RUN_DIR KEY=VALUE...
    run() {
        local ranks=$1 dir=$2
        shift 2
        started=$(date +%s)
        launch/mpirun.sh -np "$ranks" "$robin" configs/demo/stage2.yaml run_dir="$work/$dir" \
            data.sources="[{corpus: $work/scenes, tasks: [sg]}]" train.init= train.steps=20 \
            data.prefetch=1 metrics.peak_gflops=0 "$@" >"$work/log" 2>&1 || { cat "$work/log"; return 1; }
        echo "$ranks ranks: $(($(date +%s) - started)) s"
    }
    run 1 one && run 64 many parallel.tp=4 || return 1
    field() { sed -E "s/.*\"$1\": \"?([^,\"]*).*/\1/" "$work/$2/metrics.jsonl"; }
    paste -d' ' <(field loss one) <(field loss many) | awk '
        { d = ($1 - $2) / $1; if (d < 0) d = -d; if (d > worst) worst = d }
        END { printf "20 steps, worst difference of the loss %.1e\n", worst; exit NR != 20 || worst > 1e-4 }'
    local code=$?
    rm -rf "$work"
    return $code
}

# Language model and whole model, every regime of freezing, kept and recomputed, packed and not.
goldens() {
    local folder=${ROBIN_SHARED:-../shared}/golden mesh rows bad=0 names=()
    for mesh in lm_tiny lm_wide lm_packed robin_tiny robin_tiny_no_region robin_tiny_truncated \
        robin_generate_untied train_10_steps; do names+=("$folder/$mesh"); done
    for mesh in "1 1" "2 1" "2 2" "4 2" "4 1" "4 4" "8 4" "8 8"; do
        for rows in "" --sequence; do
            echo "ranks and tp $mesh $rows"
            # shellcheck disable=SC2086
            launch/mpirun.sh -np ${mesh% *} "$build/tests/golden" --threads 1 --tp ${mesh#* } $rows \
                "${names[@]}" >"/tmp/robin-goldens.$$" 2>&1 || { cat "/tmp/robin-goldens.$$"; bad=1; }
            tail -n 1 "/tmp/robin-goldens.$$"
        done
    done
    rm -f "/tmp/robin-goldens.$$"
    return $bad
}

bad=0
for what in "$@"; do
    echo "== $what"
    case $what in
    goldens) goldens ;;
    matrix) "$build/tests/parallel/mesh_matrix_test" all && "$build/tests/train/train_step_test" all ;;
    fuzz) "$build/tests/parallel/mesh_fuzz_test" 10000 ;;
    ranks64) ranks64 ;;
    *) echo "no proof called $what"; false ;;
    esac || { echo "FAILED $what"; bad=1; }
done
exit $bad
