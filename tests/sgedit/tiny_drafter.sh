#!/bin/bash
# Sourced by tests of job: generate whose drafter is a model: drawn scenes, a tiny model that has
# taken two steps, $work/run.yaml, which generates with it, and $work/one, what one rank made. Needs
# $n_scenes and $language_model, the sizes under model.lm.
# shellcheck disable=SC2154
set -uo pipefail
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -n 20 "$work/log"; exit 1; }

"$robin" data build scenes --count "$n_scenes" --size 64 --out "$work/scenes" --threads 1 \
    >"$work/log" 2>&1 ||
    fail "data build scenes"
cat >"$work/model.yaml" <<END
model:
  image: {height: 64, width: 64}
  vision: {depths: [1, 1, 1, 1], dims: [8, 8, 8, 8], layer_scale_init: 1}
  extractor: {embed: 8, mask_side: 4}
  lm: $language_model
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

# same_as_one RUN: the bytes that one rank made
same_as_one() {
    local file
    for file in corpus sg ledger report.json; do
        diff -r "$work/one/$file" "$work/$1/$file" >/dev/null || fail "$1: other bytes in $file"
    done
}

# ask_about_two: $ask, predict's arguments about a picture of two colours, a region each: 64 x 64, its
# left half red (200, 30, 30), its right half blue (20, 40, 220). Machines with a GPU may lack Python.
ask_about_two() {
    base64 -d >"$work/x.png" <<'END'
iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAVUlEQVR42u3PMQ0AMAgAMERwc8+/CkQgBgm7+JrUQKOrTuWb
UyEgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg8LMae+DxeYYdOAAAAABJRU5ErkJggg==
END
    ask=(predict "$work/run.yaml" --image "$work/x.png" --box 0,0,32,64 --box 32,0,64,64
        --set decode.max_tokens=24)
}
