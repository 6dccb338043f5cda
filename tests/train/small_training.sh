#!/bin/bash
# Sourced by tests of job: train: drawn scenes and $work/train.yaml, a tiny model that learns from
# them. The test appends the sections that are its own. Needs $n_scenes and $sources, the YAML list
# of data.sources, in which SCENES stands for the scenes.
# shellcheck disable=SC2154
set -uo pipefail
build=${ROBIN_BUILD:-build/cpu}
work=$(mktemp -d)
export ROBIN_CACHE=$work/cache
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

"$build/robin-dist" data build scenes --count "$n_scenes" --size 64 --out "$work/scenes" \
    --threads 1 >"$work/log" 2>&1 || { cat "$work/log"; fail "data build scenes"; }
cat >"$work/train.yaml" <<END
job: train
seed: 5
model:
  image: {height: 64, width: 64}
  vision: {depths: [1, 1, 1, 1], dims: [8, 16, 24, 32], layer_scale_init: 1, drop_path_rate: 0.3}
  extractor: {embed: 16, mask_side: 8}
  lm: {vocab: 576, hidden: 32, ffn: 64, layers: 2, heads: 4, kv_heads: 2, max_positions: 512,
       tied: true}
tokenizer: datasets/tokenizer-scenes
data:
  sources: ${sources//SCENES/$work/scenes}
  max_length: 256
  max_tokens: 400
optimizer: {lr: 3e-3, weight_decay: 0.1}
END

# train_with PROGRAM RANKS RUN_DIR KEY=VALUE...: its exit code
train_with() {
    local program=$1 ranks=$2 dir=$3
    shift 3
    launch/mpirun.sh -np "$ranks" "$program" "$work/train.yaml" run_dir="$work/$dir" "$@" \
        >"$work/log" 2>&1 </dev/null
}
field() { sed -E "s/.*\"$1\": \"?([^,\"]*).*/\1/" "$work/$2/metrics.jsonl"; }
# same_curve RUN RUN STEPS: losses and gradient norms, but for the order of sums
same_curve() {
    paste -d' ' <(field loss "$1") <(field loss "$2") <(field grad_norm "$1") \
        <(field grad_norm "$2") | awk -v steps="$3" '
        function off(a, b) { d = a - b; if (d < 0) d = -d; return d > 2e-5 * (a < 0 ? -a : a) }
        off($1, $2) || off($3, $4) { print "step " NR ": " $0; bad = 1 }
        END { exit bad || NR != steps }' || fail "$1 and $2: other numbers"
}
