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
for row in "picture, tower frozen | .* of text alone" "picture, tower trained | .* of text alone" \
    "tower forward | .*pictures/s"; do
    grep -q "^| $row" "$work/log" || fail "no row: $row"
done
grep -q "^aims missed or not measured: 16,384 tokens" "$work/log" || fail "a tiny step met an aim"
table false --small
[ $? = 1 ] || fail "a program that fails did not make it fail"
grep -q "exit code 1" "$work/log" || fail "it is not said which program failed"

losses() { # KEYS...
    "$bench" json=1 shape=2,64,4,2,128,512 samples=2 length=32 tokens=64 steps=4 warm=0 "$@" |
        sed 's/.*"loss": \[\([^]]*\).*/\1/' | tr -d , | tr ' ' '\n'
}
# alike KEYS...
alike() {
    paste -d' ' <(losses gpu=0 "$@") <(losses gpu=1 "$@") | awk '
        { off = $1 - $2; if (off < 0) off = -off; if (!(off <= 0.01 * $1)) bad = 1 }
        END { exit bad || NR != 4 }' ||
        fail "losses of a step on a GPU are not the CPU's to 1 %: $*"
}
alike image=0
alike image=32 tower=8,1,2
alike image=32 tower=8,1,2 frozen=1
[ "$(losses gpu=0 image=32 tower=8,1,2)" != "$(losses gpu=0 image=0)" ] || fail "a picture changes no loss"
[ "$(losses gpu=0 image=32 tower=8,1,2)" != "$(losses gpu=0 image=32 tower=8,1,2 frozen=1)" ] ||
    fail "a tower that trains gives the losses of a frozen one"

square() { # gpu=N: of the tower's map
    "${bench%/*}/tower_bench" images=2 image=64 tower=8,1,2 steps=1 warm=0 "$1" |
        sed 's/.*"square": \([^}]*\)}/\1/'
}
paste -d' ' <(square gpu=0) <(square gpu=1) | awk '
    { off = $1 - $2; if (off < 0) off = -off; if (!(off <= 0.01 * $1 && $1 > 0)) bad = 1 }
    END { exit bad || NR != 1 }' || fail "the tower's map on a GPU is not the CPU's to 1 %"
