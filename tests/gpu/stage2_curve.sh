#!/bin/bash
# The demonstration's second stage from new weights over drawn scenes: its loss curve in bf16 on the GPU
# beside the CPU's in fp32, on one order of samples. The bounds were set before any run: bf16 keeps 8
# bits, so each of the first ten losses is within 2 %, and as updates drift apart the mean of every ten
# later ones within 5 %.
#
# usage: tests/gpu/stage2_curve.sh [STEPS]   (60; ROBIN_BUILD names the build)
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
steps=${1:-60}
build=${ROBIN_BUILD:-build/cpu}
gpu=$build/robin-dist
[[ $build = *cuda* ]] || gpu=$build/emulated/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ROBIN_CACHE=$work/cache
fail() { echo "FAILED: $*"; exit 1; }
"$build/robin-dist" data build scenes --count 64 --out "$work/scenes" >"$work/log" 2>&1 ||
    { cat "$work/log"; fail "data build scenes"; }
curve() { # PROGRAM NAME KEY=VALUE...
    launch/mpirun.sh -np 1 "$1" configs/demo/stage2.yaml run_dir="$work/$2" train.init= \
        "data.sources=[{corpus: $work/scenes, tasks: [sg]}]" train.steps="$steps" \
        train.global_batch=4 train.log_every=1 "${@:3}" >"$work/log" 2>&1 </dev/null ||
        { cat "$work/log"; fail "the run $2"; }
    sed -E 's/.*"loss": "?([^,"]*).*/\1/' "$work/$2/metrics.jsonl"
}
curve "$build/robin-dist" cpu >"$work/cpu.txt" || { cat "$work/cpu.txt"; exit 1; }
curve "$gpu" gpu device=cuda model.dtype=bf16 >"$work/gpu.txt" || { cat "$work/gpu.txt"; exit 1; }
paste -d' ' "$work/cpu.txt" "$work/gpu.txt" | awk -v steps="$steps" '
    function off(a, b) { return (a > b ? a - b : b - a) / a }
    NR <= 10 { o = off($1, $2); if (o > worst) worst = o; if (!(o <= 0.02)) { print "step " NR ": " $0; bad = 1 } }
    NR > 10 { a += $1; b += $2; n++ }
    n == 10 { o = off(a, b); if (o > mean) mean = o; if (!(o <= 0.05)) { print "steps to " NR ": " a / n, b / n; bad = 1 }; a = b = n = 0 }
    END { printf "%d steps, loss %s to %s: off by %.2f %% of 2 at first, means by %.2f %% of 5\n", NR, first, $2, 100 * worst, 100 * mean
        exit bad || NR != steps }
    NR == 1 { first = $2 }' || fail "the curves are further apart than bf16 explains"
