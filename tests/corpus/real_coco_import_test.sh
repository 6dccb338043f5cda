#!/bin/bash
# Real annotations of COCO's family become shards: every object of the files, COCO's own mask areas,
# and for the reference's cases its labels, boxes and masks, pixel for pixel.
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

golden=$shared/golden/text/dataset_text.json
mkdir "$work/cases"
check cases "$golden" "$work/cases" >"$work/cases/list" || fail "cases"
while read -r name kind; do
    import "$kind" "$work/cases/$name.json" "case_$name" --images "$work/cases" --max-dropped 50 2>"$work/log" ||
        { cat "$work/log"; fail "case $name"; }
    check golden "$golden" "$name" "$work/case_$name.records" || fail "case $name"
done <"$work/cases/list"
[ "$(wc -l <"$work/cases/list")" = 9 ] || fail "expected nine cases"
