# Sourced: a training run so small that a step takes milliseconds, and what tells two of them apart.
# Needs robin (the program) and work (a folder); steps of four samples, so that 1 to 4 ranks share.

# tiny_run_make STEPS: $work/scenes, $work/train.yaml
tiny_run_make() {
    "$robin" data build scenes --count 12 --size 64 --out "$work/scenes" --threads 1 \
        >/dev/null 2>&1 || { echo "FAILED: data build scenes"; exit 1; }
    cat >"$work/train.yaml" <<END
job: train
seed: 5
model:
  image: {height: 64, width: 64}
  vision: {depths: [1, 1, 1, 1], dims: [8, 8, 8, 8], layer_scale_init: 1}
  extractor: {embed: 8, mask_side: 4}
  lm: {vocab: 576, hidden: 16, ffn: 32, layers: 1, heads: 4, kv_heads: 2, max_positions: 512,
       tied: true}
tokenizer: $PWD/datasets/tokenizer-scenes
data:
  sources: [{corpus: $work/scenes, tasks: [sg]}]
  max_length: 256
  max_tokens: 400
train: {global_batch: 4, steps: $1, save_every: 3, log_every: 1}
optimizer: {lr: 3e-3}
metrics: {peak_gflops: 0}
END
}

# The value of LD_PRELOAD for broken_system.c; a sanitizer's library, if there is one, wants to be first.
broken_system() {
    ldd "$robin" | awk '$1 ~ /^lib[at]san/ { printf "%s ", $3 }'
    echo "$PWD/${ROBIN_BUILD:-build/cpu}/tests/faults/broken_system.so"
}

# Metrics of a run without its times.
tiny_run_numbers() { sed 's/, "seconds".*//' "$1/metrics.jsonl"; }

# tiny_run_same REFERENCE RUN: sample ids, losses and final weights, bit for bit.
tiny_run_same() {
    cmp -s <(tiny_run_numbers "$1") <(tiny_run_numbers "$2") || {
        echo "other numbers than the undisturbed run:"
        diff <(tiny_run_numbers "$1") <(tiny_run_numbers "$2") | head -4 | cut -c1-300
        return 1
    }
    tests/faults/compare_runs.py "$robin" "$work/train.yaml" "$1" "$2"
}

# The same to rounding, and the samples exactly: for runs on other layouts.
tiny_run_close() { tests/faults/compare_runs.py --close "$robin" "$work/train.yaml" "$1" "$2"; }
