#!/bin/bash
# robin-dist data tokenizer: the same files on every run and every number of ranks, files that
# training can open, and what is refused.
set -uo pipefail
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $*"; exit 1; }
refused() { # WORDS ARGUMENT...
    local words=$1 out rc
    shift
    out=$("$robin" data tokenizer "$@" 2>&1)
    rc=$?
    [ $rc = 2 ] || fail "data tokenizer $* gave $rc, expected 2: $out"
    [[ $out == *"$words"* ]] || fail "data tokenizer $* said '$out', expected '$words'"
}

"$robin" data build scenes --count 30 --size 64 --out "$work/scenes" || fail "data build"
learn() { "$robin" data tokenizer "$work/scenes" --task sg --task caption --vocabulary 320 "$@"; }
learn --out "$work/one" || fail "data tokenizer"
learn --out "$work/two" || fail "a second time"
launch/mpirun.sh -np 2 "$robin" data tokenizer "$work/scenes" --task sg --task caption \
    --vocabulary 320 --out "$work/three" || fail "on two ranks"
diff -r "$work/one" "$work/two" || fail "two runs differ"
diff -r "$work/one" "$work/three" || fail "two ranks write other files"
[ "$(grep -c . "$work/one/merges.txt")" = 58 ] || fail "320 ids are not 57 merges"
learn --out "$work/less" --records 3 || fail "--records"
cmp -s "$work/one/merges.txt" "$work/less/merges.txt" && fail "--records changes nothing"

refused "there is no task 'sgg'; there are sg, psg" "$work/scenes" --task sgg --out "$work/x"
refused "--task" "$work/scenes" --out "$work/x"
refused "--vocabulary is '262'" "$work/scenes" --task sg --out "$work/x" --vocabulary 262
refused "merges, 65273 were asked for" "$work/scenes" --task sg --out "$work/x" --vocabulary 65536
refused "$work/nowhere" "$work/nowhere" --task sg --out "$work/x"
[ ! -e "$work/x" ] || fail "a refused run left a folder"
