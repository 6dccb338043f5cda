#!/bin/bash
# Photographs with annotations of GQA and COCO become shards, and four ranks train on both together:
# the loss falls well below what the frequencies of the tokens alone give.
set -uo pipefail
shared=${ROBIN_SHARED:-../shared}
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
[ -d "$shared/data/gqa_scenegraph" ] || { echo "skipped: no ../shared"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; cat "$work/log"; exit 1; }

gqa=$shared/data/gqa_scenegraph coco=$shared/data/coco_panoptic
"$robin" data import gqa "$gqa/scene-graph-annotations.json" --images "$gqa/images" \
    --out "$work/gqa" >"$work/log" 2>&1 || fail "import gqa"
python3 tests/corpus/psg_from_coco.py "$coco/panoptic.json" \
    "$shared/data/class_lists/psg_classes.json" "$work/psg.json" >"$work/log" 2>&1 || fail "psg.json"
"$robin" data import psg "$work/psg.json" --images "$coco/images" --masks "$coco/panoptic" \
    --out "$work/psg" >"$work/log" 2>&1 || fail "import psg"
launch/mpirun.sh -np 4 "$robin" configs/photographs.yaml run_dir="$work/run" train.steps=20 \
    "data.sources=[{corpus: $work/gqa, tasks: [sg], box_text: true, max_regions: 10},
                   {corpus: $work/psg, tasks: [psg], max_regions: 10}]" >"$work/log" 2>&1 ||
    fail "training"
grep '^last loss' "$work/log" | tee "$work/last" | awk '{ exit !($3 + 0 > 0 && $3 < 0.75 * $NF) }' ||
    fail "the loss is not below three quarters of the unigram baseline"
cat "$work/last"
