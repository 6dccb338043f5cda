#!/bin/bash
# What users and machines do to a training run: each gets one line that begins with "error: " and
# names what is wrong, on 1 and on 3 ranks, with exit code 2 before the first step and 1 after it;
# nothing hangs and nothing half-written looks whole.
set -uo pipefail
robin=$PWD/${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

"$robin" data build scenes --count 12 --size 64 --out "$work/scenes" --threads 1 >/dev/null 2>&1 ||
    fail "data build scenes"
cat >"$work/train.yaml" <<END
job: train
model:
  image: {height: 64, width: 64}
  vision: {depths: [1, 1, 1, 1], dims: [8, 8, 8, 8], layer_scale_init: 1}
  extractor: {embed: 8, mask_side: 4}
  lm: {vocab: 576, hidden: 16, ffn: 32, layers: 1, heads: 2, kv_heads: 1, max_positions: 512,
       tied: true}
tokenizer: $PWD/datasets/tokenizer-scenes
data:
  sources: [{corpus: $work/scenes, tasks: [sg]}]
  max_length: 256
  max_tokens: 400
train: {global_batch: 4, steps: 3, save_every: 0}
optimizer: {lr: 1e-3}
END

# refused RANKS CODE WORDS COMMAND...
refused() {
    local ranks=$1 expected=$2 words=$3 code lines
    shift 3
    if [ "$ranks" = 1 ]; then timeout 60 "$@" >"$work/log" 2>&1
    else timeout 60 "$PWD/launch/mpirun.sh" -np "$ranks" "$@" >"$work/log" 2>&1; fi
    code=$?
    lines=$(grep -c '^error: ' "$work/log")
    if [ $code != "$expected" ] || [ "$lines" != 1 ] || ! grep -q "^error: .*$words" "$work/log"; then
        cat "$work/log"
        fail "$ranks ranks: code $code (expected $expected), $lines lines of error, '$words': $*"
    fi
}
# The same on 1 and 3 ranks: CODE WORDS KEY=VALUE...
both() {
    local code=$1 words=$2
    shift 2
    for ranks in 1 3; do
        rm -rf "$work/run"
        refused $ranks "$code" "$words" "$robin" "$work/train.yaml" run_dir="$work/run" "$@"
    done
}

# ---- the configuration and what it names ----
both 2 "nowhere is no corpus" "data.sources=[{corpus: $work/nowhere, tasks: [sg]}]"
both 2 "there is no task knitting; use one of " "data.sources=[{corpus: $work/scenes, tasks: [knitting]}]"
both 2 "tokenizer" tokenizer="$work/scenes"
both 2 "has ids up to 575 but model.lm.vocab is 500" model.lm.vocab=500
both 2 "train.init $work/scenes: .* holds no checkpoint" train.init="$work/scenes"
both 2 "cannot create directory" run_dir=/proc/none/run
touch "$work/file"
both 2 "a file of that name is there" run_dir="$work/file"
both 2 "train.yaml cannot be used" data.max_tokens=60
both 1 "no target token in the global batch" data.max_length=20 text.unmask_template_tokens=false
echo "refused before the first step"

# ---- one rank alone ----
mkdir "$work/here" "$work/there"
ln -s "$work/scenes" "$work/here/scenes"
cat >"$work/apart.sh" <<END
#!/bin/bash
# Rank 2 works in a folder without the corpus; with an argument it also has a seed of its own.
cd "$work/here"
more=()
if [ "\$OMPI_COMM_WORLD_RANK" = 2 ]; then
    [ "\${1:-}" = seed ] && more=(seed=77) || cd "$work/there"
fi
exec "$robin" "$work/train.yaml" run_dir="$work/run" "data.sources=[{corpus: scenes, tasks: [sg]}]" "\${more[@]}"
END
chmod +x "$work/apart.sh"
rm -rf "$work/run"
refused 3 2 "rank 2 of 3 (.*): scenes is no corpus" "$work/apart.sh"
refused 3 2 "rank 2 of 3 was given another configuration" "$work/apart.sh" seed
[ ! -e "$work/run/checkpoints" ] || fail "a refused run left a checkpoint"
echo "one rank alone"

# ---- damaged data ----
damaged() { # NAME: a copy of the corpus to be damaged
    cp -r "$work/scenes" "$work/$1"
    echo "$work/$1/scenes-00000.h5"
}
file=$(damaged cut)
truncate -s -1000 "$file"
both 2 "$file" "data.sources=[{corpus: $work/cut, tasks: [sg]}]"
file=$(damaged flipped)
size=$(stat -c %s "$file")
for at in 3 4 5 6 7; do # in the middle of the file, where the records are
    printf 'XXXX' | dd of="$file" bs=1 seek=$((size * at / 10)) conv=notrunc 2>/dev/null
done
both 1 "$file.*record" "data.sources=[{corpus: $work/flipped, tasks: [sg]}]"
file=$(damaged foreign)
head -c 5000 /dev/zero >"$file"
both 2 "$file" "data.sources=[{corpus: $work/foreign, tasks: [sg]}]"
both 1 "nothing to learn.*skipped.txt" train.max_skipped=0 train.steps=9 \
    "data.sources=[{corpus: $work/scenes, tasks: [conversation]}]"
echo "damaged data"

# ---- a full disk ----
# A disk of that many KiB, mounted for the one command: KIBIBYTES RANKS WORDS KEY=VALUE...
mkdir "$work/disk"
full_disk() {
    local kibibytes=$1 ranks=$2 words=$3
    shift 3
    refused 1 1 "$words" unshare -rm bash -c "
        mount -t tmpfs -o size=${kibibytes}k none '$work/disk' || exit 99
        \"\$@\"
        code=\$?
        ls '$work/disk/run/checkpoints' >'$work/left' 2>/dev/null
        exit \$code" sh launch/mpirun.sh -np "$ranks" "$robin" "$work/train.yaml" \
        run_dir="$work/disk/run" faults.preflight=off "$@"
}
if unshare -rm mount -t tmpfs none "$work/disk" 2>/dev/null; then
    for ranks in 1 3; do
        full_disk 24 $ranks "cannot write to $work/disk/run/metrics.jsonl: No space" train.steps=400
        full_disk 64 $ranks "checkpoint of step 3 is not written: .*No space left"
        [ ! -s "$work/left" ] || fail "a part of a checkpoint stays behind"
    done
    echo "a full disk"
else
    echo "not tried: a full disk (nothing can be mounted here)"
fi

# ---- going on from what is not the same ----
rm -rf "$work/run"
"$robin" "$work/train.yaml" run_dir="$work/run" train.stop_after=1 >"$work/log" 2>&1
[ $? = 3 ] || fail "stop_after"
for ranks in 1 3; do
    refused $ranks 2 "begun with another configuration (there 'lr: 0.001', now 'lr: 0.5')" \
        "$robin" "$work/train.yaml" run_dir="$work/run" optimizer.lr=0.5
    mv "$work/scenes" "$work/kept"
    "$robin" data build scenes --count 13 --size 64 --out "$work/scenes" --threads 1 >/dev/null 2>&1
    refused $ranks 2 "the corpora of $work/run have changed since its checkpoint of step 1" \
        "$robin" "$work/train.yaml" run_dir="$work/run"
    rm -r "$work/scenes"
    mv "$work/kept" "$work/scenes"
done
printf 'ROBIN' >"$work/run/checkpoints/step-000000001/manifest.json"
both_kept() {
    for ranks in 1 3; do
        refused $ranks 2 "$1" "$robin" "$work/train.yaml" run_dir="$work/run"
    done
}
both_kept "all 1 checkpoints are damaged"
echo "going on from what is not the same"

# ---- numbers that are none ----
both 2 "the run has one step, and schedule.warmup_ratio 0.03 makes its learning rate 0" train.steps=1
"$robin" "$work/train.yaml" run_dir="$work/nan" >"$work/log" 2>&1 || fail "a run to poison"
tests/faults/poison_checkpoint.py "$work/nan/checkpoints/step-000000003" || fail "poison"
both 2 "$work/nan: .*\[[0-9]*\] is nan; take weights that are all finite" train.init="$work/nan"
both 1 "step [0-9]*: .* is not finite (loss .*), and train.max_skipped_steps = 3 were skipped" \
    train.max_skipped_steps=3 \
    optimizer.lr=10 optimizer.clip_norm=0 optimizer.eps=1e-30 optimizer.beta2=0.1 \
    schedule.warmup_ratio=0 schedule.kind=constant train.steps=400 train.log_every=1000
echo "numbers that are none"

# ---- a rank that dies ----
rm -rf "$work/run"
launch/mpirun.sh -np 3 "$robin" "$work/train.yaml" run_dir="$work/run" train.steps=100000 \
    train.log_every=100000 >"$work/log" 2>&1 &
run=$!
for _ in $(seq 600); do
    [ -s "$work/run/metrics.jsonl" ] && break
    sleep 0.1
done
victim=$(pgrep -P "$(pgrep -P $run -n || echo $run)" -f "run_dir=$work/run" | tail -1)
[ -n "$victim" ] || victim=$(pgrep -f "^$robin .*run_dir=$work/run" | tail -1)
kill -KILL "$victim" || fail "no rank to kill"
for _ in $(seq 300); do
    kill -0 $run 2>/dev/null || break
    sleep 0.1
done
kill -0 $run 2>/dev/null && fail "a run with a dead rank hangs"
wait $run && fail "a run with a dead rank succeeds"
grep -qE "^error: rank [0-9] of 3 \(.*, process $victim\) died; [0-9.]+ seconds before it was at .*; \
rank [0-9] (waits|is) at step [0-9]+, (in|after) .*, collective [0-9]+" "$work/log" || { cat "$work/log"; fail "the dead rank is not named"; }
echo "a rank that dies"
