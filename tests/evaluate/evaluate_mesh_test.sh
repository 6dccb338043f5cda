#!/bin/bash
# job: evaluate on meshes: records dealt over dp, the model split over tp, and the scores are those of
# one rank; what cannot be answered is one sentence, on every mesh.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; cat "$work/log"; exit 1; }

"$robin" data build scenes --count 8 --size 64 --out "$work/scenes" --threads 1 >"$work/log" 2>&1 ||
    fail "data build scenes"
write() { # JOB KEYS
    cat >"$work/$1.yaml" <<END
job: $1
model:
  image: {height: 64, width: 64}
  vision: {depths: [1, 1, 1, 1], dims: [8, 16, 24, 32], layer_scale_init: 1}
  extractor: {embed: 16, mask_side: 8}
  lm: {vocab: 577, hidden: 32, ffn: 62, layers: 2, heads: 4, kv_heads: 2, max_positions: 512,
       tied: true}
tokenizer: datasets/tokenizer-scenes
$2
END
}
write train "data: {sources: [{corpus: $work/scenes, tasks: [region_attribute, region_label, relation_pair, sg]}], max_length: 256, max_tokens: 400}
train: {global_batch: 16, steps: 100, save_every: 0}
optimizer: {lr: 1e-2}
metrics: {peak_gflops: 0}"
write evaluate "data: {max_length: 256, max_tokens: 400}
train: {init: $work/run}
evaluate: {corpus: $work/scenes}"
run() { # RANKS JOB RUN_DIR KEY=VALUE...
    local ranks=$1 job=$2 dir=$3
    shift 3
    launch/mpirun.sh -np "$ranks" "$robin" "$work/$job.yaml" run_dir="$work/$dir" "$@" >"$work/log" 2>&1
}
run 1 train run || fail "training"

run 1 evaluate one || fail "evaluate on one rank"
grep -q '"seen": 0.[0-9]*[1-9]' "$work/one/evaluation.json" || fail "nothing was answered rightly"
for mesh in "2 1 false" "2 2 false" "4 2 true" "4 4 false"; do
    read -r ranks tp sequence <<<"$mesh"
    run "$ranks" evaluate "many$ranks$tp" "parallel.tp=$tp" "parallel.sequence=$sequence" ||
        fail "evaluate on $ranks ranks, tp $tp"
    cmp "$work/one/evaluation.json" "$work/many$ranks$tp/evaluation.json" >>"$work/log" 2>&1 ||
        fail "other scores on $ranks ranks, tp $tp"
done
echo "the same scores on 1 x 1, 2 x 1, 1 x 2, 2 x 2 and 1 x 4"

refused() { # RANKS CODE SENTENCE KEY=VALUE...
    local ranks=$1 code=$2 sentence=$3
    shift 3
    timeout 60 launch/mpirun.sh -np "$ranks" "$robin" "$work/evaluate.yaml" run_dir="$work/refused" \
        "$@" >"$work/log" 2>&1
    [ $? = "$code" ] || fail "$*: not exit code $code"
    [ "$(grep -c "^error: " "$work/log")" = 1 ] || fail "$*: not one line"
    grep -qF "$sentence" "$work/log" || fail "$*: not '$sentence'"
}
refused 2 2 "parallel.tp is 3, which does not divide the 2 ranks" parallel.tp=3
refused 4 1 "rows longer than data.max_length" parallel.tp=2 data.max_length=40
echo "refused"
