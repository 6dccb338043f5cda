#!/bin/bash
# job: generate, task curate: annotated regions that a proposed mask supports stay, the teacher
# completes subjects in five categories, rules drop what geometry contradicts; lines in the released
# layout; pictures without proposals fail and are told.
set -uo pipefail
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -n 20 "$work/log"; exit 1; }

"$robin" data build scenes --count 12 --size 96 --out "$work/scenes" --threads 1 >"$work/log" 2>&1 ||
    fail "data build scenes"
cat >"$work/run.yaml" <<END
job: generate
generate: {corpus: $work/scenes, drafter: corpus, shard_records: 8}
END
"$robin" "$work/run.yaml" run_dir="$work/truth" >"$work/log" 2>&1 || fail "the corpus' own graphs"

# Proposals in SAM's layout: the regions themselves, but for each picture's last one, a corner that
# nobody annotated, and a mask that SAM is not sure of.
python3 - "$work" <<'END' || fail "proposals"
import json, os, sys
work = sys.argv[1]
def decode(segmentation):
    (h, w), s = segmentation["size"], segmentation["counts"]
    counts, i = [], 0
    while i < len(s):
        x = k = 0
        while True:
            c = ord(s[i]) - 48
            i += 1
            x |= (c & 0x1f) << 5 * k
            k += 1
            if not c & 0x20:
                if c & 0x10: x |= -1 << 5 * k
                break
        if len(counts) > 2: x += counts[-2]
        counts.append(x)
    return counts
for name in sorted(os.listdir(work + "/truth/sg")):
    for line in open(f"{work}/truth/sg/{name}"):
        row = json.loads(line)
        path = f"{work}/proposals/{row['image_id']}.json"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        masks = [{"segmentation": {"size": r["segmentation"]["size"],
                                   "counts": decode(r["segmentation"])},
                  "predicted_iou": 0.95, "stability_score": 0.95, "level": "part"}
                 for r in row["regions"][:-1]]
        masks.append({"segmentation": {"size": [96, 96], "counts": [0, 3, 93, 3, 93, 3, 9021]},
                      "predicted_iou": 0.95, "stability_score": 0.95, "level": "part"})
        masks.append({"segmentation": {"size": [96, 96], "counts": [0, 9216]},
                      "predicted_iou": 0.5, "stability_score": 0.95})
        json.dump({"image": {}, "annotations": masks}, open(path, "w"))
END
"$robin" "$work/run.yaml" run_dir="$work/run" generate.task=curate generate.name=svg-relations \
    generate.proposals="$work/proposals" teacher.kind=annotations generate.min_subjects=2 \
    "generate.filters=[{kind: region_iou}, {kind: spatial}]" >"$work/log" 2>&1 || fail "curate"
python3 - "$work" <<'END' || fail "what came of it"
import glob, json, sys
work = sys.argv[1]
truth = {}
for path in glob.glob(work + "/truth/ledger/*"):
    for line in open(path):
        row = json.loads(line)
        truth[row["image_id"]] = row
n = kinds = proposed = 0
for path in sorted(glob.glob(work + "/run/relations/*")):
    for line in open(path):
        row = json.loads(line)
        names = [o["name"] for o in truth[row["image_id"]]["objects"]]
        assert len(row["object_details"]) == len(names) - 1, row["image_id"]
        proposed += len(names)
        for subject, entry in row["relations"].items():
            assert entry["description"].startswith("There is a thing here: " + names[int(subject) - 1])
            for kind, pairs in entry["relations"].items():
                assert kind in ("spatial", "interactional", "functional", "social", "emotional")
                kinds += kind != "spatial"
                for other, predicate in pairs:
                    assert int(other) - 1 < len(names) - 1 and predicate
                    n += 1
assert n > 10 and kinds > 0, (n, kinds)
report = json.load(open(work + "/run/report.json"))
assert report["proposals"] == {"all": proposed, "unannotated": 12}, report["proposals"]
assert f"12 of {proposed} without annotation" in open(work + "/run/report.txt").read()
page = open(work + "/run/page.html").read()
assert page.count("regions proposed, 1 of them without annotation") == 12, page.count("regions proposed")
for path in glob.glob(work + "/run/ledger/*"):
    for line in open(path):
        assert json.loads(line)["unannotated"] == 1
END
"$robin" "$work/run.yaml" run_dir="$work/bad" generate.task=curate \
    generate.proposals="$work/nowhere" teacher.kind=annotations \
    "generate.filters=[{kind: region_iou}]" >"$work/log" 2>&1
[ $? = 1 ] && grep -q "12 of 12 pictures failed" "$work/log" && grep -q nowhere "$work/log" ||
    fail "missing proposals are not told"
echo "curated: kept by overlap, completed in five categories"
