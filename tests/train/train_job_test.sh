#!/bin/bash
# job: train on a small corpus of drawn scenes. The loss curve and the samples are the same on 1, 2,
# 3 and 4 ranks; a run stopped after every step, killed, or robbed of its newest checkpoint ends in
# the same bits as one that ran through; frozen modules keep their bits; stages chain; signals.
n_scenes=20
sources='[{corpus: SCENES, tasks: [sg, region_label]},
            {corpus: SCENES, tasks: [relation_pair], weight: 0.5}]'
source tests/train/small_training.sh
robin=$build/robin-dist
cat >>"$work/train.yaml" <<END
train: {global_batch: 6, steps: 5, save_every: 0, drop_path: true}
schedule: {kind: cosine, warmup_ratio: 0.2}
END

# train RANKS RUN_DIR KEY=VALUE...: its exit code
train() {
    local ranks=$1 dir=$2
    shift 2
    if [ "$ranks" = 1 ]; then
        "$robin" "$work/train.yaml" run_dir="$work/$dir" "$@" >"$work/log" 2>&1
    else
        train_with "$robin" "$ranks" "$dir" "$@"
    fi
}
succeeds() { train "$@" || { cat "$work/log"; fail "train $*"; }; }
# As above, one step of two: the first rate is 0, so what the run began with is what it saves.
begins() {
    train "$@" train.steps=2 train.stop_after=1
    [ $? = 3 ] || { cat "$work/log"; fail "begin $*"; }
}
# Metrics without the times.
numbers() { sed 's/, "seconds".*//' "$work/$1/metrics.jsonl"; }
# CRC of every stored weight: NAME CRC, sorted.
weights() {
    "$robin" checkpoint inspect "$1" --checksums 2>/dev/null |
        sed -nE 's/^weight ([^ ]*) .* ([0-9a-f]{8})$/\1 \2/p' | sort
}
step() { printf '%s/checkpoints/step-%09d' "$work/$1" "$2"; }
# Every bit of weights and moments, and where the run stood.
same() { "$robin" checkpoint diff "$1" "$2" >"$work/differences" 2>&1 || { head "$work/differences"; false; }; }

# ---- one curve for any number of ranks ----
same_samples_and_curve() { # RUN RUN
    [ "$(field order_hash "$1")" = "$(field order_hash "$2")" ] || fail "$1 and $2: other samples"
    same_curve "$1" "$2" 5
}
for ranks in 1 2 3 4; do succeeds $ranks "global$ranks"; done
for ranks in 2 3 4; do same_samples_and_curve global1 "global$ranks"; done
for ranks in 1 3; do succeeds $ranks "micro$ranks" train.loss_average=microbatch; done
same_samples_and_curve micro1 micro3
[ "$(field loss global1)" != "$(field loss micro1)" ] || fail "the averages do not differ"
echo "one curve on 1, 2, 3 and 4 ranks"

# ---- stopping and going on changes no bit ----
code=0
for call in 1 2 3 4; do
    train 2 stopped train.stop_after=1
    [ $? = 3 ] || { cat "$work/log"; fail "stop_after: call $call did not leave with 3"; }
done
succeeds 2 stopped train.stop_after=1
same "$(step global2 5)" "$(step stopped 5)" || fail "a stopped run ends in other bits"
[ "$(numbers global2)" = "$(numbers stopped)" ] || fail "a stopped run reports other numbers"

train 2 moved train.stop_after=2
[ $? = 3 ] || fail "stop_after=2"
succeeds 3 moved # a checkpoint knows nothing of ranks
same_samples_and_curve global1 moved

succeeds 1 saved train.save_every=1 train.keep_last=9
same "$(step global1 5)" "$(step saved 5)" || fail "saving changes the run"
rm -r "$(step saved 5)"
truncate -s -100 "$(step saved 4)/data-00000-000.bin"
succeeds 1 saved train.save_every=1 train.keep_last=9
grep -q "warning: .*step-000000004/data-00000-000.bin.*passed over" "$work/log" || fail "damage is not named"
grep -q "going on after step 3" "$work/log" || fail "the one before is not used"
same "$(step global1 5)" "$(step saved 5)" || fail "resuming from an older one ends in other bits"
[ "$(numbers global1)" = "$(numbers saved)" ] || fail "metrics of repeated steps stay"
echo "resumed runs end in the same bits"

# ---- signals ----
wait_for() { # COMMAND...: until it succeeds, a minute at most
    for _ in $(seq 600); do
        "$@" 2>/dev/null && return
        sleep 0.1
    done
    cat "$work/log"
    fail "waited in vain for $*"
}
has_lines() { [ "$(wc -l <"$work/$1/metrics.jsonl")" -ge "$2" ]; }
"$robin" "$work/train.yaml" run_dir="$work/signals" train.steps=100000 >"$work/log" 2>&1 &
run=$!
wait_for has_lines signals 1
kill -USR1 $run
wait_for test -e "$work/signals/checkpoints/latest"
first=$(cat "$work/signals/checkpoints/latest")
kill -TERM $run
wait $run
[ $? = 3 ] || { cat "$work/log"; fail "TERM: not exit code 3"; }
[ "$(cat "$work/signals/checkpoints/latest")" != "$first" ] || fail "TERM leaves no checkpoint"
"$robin" "$work/train.yaml" run_dir="$work/killed" train.steps=5 train.save_every=1 \
    >"$work/log" 2>&1 &
run=$!
wait_for test -e "$work/killed/checkpoints/latest"
kill -KILL $run
wait $run 2>/dev/null
succeeds 1 killed train.save_every=1
same "$(step global1 5)" "$(step killed 5)" || fail "a killed run ends in other bits"
echo "signals"

# ---- steps that are skipped ----
# Every loss or norm above its mean is called a spike: judged from step 21 on.
spikes=(train.steps=30 train.spike_factor=1.000001)
not_taken() { sed -nE 's/.*"step": ([0-9]*),.*"not_taken".*/\1/p' "$work/$1/metrics.jsonl"; }
succeeds 1 spiky "${spikes[@]}"
[ "$(not_taken spiky | wc -l)" -gt 1 ] && [ "$(not_taken spiky | head -1)" -gt 20 ] ||
    fail "these steps were skipped: $(not_taken spiky)"
second=$(not_taken spiky | sed -n 2p)
grep -q '"step": '"$second"',.*"sample_ids": \["0' "$work/spiky/metrics.jsonl" ||
    fail "the samples of a skipped step are not listed"
train 2 strict "${spikes[@]}" train.max_skipped_steps=1
[ $? = 1 ] && grep -q "^error: step $second: .* spikes" "$work/log" ||
    { cat "$work/log"; fail "one skipped step too many is not the end"; }
[ "$(cat "$work/strict/checkpoints/latest")" = "$(basename "$(step strict $((second - 1)))")" ] ||
    fail "no checkpoint from before the step that was one too many"
succeeds 2 strict "${spikes[@]}" train.max_skipped_steps=100
succeeds 2 spiky2 "${spikes[@]}"
same "$(step spiky2 30)" "$(step strict 30)" || fail "going on after skips ends in other bits"
[ "$(not_taken spiky)" = "$(not_taken spiky2)" ] || fail "other ranks, other skips"
echo "skipped steps"

# ---- freezing, stages ----
begins 2 start
weights "$(step start 1)" >"$work/first"
succeeds 2 stage train.modules='[projector, mask_extractor]'
weights "$(step stage 5)" >"$work/second"
[ "$(wc -l <"$work/first")" -gt 50 ] || fail "no weights found"
comm -12 "$work/first" "$work/second" | grep -E 'mm_projector|mask_extractor' &&
    fail "these should have learnt"
comm -13 "$work/first" "$work/second" | grep -vE 'mm_projector|mask_extractor' &&
    fail "these are frozen"
begins 1 chained train.init="$work/stage/checkpoints/latest"
weights "$(step chained 1)" | cmp - "$work/second" || fail "train.init does not give the weights"
begins 1 part train.init="$work/stage" train.init_modules='[mask_extractor]'
weights "$(step part 1)" >"$work/third"
comm -12 "$work/first" "$work/third" | grep -q mask_extractor && fail "extractor is not taken"
comm -13 "$work/first" "$work/third" | grep -v mask_extractor && fail "more is taken"
begins 1 shallow model.lm.layers=0
train 1 deep train.init="$work/shallow"
[ $? = 2 ] && grep -q "has no model.layers.0" "$work/log" || fail "missing layers are not refused"
begins 1 deep train.init="$work/shallow" train.init_missing=new
weights "$(step deep 1)" | cmp - "$work/first" || fail "init_missing=new"
echo "freezing and stages"
