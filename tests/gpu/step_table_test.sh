#!/bin/bash
# The table of whole steps: at small sizes it runs to its end, with the GPU's step (the emulated one's
# where there is no other) near the CPU's; it fails with a program that fails, and with aims missed
# where these are required.
set -uo pipefail
build=${ROBIN_BUILD:-build/cpu}
bench=$build/tests/bench/lm_step_bench
[[ $build != *cuda* ]] || nvidia-smi -L >/dev/null 2>&1 || { echo "skipped: no GPU on this machine"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ROBIN_CACHE=$work/cache
fail() { echo "FAILED: $*"; cat "$work/log"; exit 1; }
table() { python3 tests/bench/step_table.py "$@" >"$work/log" 2>&1; }

table "$bench" --small --long --require
[ $? = 3 ] || fail "aims were missed, and not required"
for row in "16,384 tokens" "131,072 tokens" "full recompute" "8,192 a sequence" "12 steps"; do
    grep -q "^| $row | .*tokens/s\|^| $row | .*host" "$work/log" || fail "no row: $row"
done
grep -q "^aims missed or not measured: 16,384 tokens" "$work/log" || fail "a tiny step met an aim"
table false --small
[ $? = 1 ] || fail "a program that fails did not make it fail"
grep -q "exit code 1" "$work/log" || fail "it is not said which program failed"

losses() { # gpu=N
    "$bench" json=1 "$1" shape=2,64,4,2,128,512 samples=2 length=32 tokens=64 steps=4 warm=0 |
        sed 's/.*"loss": \[\([^]]*\).*/\1/' | tr -d , | tr ' ' '\n'
}
paste -d' ' <(losses gpu=0) <(losses gpu=1) | awk '
    { off = $1 - $2; if (off < 0) off = -off; if (!(off <= 0.01 * $1)) bad = 1 }
    END { exit bad || NR != 4 }' || fail "losses of a step on a GPU are not the CPU's to 1 %"
