#!/bin/bash
# data verify, diff and repair as a user meets them: every damage is named, an interrupted verify
# goes on, a repaired corpus holds all that is whole.
set -uo pipefail
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $*"; exit 1; }
expect() { # CODE WORDS COMMAND...
    local code=$1 words=$2 rc
    shift 2
    said=$("$@" 2>&1)
    rc=$?
    [ $rc = "$code" ] || fail "$* gave $rc, expected $code: $said"
    [[ $said == *"$words"* ]] || fail "$* said '$said', expected '$words'"
}

build() { "$robin" data build scenes --shard-records 8 --size 64 "$@" >/dev/null 2>&1 || fail "$*"; }
build --out "$work/a" --count 40
build --out "$work/b" --count 44 --first 4
build --out "$work/other" --count 40 --quality 70

# ---- diff ----
expect 0 "40 records are the same, 0 changed" "$robin" data diff "$work/a" "$work/a"
expect 1 "4 only in $work/a, 8 only in $work/b" "$robin" data diff "$work/a" "$work/b"
[ "$(grep -c '^- ' <<<"$said") $(grep -c '^+ ' <<<"$said")" = "4 8" ] || fail "lines of diff: $said"
expect 1 "picture: " "$robin" data diff "$work/a" "$work/other"
one=$("$robin" data diff --threads 1 "$work/a" "$work/other" 2>/dev/null)
three=$("$robin" data diff --threads 3 "$work/a" "$work/other" 2>/dev/null)
[ "$one" = "$three" ] || fail "diff depends on the number of threads"
expect 2 "is no corpus" "$robin" data diff "$work/a" "$work"

# ---- verify: threads, pictures, journal ----
expect 0 "40 records, all whole" "$robin" data verify "$work/a" --pictures --threads 3
cp -r "$work/a" "$work/damaged"
python3 - "$work/damaged/scenes-00002.h5" <<'EOF' || fail "no record to damage"
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(f.read().index(b"scenes-1/19"))
    f.write(b"S")
EOF
expect 1 "scenes-00002.h5" "$robin" data verify "$work/damaged"
expect 1 "1 damaged of 40 records" launch/mpirun.sh -np 2 "$robin" data verify "$work/damaged"
# what an interrupted run leaves: two shards done, half a line
stamp() { stat -c '%s %Y %y' "$work/damaged/scenes-0000$1.h5"; }
line() {
    read -r bytes seconds _ time _ < <(stamp "$1")
    printf '{"shard":%d,"bytes":%d,"changed":%d%s,"records":8,"damaged":0,"lines":""}\n' \
        "$1" "$bytes" "$seconds" "${time#*.}"
}
{ line 0; line 3; printf '{"shard":1,"by'; } >"$work/done.7"
expect 1 "2 of 5 shards were done" "$robin" data verify "$work/damaged" --journal "$work/done"
[[ $said == *"1 damaged of 40"* ]] || fail "a journal changes the count: $said"
[ ! -e "$work/done.7" ] || fail "the journal stays behind"
{ line 0; line 3; } >"$work/done.0"
touch "$work/damaged/scenes-00003.h5"
expect 1 "1 of 5 shards were done" launch/mpirun.sh -np 2 "$robin" data verify "$work/damaged" \
    --journal "$work/done"

# ---- repair ----
expect 1 "the index alone cannot be repaired" "$robin" data repair "$work/damaged"
expect 0 "39 records of the 5 shards" "$robin" data repair "$work/damaged" --out "$work/mended"
expect 0 "39 records, all whole" "$robin" data verify "$work/mended"
expect 1 "39 records are the same, 0 changed, 1 only" "$robin" data diff "$work/a" "$work/mended"
[ "$(wc -l <"$work/mended.dropped.jsonl")" = 1 ] || fail "the list of what was dropped"
python3 -c 'import json,sys; r = json.loads(open(sys.argv[1]).read()); assert r["shard"] == 2 and r["record"] >= 0 and "scenes-00002.h5" in r["sentence"], r' \
    "$work/mended.dropped.jsonl" || fail "its line"
expect 1 "" "$robin" data repair "$work/damaged" --out "$work/mended"
truncate -s 100 "$work/damaged/scenes-00004.h5"
expect 0 "31 records of the 5 shards" "$robin" data repair "$work/damaged" --out "$work/less"
grep -q '"shard":4,"record":-1' "$work/less.dropped.jsonl" || fail "a whole file is not listed"
cp -r "$work/a" "$work/lost"
for loss in remove edit; do
    if [ $loss = remove ]; then rm "$work/lost/index.json"; else sed -i 's/"records": 40/"records": 39/' "$work/lost/index.json"; fi
    expect 0 "5 shards, 40 records, all whole" "$robin" data repair "$work/lost"
    cmp "$work/lost/index.json" "$work/a/index.json" || fail "the index is another"
done
rm "$work/lost/scenes-00001.h5"
expect 1 "shard 1 is missing" "$robin" data repair "$work/lost"
mkdir "$work/empty"
expect 1 "nothing to repair" "$robin" data repair "$work/empty"
