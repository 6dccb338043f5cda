#!/usr/bin/env python3
"""Checks imports of COCO's family.

usage: coco_import_check.py blank FILE DIR          write a blank PNG for each picture of a file of COCO's form
       coco_import_check.py counts FILE RECORDS     as many records and objects as FILE has, named alike

RECORDS is what read_shards_check.py DIR --json prints.
"""
import json
import os
import struct
import sys
import zlib


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


def main():
    verb, path = sys.argv[1:3]
    with open(path) as file:
        data = json.load(file)
    if verb == "blank":
        blanks(data["images"], sys.argv[3])
    else:
        check_counts(data, read_records(sys.argv[3]))


main()
