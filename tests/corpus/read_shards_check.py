#!/usr/bin/env python3
"""A reader of corpora written from datasets/README.md alone, with h5py.

usage: read_shards_check.py DIR [--json]

Checks what the page promises: the index, the types of all tables, ranges without gaps, runs, and
every record's CRC-32C. Prints one line, or with --json the records (without pictures) one a line.
"""
import hashlib
import json
import struct
import sys

import h5py
import numpy as np

u8, u32, u64, i64, f64 = "<u1", "<u4", "<u8", "<i8", "<f8"
RANGES = ["region", "run", "object", "attribute", "relation", "text", "turn", "string"]
TABLES = {
    "records": [("image_offset", u64), ("image_size", u64)]
    + [(f"{name}_{end}", u64) for name in RANGES for end in ("first", "count")]
    + [("id_offset", u64), ("source_offset", u64), ("id_size", u32), ("source_size", u32),
       ("height", u32), ("width", u32), ("crc32c", u32), ("more", u32)],
    "regions": [(c, f64) for c in ("x1", "y1", "x2", "y2")]
    + [("run_first", u64), ("run_count", u64)],
    "runs": u32,
    "objects": [("name_offset", u64), ("attribute_first", u64), ("name_size", u32),
                ("attribute_count", u32), ("region", u64)],
    "attributes": [("text_offset", u64), ("text_size", u64)],
    "relations": [("predicate_offset", u64), ("kind_offset", u64), ("predicate_size", u32),
                  ("kind_size", u32), ("subject", u32), ("object", u32)],
    "texts": [("task_offset", u64), ("turn_first", u64), ("task_size", u32), ("turn_count", u32),
              ("region", i64)],
    "turns": [("question_offset", u64), ("answer_offset", u64), ("question_size", u32),
              ("answer_size", u32)],
    "strings": u8,
    "images": u8,
    "more": [(f"{name}_{end}", u64) for name in ("point", "choice", "reference", "origin")
             for end in ("first", "count")] + [("picture", u64)],
    "points": [("x", f64), ("y", f64)],
    "choices": [("text_offset", u64), ("text_size", u32), ("turn", u32), ("is_right", u32),
                ("reserved", u32)],
    "references": [("turn", u32), ("object", u32)],
    "origins": [("text_offset", u64), ("text_size", u32), ("text", u32)],
    "pictures": [(f"hash{i}", u64) for i in range(4)]
    + [("offset", u64), ("size", u64), ("corpus", u32), ("shard", u32)],
}
NOT_IN_1 = ["more", "points", "choices", "references", "origins", "pictures"]


def crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283


def bytes_of_hash(row):
    return struct.pack("<4Q", *(int(row[f"hash{i}"]) for i in range(4)))


class Homes:
    """Tables /images of the corpus and of those that its index names, read when they are needed."""

    def __init__(self, directory, index):
        self.corpora = [(directory, index)]
        for source in index.get("pictures_from", []):
            path = f"{directory}/{source['corpus']}"
            with open(f"{path}/index.json", encoding="utf-8") as file:
                other = json.load(file)
            assert other["crc32c"] == source["crc32c"], path
            self.corpora.append((path, other))
        self.tables = {}

    def __call__(self, corpus, shard):
        if (corpus, shard) not in self.tables:
            directory, index = self.corpora[corpus]
            with h5py.File(f"{directory}/{index['shards'][shard]['file']}", "r") as file:
                self.tables[corpus, shard] = file["images"][...]
        return self.tables[corpus, shard]


class Shard:
    def __init__(self, path, homes):
        """homes(corpus, shard): the table /images of that shard, for pictures that are not here."""
        self.homes = homes
        with h5py.File(path, "r") as file:
            self.attributes = dict(file.attrs)
            self.version = int(self.attributes["schema_version"])
            expected = [t for t in TABLES if self.version > 1 or t not in NOT_IN_1]
            assert sorted(file) == sorted(expected), list(file)
            self.tables = {}
            for name in expected:
                table, columns = file[name], TABLES[name]
                if self.version == 1 and name == "records":
                    columns = columns[:-1] + [("reserved", u32)]
                assert table.dtype == np.dtype(columns), (name, table.dtype)
                assert table.chunks is None and table.compression is None, name
                self.tables[name] = table[...]
        self.strings = self.tables["strings"].tobytes()
        hashes = [bytes_of_hash(row) for row in self.tables.get("pictures", [])]
        assert len(set(hashes)) == len(hashes), "a picture is listed twice"

    def image(self, row, number):
        size = int(row["image_size"])
        more = int(self.tables["more"][number - 1]["picture"]) if number else 0
        if more == 0:
            first = int(row["image_offset"])
            image = self.tables["images"][first:first + size].tobytes()
        else:
            picture = self.tables["pictures"][more - 1]
            assert picture["size"] == size and row["image_offset"] == 0
            first = int(picture["offset"])
            home = self.homes(int(picture["corpus"]), int(picture["shard"]))
            image = home[first:first + size].tobytes()
            assert hashlib.sha256(image).digest() == bytes_of_hash(picture)
        assert len(image) == size
        return image

    def rows(self, name, row, column):
        first, count = int(row[column + "_first"]), int(row[column + "_count"])
        assert first + count <= len(self.tables[name]), name
        return self.tables[name][first:first + count]

    def text(self, row, column):
        offset, size = int(row[column + "_offset"]), int(row[column + "_size"])
        assert offset == self.at, (column, offset, self.at)
        self.at += size
        return self.strings[offset:offset + size].decode("utf-8")

    def record(self, number):
        row = self.tables["records"][number]
        self.at = int(row["string_first"])
        more = int(row["reserved" if self.version == 1 else "more"])
        image = self.image(row, more)
        record = {"id": self.text(row, "id"), "source": self.text(row, "source"),
                  "height": int(row["height"]), "width": int(row["width"]), "image": image}
        record["regions"] = [
            {"box": [float(region[c]) for c in ("x1", "y1", "x2", "y2")],
             "runs": [int(run) for run in self.rows("runs", region, "run")]}
            for region in self.rows("regions", row, "region")]
        record["objects"] = [
            {"name": self.text(thing, "name"), "region": int(thing["region"]),
             "attributes": [self.text(a, "text")
                            for a in self.rows("attributes", thing, "attribute")]}
            for thing in self.rows("objects", row, "object")]
        record["relations"] = [
            {"subject": int(r["subject"]), "object": int(r["object"]),
             "predicate": self.text(r, "predicate"), "kind": self.text(r, "kind")}
            for r in self.rows("relations", row, "relation")]
        record["texts"] = [
            {"task": self.text(t, "task"), "region": int(t["region"]), "origin": "",
             "turns": [{"question": self.text(turn, "question"),
                        "answer": self.text(turn, "answer"), "choices": [], "choice": 0,
                        "objects": []} for turn in self.rows("turns", t, "turn")]}
            for t in self.rows("texts", row, "text")]
        self.add_more(record, more)
        assert self.at == row["string_first"] + row["string_count"]
        check_masks(record)
        assert crc32c(message(record)) == row["crc32c"], (record["id"], "crc32c")
        return record

    def add_more(self, record, number):
        record["points"] = []
        if number == 0:
            return
        assert self.version > 1
        more = self.tables["more"][number - 1]
        turns = [turn for text in record["texts"] for turn in text["turns"]]
        record["points"] = [[float(p["x"]), float(p["y"])]
                            for p in self.rows("points", more, "point")]
        for choice in self.rows("choices", more, "choice"):
            turn = turns[choice["turn"]]
            if choice["is_right"]:
                turn["choice"] = len(turn["choices"])
            turn["choices"].append(self.text(choice, "text"))
        for turn in turns:
            assert not turn["choices"] or turn["choices"][turn["choice"]] == turn["answer"]
        for reference in self.rows("references", more, "reference"):
            turns[reference["turn"]]["objects"].append(int(reference["object"]))
        for origin in self.rows("origins", more, "origin"):
            record["texts"][origin["text"]]["origin"] = self.text(origin, "text")


def check_masks(record):
    for region in record["regions"]:
        if region["runs"]:
            assert sum(region["runs"]) == record["height"] * record["width"]
            assert sum(region["runs"][1::2]) > 0


def integer(value):
    return struct.pack("<q", value)


def string(value):
    data = value if isinstance(value, bytes) else value.encode("utf-8")
    return integer(len(data)) + data


def message(record):
    """The serialisation that the check of a record is over."""
    out = [string(record["id"]), string(record["source"]), integer(record["height"]),
           integer(record["width"]), string(record["image"]), integer(len(record["regions"]))]
    for region in record["regions"]:
        out += [struct.pack("<4d", *region["box"]), integer(len(region["runs"]))]
        out += map(integer, region["runs"])
    out.append(integer(len(record["objects"])))
    for thing in record["objects"]:
        out += [string(thing["name"]), integer(thing["region"]), integer(len(thing["attributes"]))]
        out += map(string, thing["attributes"])
    out.append(integer(len(record["relations"])))
    for relation in record["relations"]:
        out += [integer(relation["subject"]), integer(relation["object"]),
                string(relation["predicate"]), string(relation["kind"])]
    out.append(integer(len(record["texts"])))
    for text in record["texts"]:
        out += [string(text["task"]), integer(text["region"]), integer(len(text["turns"]))]
        for turn in text["turns"]:
            out += [string(turn["question"]), string(turn["answer"])]
    return b"".join(out + more_message(record))


def more_message(record):
    turns = [turn for text in record["texts"] for turn in text["turns"]]
    if not (record["points"] or any(text["origin"] for text in record["texts"]) or
            any(turn["choices"] or turn["objects"] for turn in turns)):
        return []
    out = [integer(len(record["points"]))]
    out += [struct.pack("<2d", *point) for point in record["points"]]
    for text in record["texts"]:
        out.append(string(text["origin"]))
        for turn in text["turns"]:
            out.append(integer(len(turn["choices"])))
            out += map(string, turn["choices"])
            out += [integer(turn["choice"]), integer(len(turn["objects"]))]
            out += map(integer, turn["objects"])
    return out


def read_corpus(directory):
    with open(f"{directory}/index.json", "rb") as file:
        raw = file.read()
    index = json.loads(raw)
    assert index["format"] == "robin-corpus" and index["schema_version"] in (1, 2)
    end = raw.rindex(b'  "crc32c"')
    assert f"{crc32c(raw[:end]):08x}" == index["crc32c"], "index"
    records, ids = [], set()
    homes = Homes(directory, index)
    for number, entry in enumerate(index["shards"]):
        assert entry["file"] == f"{index['name']}-{number:05d}.h5"
        shard = Shard(f"{directory}/{entry['file']}", homes)
        assert shard.attributes["shard"] == number
        for table in ("records", "regions", "objects", "relations", "texts"):
            assert len(shard.tables[table]) == entry[table], table
        crc = crc32c(shard.tables["records"]["crc32c"].tobytes())
        assert f"{crc:08x}" == entry["records_crc32c"]
        assert crc == shard.attributes["records_crc32c"]
        records += [shard.record(i) for i in range(entry["records"])]
    ids = {record["id"] for record in records}
    assert len(records) == len(ids) == index["records"]
    return records


def main():
    records = read_corpus(sys.argv[1])
    if "--json" not in sys.argv[2:]:
        print(f"{sys.argv[1]}: {len(records)} records, all as datasets/README.md says")
        return
    for record in records:
        image = record.pop("image")
        record["image_sha256"] = hashlib.sha256(image).hexdigest()
        record["image_size"] = len(image)
        print(json.dumps(record))


if __name__ == "__main__":
    main()
