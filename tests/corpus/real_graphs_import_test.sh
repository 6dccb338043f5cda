#!/bin/bash
# Real annotations: Visual Genome's own files, counted against the files; the annotation files that
# the reference's dataset classes were run on. The same shards for 1 and 3 ranks.
set -uo pipefail
shared=${ROBIN_SHARED:-../shared}
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
[ -d "$shared/data/vg_native_format" ] || { echo "skipped: no ../shared"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $*"; exit 1; }

# Blank pictures (PNG, whatever the name says) of the sizes of image_data.json; the same annotations
# in the form of version 1.0, where relationships speak of things that objects.json does not have.
python3 - "$shared/data/vg_native_format" "$work" <<'END' || fail "input"
import json, os, struct, sys, zlib
source, work = sys.argv[1:]

def png(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = zlib.compress((b"\0" + bytes(3 * width)) * height)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", rows) + chunk(b"IEND", b""))

for image in json.load(open(source + "/image_data.json")):
    path = work + "/images/" + "/".join(image["url"].split("/")[-2:])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "wb").write(png(image["width"], image["height"]))

os.mkdir(work + "/old")
for name in ("image_data", "objects", "relationships"):
    path = source + ("/image_data.json" if name == "image_data" else f"/v1.2/{name}.json")
    data = json.load(open(path))
    if name == "objects":
        for entry in data:
            entry["objects"] = entry["objects"][::2]
            entry["id"] = entry.pop("image_id")
    elif name == "relationships":
        for entry in data:
            for relation in entry["relationships"]:
                for end in ("subject", "object"):
                    relation[end]["names"] = [relation[end].pop("name")]
    json.dump(data, open(f"{work}/old/{name}.json", "w"))
END

for ranks in 1 3; do
    launch/mpirun.sh -np $ranks "$robin" data import vg "$shared/data/vg_native_format/v1.2" \
        --with "$shared/data/vg_native_format/image_data.json" --images "$work/images" \
        --out "$work/vg$ranks" --shard-records 2 2>/dev/null || fail "import of vg on $ranks"
done
diff -r "$work/vg1" "$work/vg3" || fail "the files depend on the number of ranks"
"$robin" data import vg "$work/old" --images "$work/images" --out "$work/vgold" 2>/dev/null ||
    fail "import of vg 1.0"

# The files that the reference read, one corpus each.
python3 - "$shared/golden/text/dataset_text.json" "$work" <<'END' || fail "reference files"
import json, sys
cases, work = json.load(open(sys.argv[1])), sys.argv[2]
wanted = {"SGDataset": "gqa", "SGDetectionDataset": "gqa", "GQACoTGroundedSGDataset": "gqa-cot",
          "GQACoTSGDataset": "gqa-cot", "RelationCategoryDataset": "svg-relations",
          "RelationSummaryDataset": "svg-relations"}
seen = set()
with open(work + "/list", "w") as out:
    for case in cases:
        kind = wanted.pop(case["class"], None)
        if kind is None:
            continue
        path = f"{work}/{case['class']}.json"
        with open(path, "w") as file:
            if case["format"] == "jsonl":
                file.writelines(json.dumps(record) + "\n" for record in case["records"])
            else:
                json.dump(case["records"], file)
        print(kind, case["class"], file=out)
assert not wanted, wanted
END
while read -r kind name; do
    "$robin" data import "$kind" "$work/$name.json" --images "$shared/data/gqa_scenegraph/images" \
        --max-dropped 100 --out "$work/$name" 2>"$work/log" </dev/null || fail "import of $name: $(cat "$work/log")"
done <"$work/list"

for python in python3 /usr/bin/python3; do
    "$python" -c 'import h5py' 2>/dev/null || continue
    for corpus in vg1 vgold $(cut -d' ' -f2 "$work/list"); do
        "$python" tests/corpus/read_shards_check.py "$work/$corpus" --json >"$work/$corpus.records" ||
            fail "h5py: $corpus"
    done
    "$python" - "$shared/data/vg_native_format/v1.2" "$work" <<'END' || fail "counts"
import json, os, sys
source, work = sys.argv[1:]

def entries(name, key, folder=source):
    return [thing for entry in json.load(open(f"{folder}/{name}.json")) for thing in entry[key]]

def records(corpus):
    return [json.loads(line) for line in open(f"{work}/{corpus}.records")]

def count(items, key):
    return sum(len(item[key]) for item in items)

def texts(items, task):
    return [text for item in items for text in item["texts"] if text["task"] == task]

def dropped(corpus):
    path = f"{work}/{corpus}/notes.jsonl"
    lines = [json.loads(line) for line in open(path)] if os.path.exists(path) else []
    return [line for line in lines if "dropped" in line or "skipped" in line]

vg = records("vg1")
objects = entries("objects", "objects")
assert len(vg) == 5 and count(vg, "objects") == len(objects) == 177
assert count(vg, "relations") == len(entries("relationships", "relationships")) == 158
assert len(texts(vg, "caption")) == len(entries("region_descriptions", "regions")) == 1278
assert len(texts(vg, "vqa")) == len(entries("question_answers", "qas")) == 721
assert len(texts(vg, "name")) == sum(len(o["names"]) - 1 for o in objects)
attributes = {(entry["image_id"], a["object_id"], word)
              for entry in json.load(open(source + "/attributes.json"))
              for a in entry["attributes"] for word in a.get("attributes") or []}
assert sum(len(o["attributes"]) for r in vg for o in r["objects"]) == len(attributes)
assert dropped("vg1") == []

# version 1.0: the ends of relationships that objects.json lacks
old = records("vgold")
kept = {o["object_id"] for o in entries("objects", "objects", work + "/old")}
ends = {r[end]["object_id"] for r in entries("relationships", "relationships") for end in
        ("subject", "object")} - kept
assert ends and count(old, "objects") == len(kept) + len(ends), (len(kept), len(ends))
assert count(old, "relations") == 158 and dropped("vgold") == []

# what the reference read
for name, objects_key in (("SGDataset", "objects"), ("GQACoTSGDataset", "scene_graph"),
                          ("GQACoTGroundedSGDataset", "scene_graph")):
    source_records = json.load(open(f"{work}/{name}.json"))
    found = records(name)
    assert [r["id"].split("/")[1] for r in found] == list(source_records)
    for record, entry in zip(found, source_records.values()):
        graph = entry[objects_key]
        assert [o["name"] for o in record["objects"]] == [o["name"] for o in graph.values()]
        assert len(record["relations"]) == sum(len(o["relations"]) for o in graph.values())
        assert len(texts([record], "vqa")) == len(entry.get("data", []))
        assert len(record["regions"]) == len(entry.get("regions", graph))
        for text, question in zip(texts([record], "vqa"), entry.get("data", [])):
            names = [record["objects"][i]["name"] for i in text["turns"][0]["objects"]]
            assert names == [graph[i]["name"] for i in question["object_ids"] if i in graph]
    unexplained = [d for d in dropped(name) if d["dropped"] != "mention"]
    assert unexplained == [], unexplained
for name in ("RelationCategoryDataset", "RelationSummaryDataset"):
    rows = [json.loads(line) for line in open(f"{work}/{name}.json")]
    for record, row in zip(records(name), rows, strict=True):
        relations = [(subject, kind, pair) for subject, entry in row["relations"].items()
                     for kind, pairs in entry["relations"].items() for pair in pairs]
        found = record["relations"]
        assert [r["kind"] for r in found] == [kind for _, kind, _ in relations]
        assert [r["predicate"] for r in found] == [pair[1] for _, _, pair in relations]
        n_regions = len(row["regions"]) + len(row["scene_graph_regions"])
        assert len(record["regions"]) == n_regions
        assert len(record["objects"]) == len(row["object_details"])
        assert len(texts([record], "description")) == len(row["relations"])
    assert dropped(name) == [], dropped(name)
summary = texts(records("RelationSummaryDataset"), "summary")[0]["turns"][0]["answer"]
assert summary.startswith("A <p>guy</p><region") and summary.endswith(" by the door."), summary
assert count(records("SGDetectionDataset"), "objects") > 20 and dropped("SGDetectionDataset") == []
print("all counts are those of the files")
END
    exit 0
done
echo "without h5py: counts were not compared"
