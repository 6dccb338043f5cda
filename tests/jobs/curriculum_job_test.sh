#!/bin/bash
# job: curriculum. However often it is stopped or killed, the same command ends in the same bits;
# each stage begins with the weights of the one before; what cannot run is refused before anything
# does.
set -uo pipefail
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; cat "$work/log"; exit 1; }

"$robin" data build scenes --count 12 --size 64 --out "$work/scenes" --threads 1 >"$work/log" 2>&1 ||
    fail "data build scenes"
mkdir "$work/configs"
stage() { # NAME MODULES
    cat >"$work/configs/$1.yaml" <<END
job: train
model:
  image: {height: 64, width: 64}
  vision: {depths: [1, 1, 1, 1], dims: [8, 8, 8, 8], layer_scale_init: 1}
  extractor: {embed: 8, mask_side: 4}
  lm: {vocab: 576, hidden: 16, ffn: 32, layers: 1, heads: 2, kv_heads: 1, max_positions: 512}
tokenizer: datasets/tokenizer-scenes
data:
  sources: [{corpus: $work/scenes, tasks: [sg]}]
  max_length: 256
  max_tokens: 400
train: {global_batch: 4, steps: 3, save_every: 0, modules: $2, init: $work/nothing}
optimizer: {lr: 1e-3}
END
}
stage one '[projector]'
sed -i 's/, init: [^}]*//' "$work/configs/one.yaml"
stage two '[mask_extractor, lm]'
stage last '[vision_tower, projector, mask_extractor, lm]'
cat >"$work/configs/look.yaml" <<END
job: evaluate
model: {base: '', image: {height: 64, width: 64},
  vision: {depths: [1, 1, 1, 1], dims: [8, 8, 8, 8], layer_scale_init: 1},
  extractor: {embed: 8, mask_side: 4},
  lm: {vocab: 576, hidden: 16, ffn: 32, layers: 1, heads: 2, kv_heads: 1, max_positions: 512}}
tokenizer: datasets/tokenizer-scenes
data: {max_length: 256, max_tokens: 400}
evaluate: {corpus: $work/scenes, records: 2}
END
cat >"$work/all.yaml" <<END
job: curriculum
run_dir: $work/run
curriculum:
  set: [seed=3]
  stages:
    - {config: configs/one.yaml}
    - {config: configs/two.yaml, set: [train.steps=2, optimizer.lr=2e-3], export: true}
    - {config: configs/last.yaml, name: third}
    - {config: configs/look.yaml}
END
go() { # RUN KEY=VALUE...
    local dir=$1
    shift
    "$robin" "$work/all.yaml" run_dir="$work/$dir" "$@" >"$work/log" 2>&1
}
# Checksums of all tensors: the rest of a manifest tells where the stage began.
tensors() { "$robin" checkpoint inspect --checksums "$1" 2>/dev/null; }
same() { # RUN: ends in the bits of the one that ran through
    for file in one/checkpoints/step-000000003 two/checkpoints/step-000000002 \
        third/checkpoints/step-000000003; do
        [ "$(tensors "$work/through/$file" | wc -l)" -gt 50 ] || fail "no tensors in $file"
        cmp <(tensors "$work/through/$file") <(tensors "$work/$1/$file") ||
            fail "$1: other bits in $file"
    done
    cmp <(grep -v checkpoint "$work/through/look/evaluation.json") \
        <(grep -v checkpoint "$work/$1/look/evaluation.json") || fail "$1: another evaluation"
}

# ---- through ----
go through || fail "the curriculum"
grep -q "stage two (2 of 4): weights of $work/through/one" "$work/log" || fail "where two begins"
grep -q "lr: 0.002" "$work/through/two/config.yaml" && grep -q "seed: 3" "$work/through/two/config.yaml" ||
    fail "set is not set"
"$robin" checkpoint import "$work/configs/two.yaml" --from "$work/through/two/export" \
    --out "$work/imported" >"$work/log" 2>&1 || fail "the exported weights"
go through || fail "once more"
[ "$(grep -c ': done before$' "$work/log")" = 4 ] || fail "done stages are not passed over"

# ---- stopped after every step ----
stops=0
while go stopped 'curriculum.set=[seed=3, train.stop_after=1]'; [ $? = 3 ]; do
    stops=$((stops + 1))
    [ $stops -lt 20 ] || fail "it never ends"
done
go stopped || fail "the stopped curriculum"
[ $stops = 5 ] || fail "$stops stops, and not 2 + 1 + 2"
same stopped
echo "stopped after every step: the same bits"

# ---- killed in the second and third stage ----
for at in two third; do
    "$robin" "$work/all.yaml" run_dir="$work/killed" >"$work/log" 2>&1 &
    run=$!
    for _ in $(seq 600); do
        [ -s "$work/killed/$at/metrics.jsonl" ] && break
        sleep 0.02
    done
    kill -KILL $run 2>/dev/null
    wait $run 2>/dev/null
done
launch/mpirun.sh -np 1 "$robin" "$work/all.yaml" run_dir="$work/killed" >"$work/log" 2>&1 ||
    fail "the killed curriculum"
same killed
echo "killed: the same bits"

# ---- two ranks, moved ----
launch/mpirun.sh -np 2 "$robin" "$work/all.yaml" run_dir="$work/two" >"$work/log" 2>&1 ||
    fail "on two ranks"
mv "$work/two" "$work/moved"
launch/mpirun.sh -np 2 "$robin" "$work/all.yaml" run_dir="$work/moved" >"$work/log" 2>&1 ||
    fail "moved"
[ "$(grep -c ': done before$' "$work/log")" = 4 ] || fail "a moved curriculum is not known again"
rm -r "$work/moved/third"
go moved || fail "after a stage was removed"
[ "$(grep -c ': done before$' "$work/log")" = 2 ] || fail "what stands behind it is done again"

# ---- refused ----
refused() { # WORDS KEY=VALUE...
    local words=$1
    shift
    rm -rf "$work/refused"
    go refused "$@"
    [ $? = 2 ] && [ "$(grep -c "^error: " "$work/log")" = 1 ] && grep -q "$words" "$work/log" ||
        fail "not refused: $words"
    [ ! -e "$work/refused" ] || fail "a refused curriculum wrote something"
}
one='{config: configs/one.yaml}'
two='{config: configs/two.yaml}'
refused "is not among the weights of stage one; with train.init_missing=new it starts new" \
    "curriculum.stages=[$one, {config: configs/two.yaml, set: [model.lm.layers=2]}]"
refused "has another shape than in stage one" \
    "curriculum.stages=[$one, {config: configs/two.yaml, set: [model.lm.ffn=64]}]"
refused "curriculum.stages\[0\] and \[2\] are both called one" "curriculum.stages=[$one, $two, $one]"
refused "which cannot name a folder" "curriculum.stages=[{config: configs/one.yaml, name: ../x}]"
refused "is a curriculum; name its stages" "curriculum.stages=[{config: all.yaml}]"
refused "stage nine: .*configs/nine.yaml" "curriculum.stages=[$one, {config: configs/nine.yaml}]"
refused "unknown key train.stepps" 'curriculum.set=[train.stepps=4]' \
    "curriculum.stages=[$two]"
refused "curriculum.stages is empty" 'curriculum.stages=[]'
go through 'curriculum.set=[seed=4]'
[ $? = 2 ] && grep -q "stage one was done with another configuration" "$work/log" ||
    fail "another seed is not refused"
echo "what cannot run is refused"
