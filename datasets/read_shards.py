#!/usr/bin/env python3
"""Reads a corpus with h5py: each record as a dictionary, the picture as JPEG or PNG bytes (Pillow
opens them). A place to start from: README.md beside this file says what the columns mean, and
`robin-dist data verify` checks them. usage: read_shards.py DIR, or from read_shards import records
"""
import json
import sys

import h5py
import numpy as np


def records(folder):
    index = json.load(open(f"{folder}/index.json"))
    homes = [folder] + [f"{folder}/{c['corpus']}" for c in index.get("pictures_from", [])]
    for shard in index["shards"]:
        with h5py.File(f"{folder}/{shard['file']}") as file:
            yield from records_of(file, homes)


def records_of(file, homes):
    tables = {name: file[name][...] for name in file if name != "images"}
    strings = tables["strings"].tobytes()

    def text(row, column):
        at = int(row[column + "_offset"])
        return strings[at:at + int(row[column + "_size"])].decode()

    def rows(table, row, column):
        return tables[table][int(row[column + "_first"]):][:int(row[column + "_count"])]

    for row in tables["records"]:
        regions, objects = rows("regions", row, "region"), rows("objects", row, "object")
        yield {
            "id": text(row, "id"), "height": int(row["height"]), "width": int(row["width"]),
            "picture": picture(file, tables, row, homes),
            "regions": [{"box": [float(r[c]) for c in ("x1", "y1", "x2", "y2")],
                         "runs": rows("runs", r, "run")} for r in regions],
            "objects": [{"name": text(o, "name"), "region": int(o["region"]), "attributes": [
                text(a, "text") for a in rows("attributes", o, "attribute")]} for o in objects],
            "relations": [(int(r["subject"]), text(r, "predicate"), int(r["object"]))
                          for r in rows("relations", row, "relation")],
            "texts": [{"task": text(t, "task"), "region": int(t["region"]), "turns": [
                (text(u, "question"), text(u, "answer")) for u in rows("turns", t, "turn")]}
                for t in rows("texts", row, "text")]}


def picture(file, tables, row, homes):
    more = int(row["more"]) if "more" in tables else 0  # schema 1 has no such table
    shared = int(tables["more"][more - 1]["picture"]) if more else 0
    at = row["image_offset"]
    if not shared:
        return file["images"][int(at):int(at + row["image_size"])].tobytes()
    at, size, corpus, shard = list(tables["pictures"][shared - 1])[4:]
    index = json.load(open(f"{homes[corpus]}/index.json"))
    with h5py.File(f"{homes[corpus]}/{index['shards'][shard]['file']}") as home:
        return home["images"][int(at):int(at + size)].tobytes()


def mask(region, record):
    """Booleans, height x width, of a region that has runs."""
    bits = np.repeat(np.arange(len(region["runs"])) % 2 == 1, region["runs"])
    return bits.reshape(record["width"], record["height"]).T


if __name__ == "__main__":
    for record in records(sys.argv[1]):
        print(record["id"], {key: len(record[key]) for key in list(record)[3:]})
