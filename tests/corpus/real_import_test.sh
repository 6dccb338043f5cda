#!/bin/bash
# Real annotations of GQA and COCO become shards: the same files from 1, 2 and 3 ranks, readable
# with h5py, with COCO's own mask areas; damage and wrong folders end in the right exit code.
set -uo pipefail
shared=${ROBIN_SHARED:-../shared}
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
[ -d "$shared/data/gqa_scenegraph" ] || { echo "skipped: no ../shared"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $*"; exit 1; }
expect() { # CODE WORDS COMMAND...
    local code=$1 words=$2 out rc
    shift 2
    out=$("$@" 2>&1)
    rc=$?
    [ $rc = "$code" ] || fail "$* gave $rc, expected $code: $out"
    [[ $out == *"$words"* ]] || fail "$* said '$out', expected '$words'"
}

gqa=$shared/data/gqa_scenegraph
for ranks in 1 2 3; do
    launch/mpirun.sh -np $ranks "$robin" data import gqa "$gqa/scene-graph-annotations.json" \
        --images "$gqa/images" --out "$work/gqa$ranks" --shard-records 2 || fail "import on $ranks"
done
diff -r "$work/gqa1" "$work/gqa2" && diff -r "$work/gqa1" "$work/gqa3" ||
    fail "the files depend on the number of ranks"
[ -f "$work/gqa1/gqa-00002.h5" ] || fail "expected three shards"

coco=$shared/data/coco_panoptic
python3 tests/corpus/psg_from_coco.py "$coco/panoptic.json" "$shared/data/class_lists/psg_classes.json" \
    "$work/psg.json" || fail "psg.json"
psg() { "$robin" data import psg "$work/psg.json" --images "$coco/images" --masks "$coco/panoptic" "$@"; }
psg --out "$work/psg" --split test || fail "import psg"
expect 0 "12 records, all whole" "$robin" data verify "$work/psg"
expect 0 "person" "$robin" data inspect "$work/psg"
expect 0 "picture     " "$robin" data inspect "$work/psg" --record 11
expect 2 "has no record 12" "$robin" data inspect "$work/psg" --record 12

expect 2 "is not empty" psg --out "$work/psg" --split test
expect 2 "had to be skipped (image 60)" "$robin" data import psg "$work/psg.json" \
    --images "$work" --out "$work/none"
[ ! -e "$work/none" ] && [ ! -e "$work/none.partial" ] || fail "an import that was stopped left a folder"
[ "$(wc -l <"$work/none.skipped.jsonl")" = 60 ] || fail "the list of what was skipped"

# Killed at any time, an import goes on where it was; the corpus is the same.
for try in 1 2 3 4 5; do
    rm -rf "$work/again" "$work/again.partial"
    "$robin" data import psg "$work/psg.json" --images "$coco/images" --masks "$coco/panoptic" \
        --shard-records 2 --threads 1 --out "$work/again" 2>"$work/log" &
    pid=$!
    until [ -e "$work/again.partial/corpus/psg-00001.h5" ] || ! kill -0 $pid 2>/dev/null; do sleep 0.01; done
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null && continue
    [ ! -e "$work/again" ] || fail "a killed import looks whole"
    expect 2 "of other inputs or options was killed" psg --shard-records 3 --out "$work/again"
    expect 0 "going on with" launch/mpirun.sh -np 2 "$robin" data import psg "$work/psg.json" \
        --images "$coco/images" --masks "$coco/panoptic" --shard-records 2 --out "$work/again"
    psg --shard-records 2 --out "$work/whole" || fail "import psg"
    diff -r "$work/again" "$work/whole" || fail "an import that was killed and went on differs"
    break
done
[ -d "$work/whole" ] || fail "the import ended before it could be killed"
expect 2 "cannot open" "$robin" data import gqa "$work/missing.json" --images . --out "$work/none"
expect 2 "--images is missing" "$robin" data import gqa x --out y
expect 2 "there is no kind 'vrd'; there are gqa" "$robin" data import vrd x --images . --out "$work/none"
expect 2 "--split is not for gqa" "$robin" data import gqa x --images . --split all --out "$work/none"
expect 2 "--split is 'val', must be one of all|train|test" psg --split val --out "$work/none"
expect 0 "licence: annotations CC BY 4.0" "$robin" data import gqa --help
expect 2 "must be an integer from 1" "$robin" data import gqa x --images . --out y --shard-records=0
expect 2 "what is '--shards'?" "$robin" data import gqa x --images . --out y --shards 3
expect 2 "is no corpus" "$robin" data verify "$work"

cp -r "$work/gqa1" "$work/damaged"
printf '\377' | dd of="$work/damaged/gqa-00001.h5" bs=1 seek=20000 conv=notrunc status=none
expect 1 "gqa-00001.h5: record " "$robin" data verify "$work/damaged"
expect 1 "1 damaged of 6 records" launch/mpirun.sh -np 3 "$robin" data verify "$work/damaged"

for python in python3 /usr/bin/python3; do
    "$python" -c 'import h5py' 2>/dev/null || continue
    "$python" tests/corpus/read_shards_check.py "$work/gqa1" || fail "h5py: gqa"
    "$python" tests/corpus/read_shards_check.py "$work/psg" --json >"$work/psg.records" ||
        fail "h5py: psg"
    "$python" - "$work/psg.json" "$work/psg.records" <<'EOF' || fail "areas"
import json, sys
wanted = {"psg/" + e["image_id"]: e for e in json.load(open(sys.argv[1]))["data"]}
n = 0
for line in open(sys.argv[2]):
    record = json.loads(line)
    entry = wanted[record["id"]]
    for region, segment in zip(record["regions"], entry["segments_info"], strict=True):
        assert sum(region["runs"][1::2]) == segment["area"], (record["id"], segment)
        n += 1
print(n, "masks have COCO's area")
assert n > 100
EOF
    exit 0
done
echo "without h5py: the reader of tests/corpus/read_shards_check.py was not run"
