#!/bin/bash
# Pictures are stored once: over the shards of a corpus and over corpora; the same bytes for any
# number of ranks; what is missing or has changed is named.
set -uo pipefail
shared=${ROBIN_SHARED:-../shared}
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
[ -d "$shared/data/coco_panoptic" ] || { echo "skipped: no ../shared"; exit 77; }
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

# Twelve records of five pictures, the same one often under other names.
python3 - "$shared/data/coco_panoptic/images" "$work" <<'END' || fail "input"
import json, os, shutil, struct, sys
images, work = sys.argv[1:]
os.mkdir(work + "/images")
names = sorted(os.listdir(images))[:5]

def size(path):
    data = open(path, "rb").read()
    at = 2
    while not 0xC0 <= data[at + 1] <= 0xC3:
        at += 2 + struct.unpack(">H", data[at + 2:at + 4])[0]
    return struct.unpack(">HH", data[at + 5:at + 9])

rows = []
for i, which in enumerate([0, 1, 0, 2, 1, 0, 3, 3, 4, 2, 0, 4]):
    path = f"{work}/images/p{i:02d}.jpg"
    shutil.copy(f"{images}/{names[which]}", path)
    height, width = size(path)
    rows.append({"data_path": f"p{i:02d}.jpg", "annotation": {
        "height": height, "width": width, "bboxes": [[0, 0, 9, 9]], "labels": [f"thing {i}"],
        "attributes": [[]], "relations": []}})
open(work + "/all.jsonl", "w").write("".join(json.dumps(row) + "\n" for row in rows))
json.dump(rows[6:], open(work + "/half.json", "w"))
END

for ranks in 1 2 3; do
    launch/mpirun.sh -np $ranks "$robin" data import gqa "$work/all.jsonl" --images "$work/images" \
        --out "$work/all$ranks" --name all --shard-records 3 2>/dev/null || fail "import on $ranks"
done
diff -r "$work/all1" "$work/all2" && diff -r "$work/all1" "$work/all3" ||
    fail "the files depend on the number of ranks"
expect 0 "12 records, all whole" launch/mpirun.sh -np 2 "$robin" data verify "$work/all1"

"$robin" data import gqa "$work/half.json" --images "$work/images" --out "$work/half" --name half \
    2>/dev/null || fail "import of a half"
mkdir -p "$work/deep/er"
"$robin" data import gqa "$work/all.jsonl" --images "$work/images" --share "$work/half" \
    --shard-records 3 --out "$work/deep/er/rest" 2>/dev/null || fail "import with --share"
expect 0 "12 records, all whole" "$robin" data verify "$work/deep/er/rest"
expect 0 "thing 11" "$robin" data inspect "$work/deep/er/rest" --record 11

python=/usr/bin/python3
"$python" -c 'import h5py' 2>/dev/null || python=python3
if "$python" -c 'import h5py' 2>/dev/null; then
    for corpus in all1 half deep/er/rest; do
        "$python" tests/corpus/read_shards_check.py "$work/$corpus" || fail "h5py: $corpus"
        "$python" tests/corpus/read_shards_compare.py "$work/$corpus" || fail "h5py: $corpus"
    done
    "$python" tests/corpus/read_shards_check.py "$work/all1" --json >"$work/a"
    "$python" tests/corpus/read_shards_check.py "$work/deep/er/rest" --json | diff - "$work/a" ||
        fail "records differ where pictures are shared"
    "$python" - "$work" <<'END' || fail "bytes stored"
import glob, h5py, os, sys
work = sys.argv[1]

def stored(corpus):
    return sum(len(h5py.File(p)["images"]) for p in glob.glob(f"{work}/{corpus}/*.h5"))

sizes = [os.path.getsize(f"{work}/images/p{i:02d}.jpg") for i in (0, 1, 3, 6, 8)]
assert stored("all1") == sum(sizes), (stored("all1"), sizes)
assert stored("half") == sum(sizes) - sizes[1]
assert stored("deep/er/rest") == sizes[1]
END
fi

# An index that is lost or damaged is written again, its sources too as far as it says them.
cp -r "$work/all2" "$work/repaired"
rm "$work/repaired/index.json"
expect 0 "" "$robin" data repair "$work/repaired"
diff -r "$work/repaired" "$work/all2" || fail "a repaired index differs"
cp "$work/deep/er/rest/index.json" "$work/rest.json"
sed -i 's/"records": 12/"records": 13/' "$work/deep/er/rest/index.json"
expect 2 "field 'records' says 13" "$robin" data inspect "$work/deep/er/rest"
expect 0 "" "$robin" data repair "$work/deep/er/rest"
diff "$work/deep/er/rest/index.json" "$work/rest.json" || fail "a repaired index differs"

# The folders move together; one that has changed or is gone is named.
mkdir "$work/moved"
mv "$work/half" "$work/deep" "$work/moved"
rest=$work/moved/deep/er/rest
expect 0 "12 records, all whole" "$robin" data verify "$rest"
mv "$work/moved/half" "$work/half"
expect 2 "has pictures in corpus $rest/../../../half" "$robin" data inspect "$rest"
"$robin" data import gqa "$work/all.jsonl" --images "$work/images" --out "$work/moved/half" \
    --name half 2>/dev/null
expect 2 "it was made again since" "$robin" data inspect "$rest"
rm -r "$work/moved/half"
cp -r "$work/half" "$work/moved/half"
size=$(stat -c %s "$work/moved/half/half-00000.h5")
printf '\377' | dd of="$work/moved/half/half-00000.h5" bs=1 seek=$((size / 2)) conv=notrunc status=none
expect 1 "crc32c is" "$robin" data verify "$rest"

import() { "$robin" data import gqa "$work/all.jsonl" --images "$work/images" --out "$work/none" "$@"; }
expect 2 "is no corpus" import --share "$work"
expect 2 "cannot find" import --share "$work/gone"
[ ! -e "$work/none" ] && [ ! -e "$work/none.partial" ] || fail "a refused import left a folder"
exit 0
