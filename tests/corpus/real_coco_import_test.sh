#!/bin/bash
# Real annotations of COCO's family become shards: every object of the files, COCO's own mask areas.
# (That labels, boxes and masks are the reference's is proved by the golden tool, golden/text.)
set -uo pipefail
shared=${ROBIN_SHARED:-../shared}
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
[ -d "$shared/data/coco_panoptic" ] || { echo "skipped: no ../shared"; exit 77; }
python=
for candidate in python3 /usr/bin/python3; do
    "$candidate" -c 'import h5py' 2>/dev/null && python=$candidate && break
done
[ -n "$python" ] || { echo "skipped: no h5py"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $*"; exit 1; }
check() { "$python" tests/corpus/coco_import_check.py "$@"; }
records() { "$python" tests/corpus/read_shards_check.py "$1" --json >"$1.records" || fail "h5py: $1"; }
import() { # KIND FILE NAME OPTION...
    "$robin" data import "$1" "$2" --out "$work/$3" "${@:4}" || fail "import $3"
    records "$work/$3"
}

data=$shared/data
mkdir "$work/blank"
check blank "$data/lvis_val_100/lvis_val_100.json" "$work/blank" || fail "blank pictures"
check blank "$data/faster_coco_eval_known_scores/instances_val2014_100.json" "$work/blank" || fail "blank pictures"

while read -r name kind file images masks; do
    import "$kind" "$data/$file" "$name" --images "$images" ${masks:+--masks "$data/$masks"}
    check counts "$data/$file" "$work/$name.records" || fail "counts of $name"
done <<LIST
lvis lvis lvis_val_100/lvis_val_100.json $work/blank
coco coco faster_coco_eval_known_scores/instances_val2014_100.json $work/blank
person coco mmpose_coco_4/test_coco.json $data/mmpose_coco_4/images
runs coco panopticapi_sample/panoptic_coco_detection_format.json $data/panopticapi_sample/input_images
pair coco-panoptic panopticapi_sample/panoptic_examples.json $data/panopticapi_sample/input_images panopticapi_sample/panoptic_examples
LIST
"$python" - "$work/runs.records" "$work/pair.records" <<'EOF' || fail "PNG and runs differ"
import json, sys
runs, png = ([json.loads(line) for line in open(path)] for path in sys.argv[1:])
assert [r["regions"] for r in runs] == [r["regions"] for r in png]
EOF

# ADE20K as released: every object of three pictures, and each part with what it is part of.
"$robin" data import ade20k "$data/ade20k_street_3" --out "$work/ade" || fail "import ade20k"
found=$("$robin" data inspect "$work/ade")
[[ $found == *"regions     139, 139 with a mask"* && $found == *"30  part of"* ]] || fail "ade20k: $found"

# RefCOCO as released, a pickle: refused as it is, read once it is JSON; one that would run something is not.
"$python" - "$data/coco_panoptic/instances_polygons.json" "$work" <<'EOF' || fail "refs.p"
import json, pickle, sys
refs = [{"ref_id": i, "ann_id": a["id"], "image_id": a["image_id"], "split": "val" if i % 4 == 0 else "train",
         "category_id": a["category_id"], "file_name": "COCO_train2014_%012d_%d.jpg" % (a["image_id"], i), "sent_ids": [i],
         "sentences": [{"sent_id": i, "tokens": ["thing"], "raw": "Thing %d!" % i, "sent": "thing %d" % i}]}
        for i, a in enumerate(json.load(open(sys.argv[1]))["annotations"])]
pickle.dump(refs, open(sys.argv[2] + "/refs(unc).p", "wb"), protocol=0)
pickle.dump([print], open(sys.argv[2] + "/bad.p", "wb"))
EOF
refcoco() { "$robin" data import refcoco "$1" --with "$data/coco_panoptic/instances_polygons.json" --images "$data/coco_panoptic/images" "${@:2}"; }
[[ $(refcoco "$work/refs(unc).p" --out "$work/none" 2>&1) == *"datasets/refs_to_json.py"* ]] || fail "a pickle was not refused"
python3 datasets/refs_to_json.py "$work/bad.p" "$work/refs.json" 2>/dev/null && fail "a pickle that runs something was read"
python3 datasets/refs_to_json.py "$work/refs(unc).p" "$work/refs.json" || fail "refs_to_json"
for split in all:92 val:23 train:69; do
    refcoco "$work/refs.json" --split "${split%:*}" --out "$work/ref_${split%:*}" || fail "import refcoco"
    [[ $("$robin" data inspect "$work/ref_${split%:*}") == *"texts       ${split#*:} with ${split#*:} turns"* ]] ||
        fail "refcoco: split $split"
done
