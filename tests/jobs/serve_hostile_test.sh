#!/bin/bash
# A live server under raw bytes that are not what a client sends, in thousands (serve_hostile.py): it
# answers the good requests between them as before and ends as asked. In the asan build, so with
# every read watched. REQUESTS=100000 SEED=2 for more of them, others.
set -uo pipefail
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -n 40 "$work/log"; exit 1; }

"$robin" data build scenes --count 1 --size 64 --out "$work/scenes" --threads 1 >"$work/log" 2>&1 ||
    fail "data build scenes"
"$robin" data inspect "$work/scenes" --html "$work/page.html" >"$work/log" 2>&1 || fail "inspect"
sed -nE 's/.*data:image\/jpeg;base64,([^"]+)".*/\1/p' "$work/page.html" | head -n 1 | base64 -d \
    >"$work/0.jpg" || fail "a picture"
cat >"$work/tiny.yaml" <<END
job: train
run_dir: $work/run
model:
  image: {height: 64, width: 64}
  vision: {depths: [1, 1, 1, 1], dims: [8, 8, 8, 8], layer_scale_init: 1}
  extractor: {embed: 8, mask_side: 4}
  lm: {vocab: 576, hidden: 16, ffn: 16, layers: 1, heads: 2, kv_heads: 1, max_positions: 512}
tokenizer: datasets/tokenizer-scenes
data: {sources: [{corpus: $work/scenes, tasks: [sg]}], max_length: 256, max_tokens: 400}
train: {global_batch: 1, steps: 2, save_every: 0}
END
"$robin" "$work/tiny.yaml" >"$work/log" 2>&1 || fail "training"
source tests/jobs/serving.sh
begin_serving --max-body-mib 1 --queue 8
python3 tests/jobs/serve_hostile.py "$url" "$server" "$work/0.jpg" "${REQUESTS:-2000}" "${SEED:-1}" ||
    fail "under hostile requests"
kill -TERM "$server"
wait "$server" || fail "the server ended with $?"
server=
