#!/bin/bash
# job: train on meshes. One curve with the language model split; with an ordered reduction the same
# checkpoint on 1, 2 and 4 ranks, byte for byte; a run goes on on another mesh; what cannot be a
# mesh is refused in one line before step 1.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

"$robin" data build scenes --count 12 --size 64 --out "$work/scenes" --threads 1 >/dev/null 2>&1 ||
    fail "data build scenes"
cat >"$work/train.yaml" <<END
job: train
seed: 5
model:
  image: {height: 64, width: 64}
  vision: {depths: [1, 1, 1, 1], dims: [8, 16, 24, 32], layer_scale_init: 1}
  extractor: {embed: 16, mask_side: 8}
  lm: {vocab: 577, hidden: 32, ffn: 62, layers: 2, heads: 4, kv_heads: 2, max_positions: 512,
       tied: true}
tokenizer: datasets/tokenizer-scenes
data:
  sources: [{corpus: $work/scenes, tasks: [sg, region_label]}]
  max_length: 256
  max_tokens: 400
train: {global_batch: 6, steps: 4, save_every: 0}
metrics: {peak_gflops: 0}
optimizer: {lr: 3e-3, weight_decay: 0.1}
END

train() { # RANKS RUN_DIR KEY=VALUE...: its exit code
    local ranks=$1 dir=$2
    shift 2
    launch/mpirun.sh -np "$ranks" "$robin" "$work/train.yaml" run_dir="$work/$dir" "$@" >"$work/log" 2>&1
}
succeeds() { train "$@" || { cat "$work/log"; fail "train $*"; }; }
field() { sed -E "s/.*\"$1\": \"?([^,\"]*).*/\1/" "$work/$2/metrics.jsonl"; }
same_curve() { # RUN RUN
    paste -d' ' <(field loss "$1") <(field loss "$2") <(field grad_norm "$1") <(field grad_norm "$2") | awk '
        function off(a, b) { d = a - b; if (d < 0) d = -d; return d > 2e-5 * (a < 0 ? -a : a) }
        off($1, $2) || off($3, $4) { print "step " NR ": " $0; bad = 1 }
        END { exit bad || NR != 4 }' || fail "$1 and $2: other numbers"
}
last() { echo "$work/$1/checkpoints/step-000000004"; }

succeeds 1 one
succeeds 4 split parallel.tp=2 parallel.sequence=true
same_curve one split
echo "one curve on 1 x 1 and 2 x 2"

for ranks in 1 2 4; do
    succeeds "$ranks" "ordered$ranks" parallel.reduction=ordered parallel.ordered_multiple=4
done
for ranks in 2 4; do
    "$robin" checkpoint diff "$(last ordered1)" "$(last "ordered$ranks")" || fail "ordered: other bits on $ranks ranks"
    [ "$(field loss ordered1)" = "$(field loss "ordered$ranks")" ] || fail "ordered: other losses"
done
same_curve one ordered4
echo "ordered: the same bytes on 1, 2 and 4 ranks"

train 1 moved train.stop_after=1
train 4 moved train.stop_after=1 parallel.tp=4
[ $? = 3 ] || { cat "$work/log"; fail "a run of one rank was not taken up by four"; }
train 2 moved train.stop_after=1
succeeds 2 moved parallel.tp=2
same_curve one moved
echo "from 1 x 1 to 1 x 4, 2 x 1 and 1 x 2"

refused() { # RANKS SENTENCE KEY=VALUE...
    local ranks=$1 sentence=$2 code
    shift 2
    train "$ranks" refused "$@"
    code=$?
    [ $code = 2 ] || { cat "$work/log"; fail "$*: exit code $code"; }
    [ "$(grep -c "^error: " "$work/log")" = 1 ] || { cat "$work/log"; fail "$*: not one line"; }
    grep -qF "$sentence" "$work/log" || { cat "$work/log"; fail "$*: not '$sentence'"; }
}
refused 4 "parallel.tp is 3, which does not divide the 4 ranks" parallel.tp=3
refused 2 "together 6 ranks, but 2 were started" parallel.tp=2 parallel.dp=3
refused 3 "cannot be split over 3 ranks; parallel.tp may be 1, 2, 4" parallel.tp=3
launch/mpirun.sh -np 1 "$robin" "$work/train.yaml" run_dir="$work/differ" : \
    -np 1 "$robin" "$work/train.yaml" run_dir="$work/differ" parallel.tp=2 >"$work/log" 2>&1
[ $? = 2 ] && grep -qF "rank 1 of 2 was given another configuration" "$work/log" ||
    { cat "$work/log"; fail "configurations that differ"; }
echo "refused"
