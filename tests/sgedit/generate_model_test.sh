#!/bin/bash
# job: generate with a model that drafts and judges: the same bytes on 1, 2 and 3 ranks and after a
# kill; drafts of a killed run are not made again.
set -uo pipefail
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -n 20 "$work/log"; exit 1; }

"$robin" data build scenes --count 10 --size 64 --out "$work/scenes" --threads 1 >"$work/log" 2>&1 ||
    fail "data build scenes"
cat >"$work/model.yaml" <<END
model:
  image: {height: 64, width: 64}
  vision: {depths: [1, 1, 1, 1], dims: [8, 8, 8, 8], layer_scale_init: 1}
  extractor: {embed: 8, mask_side: 4}
  lm: {vocab: 576, hidden: 16, ffn: 32, layers: 1, heads: 2, kv_heads: 1, max_positions: 512}
tokenizer: datasets/tokenizer-scenes
END
{
    cat "$work/model.yaml"
    echo "data: {sources: [{corpus: $work/scenes, tasks: [sg]}], max_length: 256, max_tokens: 400}"
    echo "train: {global_batch: 4, steps: 2, save_every: 0}"
} >"$work/train.yaml"
"$robin" "$work/train.yaml" run_dir="$work/trained" >"$work/log" 2>&1 || fail "train"
{
    echo "job: generate"
    cat "$work/model.yaml"
    echo "data: {max_length: 256, max_tokens: 400}"
    echo "train: {init: $work/trained}"
    echo "generate: {corpus: $work/scenes, drafter: model, in_flight: 3, max_tokens: 24,"
    echo "  shard_records: 4, filters: [{kind: judge, threshold: 0.5}]}"
    echo "verifier: {kind: robin}"
    echo "teacher: {kind: annotations, noise: 0.3}"
} >"$work/run.yaml"
"$robin" "$work/run.yaml" run_dir="$work/one" >"$work/log" 2>&1 || fail "one rank"
grep -q "^relations ended by" "$work/one/report.txt" || fail "nothing was edited"
for ranks in 2 3; do
    launch/mpirun.sh -np "$ranks" "$robin" "$work/run.yaml" run_dir="$work/ranks$ranks" \
        >"$work/log" 2>&1 || fail "$ranks ranks"
    for file in corpus sg ledger report.json; do
        diff -r "$work/one/$file" "$work/ranks$ranks/$file" >/dev/null ||
            fail "$ranks ranks: other bytes in $file"
    done
done
for ranks in 1 2 3; do
    launch/mpirun.sh -np "$ranks" "$robin" "$work/run.yaml" run_dir="$work/whole$ranks" \
        generate.draft_mode=holistic >"$work/log" 2>&1 || fail "holistic, $ranks ranks"
    for file in corpus sg ledger report.json; do
        diff -r "$work/whole1/$file" "$work/whole$ranks/$file" >/dev/null ||
            fail "holistic, $ranks ranks: other bytes in $file"
    done
done
# The journal of the run without its end, as a kill leaves it.
mkdir -p "$work/killed/journal"
head -c "$(($(stat -c %s "$work/one/journal/0000.journal") / 2))" "$work/one/journal/0000.journal" \
    >"$work/killed/journal/0000.journal"
"$robin" "$work/run.yaml" run_dir="$work/killed" >"$work/log" 2>&1 || fail "after a kill"
for file in corpus sg ledger report.json; do
    diff -r "$work/one/$file" "$work/killed/$file" >/dev/null || fail "killed: other bytes in $file"
done
echo "the model drafts and judges: the same bytes on any ranks"
