#!/bin/bash
# What a run tells: fields of metrics.jsonl that must agree with each other, event files read by an
# independent reader, the live line of a terminal.
set -uo pipefail
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; cat "$work/log"; exit 1; }

"$robin" data build scenes --count 8 --size 64 --out "$work/scenes" --threads 1 >"$work/log" 2>&1 ||
    fail "data build scenes"
cat >"$work/train.yaml" <<END
job: train
run_dir: $work/run
model:
  image: {height: 64, width: 64}
  vision: {depths: [1, 1, 1, 1], dims: [8, 8, 8, 8], layer_scale_init: 1}
  extractor: {embed: 8, mask_side: 4}
  lm: {vocab: 576, hidden: 16, ffn: 32, layers: 1, heads: 2, kv_heads: 1, max_positions: 512}
tokenizer: datasets/tokenizer-scenes
data:
  sources:
    - {corpus: $work/scenes, tasks: [sg, region_label]}
    - {corpus: $work/scenes, tasks: [region_label], weight: 0.5}
  max_length: 256
  max_tokens: 400
train: {global_batch: 6, steps: 4, save_every: 0, straggler_every: 2}
optimizer: {lr: 1e-3, projector_lr: 1e-2}
metrics: {tensorboard: true}
END
launch/mpirun.sh -np 2 "$robin" "$work/train.yaml" train.stop_after=2 >"$work/log" 2>&1
[ $? = 3 ] || fail "the first half"
launch/mpirun.sh -np 2 "$robin" "$work/train.yaml" >"$work/log" 2>&1 || fail "the second half"
python3 tests/train/metrics_check.py "$work/run" 4 >"$work/log" 2>&1 || fail "what it tells"
echo "metrics.jsonl and event files agree"
python3 tests/train/metrics_check.py --live "$robin" "$work/train.yaml" run_dir="$work/live" \
    >"$work/log" 2>&1 || fail "the live line"
echo "the live line is written over"
