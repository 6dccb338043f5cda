#!/usr/bin/env python3
"""Checks imports of COCO's family.

usage: coco_import_check.py blank FILE DIR          write a blank PNG for each picture of a file of COCO's form
       coco_import_check.py counts FILE RECORDS     as many records and objects as FILE has, named alike
       coco_import_check.py cases GOLDEN DIR        write the annotation files of the reference's cases, print their names
       coco_import_check.py golden GOLDEN DIR       DIR/case_NAME.records hold what the reference made of the cases

RECORDS is what read_shards_check.py DIR --json prints. GOLDEN is golden/text/dataset_text.json.
"""
import hashlib
import json
import os
import struct
import sys
import zlib

import numpy as np

KINDS = {"coco_bbox": "coco", "coco_crowd": "coco", "part_imagenet": "partimagenet", "pascal_part": "coco",
         "paco": "paco", "refcoco_bbox": "refcoco", "vg_captions_bbox": "coco"}


def blank(path, width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + b"\0" * width) * height, 1)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n"
                   + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
                   + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


def blanks(entries, folder):
    for entry in entries:
        blank(os.path.join(folder, entry["file_name"]), entry["width"], entry["height"])


def read_records(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def check_counts(file, records):
    names = {c["id"]: c["name"] for c in file["categories"]}
    of = {}
    for annotation in file["annotations"]:
        of.setdefault(annotation["image_id"], []).extend(annotation.get("segments_info", [annotation]))
    for image, record in zip(file["images"], records, strict=True):
        assert record["id"].split("/")[1] == str(image["id"]), record["id"]
        assert (record["height"], record["width"]) == (image["height"], image["width"])
        wanted = [names[a["category_id"]] for a in of.get(image["id"], [])]
        assert [o["name"] for o in record["objects"]] == wanted, record["id"]
        for annotation, region in zip(of.get(image["id"], []), record["regions"], strict=True):
            if "segmentation" not in annotation:  # a segment of a panoptic PNG: its area is of pixels
                assert sum(region["runs"][1::2]) == annotation["area"], record["id"]
    print(len(records), "records,", sum(len(r["objects"]) for r in records), "objects as in the file")


def write_cases(cases, folder):
    for case in cases:
        if case["id"] in KINDS:
            with open(os.path.join(folder, case["id"] + ".json"), "w") as file:
                json.dump(case["records"], file)
            blanks(case["records"]["images"], folder)
            print(case["id"], KINDS[case["id"]])


def row_major_sha256(region, height, width):
    runs = np.array(region["runs"])
    columns = np.repeat((np.arange(len(runs)) & 1).astype(np.uint8), runs).reshape(width, height)
    return hashlib.sha256(np.ascontiguousarray(columns.T).tobytes()).hexdigest()


def label(record, index):
    about = [t["turns"][0]["answer"] for t in record["texts"] if t["region"] == index]
    thing = record["objects"][index]
    words = thing["name"] + (" that is " + ",".join(thing["attributes"]) if thing["attributes"] else "")
    return about[0] if about else words


def box_text(box, record):
    sides = [record["width"], record["height"]] * 2
    x1, y1, x2, y2 = (int(min(max(value / side, 0), 1) * 1000) for value, side in zip(box, sides))
    return f"<|box_start|>({x1},{y1}),({x2},{y2})<|box_end|>"


def check_golden(case, records):
    """Draws are pinned to the order of the file; the limit of a class cuts at its end."""
    n = 0
    limit = case["options"].get("max_gt_per_img")
    for item, record in zip(case["items"], records, strict=True):
        answers = [m["value"] for m in item["conversation"] if m["from"] == "gpt"]
        questions = [m["value"] for m in item["conversation"] if m["from"] == "human"]
        assert limit is None or len(answers) <= limit
        wanted = zip(answers, questions, item["masks"], strict=True)
        for index, (answer, question, mask) in enumerate(wanted):
            region = record["regions"][index]
            assert label(record, index) == answer, (record["id"], index)
            assert sum(region["runs"][1::2]) == mask["sum"], (record["id"], index)
            assert row_major_sha256(region, *mask["shape"]) == mask["sha256"], (record["id"], index)
            if "box_start" in question:
                assert box_text(region["box"], record) in question, (record["id"], index, question)
            n += 1
    print(case["id"] + ":", n, "regions as the reference has them")
    assert n > 0


def main():
    verb, path = sys.argv[1:3]
    with open(path) as file:
        data = json.load(file)
    if verb == "blank":
        blanks(data["images"], sys.argv[3])
    elif verb == "counts":
        check_counts(data, read_records(sys.argv[3]))
    elif verb == "cases":
        write_cases(data, sys.argv[3])
    else:
        for case in (c for c in data if c["id"] in KINDS):
            check_golden(case, read_records(os.path.join(sys.argv[3], f"case_{case['id']}.records")))


main()
