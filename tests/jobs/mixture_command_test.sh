#!/bin/bash
# data mixture: an epoch has exactly what weights and counts say, every part of it is counted, missing
# corpora are refused or listed, and a mixture counts the same alone as inside a configuration.
set -uo pipefail
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $*"; exit 1; }

"$robin" data build scenes --count 40 --size 64 --out "$work/scenes" >/dev/null || fail "scenes"
cat >"$work/mixture.yaml" <<EOF
# two sources that are there, one that is not
sources:
  - {corpus: $work/scenes, tasks: [sg, relation], weight: 1.5}
  - {corpus: $work/scenes, tasks: [blind_vqa], count: 77}
  - {corpus: $work/none, tasks: [sg]}
EOF
common="--set tokenizer=datasets/tokenizer-scenes --set model=robin-tiny"
"$robin" data mixture "$work/mixture.yaml" $common >"$work/out" 2>&1 && fail "a missing corpus"
grep -q "none is no corpus" "$work/out" || fail "what is missing: $(cat "$work/out")"
"$robin" data mixture "$work/mixture.yaml" $common --missing list --samples 0 >"$work/out" ||
    fail "$(cat "$work/out")"
grep -q "^not here: $work/none$" "$work/out" || fail "not listed"
count() { sed -n "s/^ *\([0-9]*\) .*$1\$/\1/p" "$work/out"; }
both=$(($(count 'scenes: sg') + $(count 'scenes: relation')))
[ $both = 120 ] || fail "sg and relation: $both"
[ "$(count 'scenes: blind_vqa')" = 77 ] || fail "blind_vqa: $(count 'scenes: blind_vqa')"
[ "$(count 'in all')" = 197 ] || fail "in all: $(count 'in all')"
grep -q "^samples an epoch     197; counted 197$" "$work/out" || fail "epoch"
grep -q "^global batch 64 on dp 8: " "$work/out" || fail "balance"

cat >"$work/config.yaml" <<EOF
tokenizer: datasets/tokenizer-scenes
model: {base: ''}
data: {mixture: $work/mixture.yaml}
EOF
"$robin" data mixture "$work/config.yaml" --missing list --samples 0 --ranks 4 >"$work/other" ||
    fail "inside a configuration"
diff <(grep scenes: "$work/out" | cut -c1-25) <(grep scenes: "$work/other" | cut -c1-25) ||
    fail "other counts inside a configuration"
"$robin" data mixture "$work/config.yaml" --missing maybe >"$work/out" 2>&1 && fail "--missing maybe"
grep -q "must be refuse or list" "$work/out" || fail "--missing"
exit 0
