#!/bin/bash
# The commands over checkpoints of a run on 2 x 2 ranks: what is printed is what is there; a reader
# in Python that knows the format from its specification agrees on every tensor; damage is named; a
# difference is shown; pruning leaves what it must. Saving in the background, standing still and
# through the page cache leave the same bits; a full disk ends a run or does not, as it was told.
set -uo pipefail
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
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
  lm: {vocab: 577, hidden: 32, ffn: 50, layers: 1, heads: 4, kv_heads: 2, max_positions: 512,
       tied: true}
tokenizer: datasets/tokenizer-scenes
data:
  sources: [{corpus: $work/scenes, tasks: [sg]}]
  max_length: 256
  max_tokens: 400
train: {global_batch: 4, steps: 6, save_every: 1, keep_last: 9}
optimizer: {lr: 1e-3, ema_decay: 0.9}
END
train() { # RANKS RUN KEY=VALUE...: its exit code
    local ranks=$1 run=$2
    shift 2
    launch/mpirun.sh -np "$ranks" "$robin" "$work/train.yaml" run_dir="$work/$run" "$@" \
        >"$work/log" 2>&1
}
succeeds() { train "$@" || { cat "$work/log"; fail "train $*"; }; }
said() { grep -q "$1" "$work/said" || { cat "$work/said"; fail "'$1' is not said"; }; }
step() { printf '%s/%s/checkpoints/step-%09d' "$work" "$1" "$2"; }
left() { ls "$work/$1/checkpoints" | tr '\n' ' '; }

# ---- inspect, and the reader ----
succeeds 4 run parallel.tp=2
"$robin" checkpoint inspect "$work/run" >"$work/said" || fail inspect
said "step 6 (0 skipped), 24 samples"
said "on 4 ranks (dp 2, tp 2)"
said "mean_weight"
said "1[56]\.[0-9]* bytes per parameter"
"$robin" checkpoint inspect "$(step run 3)" --checksums >"$work/tensors" ||
    fail "inspect --checksums"
"$robin" checkpoint inspect "$work/run" --config >"$work/said" || fail "inspect --config"
said "ema_decay: 0.9"
python3 - "$(step run 3)" "$work/tensors" <<'END' || fail "the reader in Python"
import functools
import sys
sys.path.insert(0, "checkpoints")
import read_tensor
manifest = read_tensor.read_manifest(sys.argv[1])
read_tensor.read_manifest = lambda checkpoint: manifest
whole = read_tensor.read_file
once = functools.lru_cache(None)(lambda number: whole(sys.argv[1], manifest, number))
read_tensor.read_file = lambda checkpoint, _, number: once(number)
n = 0
for line in open(sys.argv[2]):
    if line.startswith("content "):
        continue
    part, name, dims, crc = line.split()
    found, values = read_tensor.read_tensor(sys.argv[1], name, part)
    assert str(found).replace(" ", "") == dims, (found, dims)
    assert f"{read_tensor.crc32c(values):08x}" == crc, (name, part)
    n += 1
assert n > 200, n
END
echo "inspect and the reader in Python"

# ---- weights in bf16 beside moments in fp32: read, and by the reader in Python, as fp32 ----
mkdir -p "$work/rounded/checkpoints"
python3 tests/checkpoint/round_checkpoint.py "$(step run 6)" "$(step rounded 6)" || fail "rounding"
"$robin" checkpoint verify "$work/rounded" >"$work/said" 2>&1 || { cat "$work/said"; fail "bf16"; }
"$robin" checkpoint inspect "$(step run 6)" --checksums >"$work/exact"
"$robin" checkpoint inspect "$(step rounded 6)" --checksums >"$work/tensors"
[ "$(diff <(grep -v "^weight\|^content" "$work/exact") <(grep -v "^weight\|^content" "$work/tensors"))" = "" ] ||
    fail "what is not bf16 is other"
[ "$(grep -c "^weight" "$work/tensors")" -gt 50 ] || fail "no weights in bf16"
python3 - "$(step rounded 6)" "$work/tensors" <<'END' || fail "bf16 by the reader in Python"
import sys
sys.path.insert(0, "checkpoints")
import read_tensor
n = 0
for line in list(open(sys.argv[2]))[::12]:
    if not line.startswith("weight "):
        continue
    part, name, dims, crc = line.split()
    _, values = read_tensor.read_tensor(sys.argv[1], name, part)
    assert f"{read_tensor.crc32c(values):08x}" == crc, name
    assert not any(values[0::4]) and not any(values[1::4]) and any(values), name
    n += 1
assert n > 3, n
END
succeeds 3 again train.init="$work/rounded" train.steps=2
printf '\001' | dd of="$(step rounded 6)/data-00001-000.bin" bs=1 seek=77 conv=notrunc 2>/dev/null
"$robin" checkpoint verify "$work/rounded" >"$work/said" 2>&1 && fail "a damaged bf16 is not found"
said "data-00001-000.bin: block 0"
echo "tensors in bf16"

# ---- how it is written changes no bit ----
succeeds 4 still parallel.tp=2 train.save_async=false train.save_io=plain
succeeds 4 once parallel.tp=2 train.save_io=plain train.save_every=0
for run in still once; do
    "$robin" checkpoint diff "$work/run" "$work/$run" || fail "$run: other bits"
done
grep -q '"checkpoint": 0\.' "$work/run/metrics.jsonl" || fail "standing still is not in the metrics"
"$robin" checkpoint diff "$(step run 2)" "$(step run 3)" >"$work/said" 2>&1 && fail "no difference"
said "step: 2 and 3"
said "weight model.layers.0.mlp.down_proj.weight: [0-9]* of 1600 elements, by up to"
said "error: .* differ"
echo "the same bits"

# ---- verify and prune ----
"$robin" checkpoint verify "$work/run" >"$work/said" 2>&1 || fail verify
[ "$(grep -c ': whole; step' "$work/said")" = 6 ] || fail "verify: not all six"
printf X | dd of="$(step run 5)/data-00002-000.bin" bs=1 seek=1000 conv=notrunc 2>/dev/null
"$robin" checkpoint verify "$work/run" >"$work/said" 2>&1 && fail "damage is not found"
said "step-000000005/data-00002-000.bin: block 0 .* its CRC-32C is"
said "1 of 6 checkpoints are damaged"
rm "$(step run 4)/data-00001-000.bin"
prune=(checkpoint prune "$work/run" --keep-last 2 --keep-every 2)
"$robin" "${prune[@]}" --dry-run >"$work/said" || fail prune
[ "$(cat "$work/said")" = "would remove $(step run 4)
would remove $(step run 3)
would remove $(step run 1)" ] || { cat "$work/said"; fail "prune would remove others"; }
"$robin" "${prune[@]}" >/dev/null || fail prune
[ "$(left run)" = "latest step-000000002 step-000000005 step-000000006 " ] ||
    fail "prune leaves $(left run)"
succeeds 1 kept train.keep_last=1 train.keep_every=4
[ "$(left kept)" = "latest step-000000004 step-000000006 " ] || fail "keep_every: $(left kept)"
echo "verify and prune"

# ---- a newer format, another model ----
sed -i 's/"version":2/"version":3/' "$(step run 6)/manifest.json"
python3 - "$(step run 6)/manifest.json" <<'END'
import sys
sys.path.insert(0, "checkpoints")
import read_tensor
text = open(sys.argv[1], "rb").read()[21:]
open(sys.argv[1], "wb").write(b'{"crc32c":"%08x",' % read_tensor.crc32c(text) + text)
END
refused() { # WORDS RANKS RUN KEY=VALUE...
    local words=$1
    shift
    train "$@"
    [ $? = 2 ] && grep -q "^error: .*$words" "$work/log" ||
        { cat "$work/log"; fail "not refused: $words"; }
}
refused "version is 3, newer than 2" 2 run
refused "has another shape than in this model" 2 other train.init="$work/kept" model.lm.ffn=51
echo "a newer format, another model"

# ---- a disk for one checkpoint: until one goes, two are needed ----
mkdir "$work/disk"
full() { # FAILURE
    unshare -rm bash -c "
        mount -t tmpfs -o size=1000k none '$work/disk' || exit 99
        launch/mpirun.sh -np 3 '$robin' '$work/train.yaml' run_dir='$work/disk/run' \
            train.save_failure=$1 train.save_async=false train.keep_last=1 train.save_every=2 \
            train.steps=7 faults.preflight=warn
        code=\$?
        ls '$work/disk/run/checkpoints' | tr '\n' ' ' >'$work/left'
        exit \$code" >"$work/said" 2>&1
    [ $? = 1 ] || { cat "$work/said"; fail "save_failure=$1: exit code"; }
    [ "$(cat "$work/left")" = "latest step-000000002 " ] || { cat "$work/said"; fail "left: $(cat "$work/left")"; }
}
if unshare -rm mount -t tmpfs none "$work/disk" 2>/dev/null; then
    full continue
    said "warning: rank [0-2] of 3 (.*): checkpoint of step 4 is not written: .*No space.*goes on"
    said "^error: .*checkpoint of step 7 is not written: .*No space"
    full stop
    said "^error: .*checkpoint of step 4 is not written: .*No space"
    echo "a disk that is too small"
else
    echo "not tried: a disk that is too small (nothing can be mounted here)"
fi
