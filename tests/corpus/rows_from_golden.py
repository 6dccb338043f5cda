#!/usr/bin/env python3
"""The annotation files of the reference's dataset classes, written out and compared after import.

usage: rows_from_golden.py write GOLDEN DIR    DIR/CASE/{rows.json, pictures}; prints "CASE KIND VARIANT"
       rows_from_golden.py check GOLDEN DIR    records of DIR/CASE.records against the reference's items

GOLDEN is a folder of dataset_text.json. Pictures are blank, of the sizes that it states.
"""
import json
import os
import struct
import sys
import zlib

# class of the reference -> kind and variant of `data import`
KINDS = {"OspreyConversations": ("osprey", "-"), "OspreyLVISPosNeg": ("osprey", "-"),
         "OspreyDetailedDescription": ("osprey", "-"), "LlavaDataset": ("llava", "conversation"),
         "VCRDataset": ("vcr", "-"), "VSRDataset": ("vsr", "-"),
         "FlickrEntitiesDataset": ("flickr", "-"), "PointQALocalDataset": ("pointqa", "local"),
         "PointQATwiceDataset": ("pointqa", "twice"), "V7WPointQADataset": ("v7w", "-")}


def cases(golden):
    with open(os.path.join(golden, "dataset_text.json"), encoding="utf-8") as file:
        rows = json.load(file)
    seen = []  # options of the class make other questions of the same file
    for row in rows:
        if row["class"] not in KINDS or (row["class"], row["records"]) in seen:
            continue
        seen.append((row["class"], row["records"]))
        yield row


def png(width, height):
    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    line = b"\0" + b"\x40\x80\xc0" * width
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(line * height, 1)) + chunk(b"IEND", b""))


def write_case(case, folder):
    os.makedirs(folder)
    with open(os.path.join(folder, "rows.json"), "w", encoding="utf-8") as file:
        if case["format"] == "jsonl":
            file.writelines(json.dumps(row) + "\n" for row in case["records"])
        else:
            json.dump(case["records"], file)
    for name, content in case["files"].items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(png(*content) if isinstance(content, list)
                       else json.dumps(content).encode("utf-8"))


def area(region):
    return sum(region["runs"][1::2])


def check_regions(case, record, item):
    """Boxes and masks, where the class has regions of its own."""
    if case["class"] == "VCRDataset":
        for region, mask in zip(record["regions"], item["masks"]):
            assert abs(area(region) - mask["sum"]) <= 0.01 * mask["sum"], (area(region), mask)
        for region, box in zip(record["regions"], case["files"]["m/a.json"]["boxes"], strict=True):
            assert region["box"] == box[:4], (region["box"], box)
        return 2
    n = 0
    for region, box in zip(record["regions"], item["boxes"] or []):
        assert region["box"] == box, (region["box"], box)
        n += 1
    if record["id"].startswith("osprey"):
        assert len(record["regions"]) == len(item["boxes"]) == len(item["masks"])
        for region, mask in zip(record["regions"], item["masks"]):
            assert area(region) == mask["sum"], (area(region), mask)
    return n


def check_words(case, record, items):
    """Every word that the record has for the items stands in their conversations."""
    said = "\n".join(m["value"] for item in items for m in item["conversation"])
    n = 0
    for text in record["texts"]:
        for turn in text["turns"]:
            if text["task"] == "llava" and not turn["answer"].strip("<>"):
                continue  # nothing is left of the answer, and the reference drops the turn
            choices = [] if case["options"].get("qa_only") else turn["choices"]
            for words in [turn["question"], turn["answer"]] + choices:
                if text["task"] in ("llava", "conversation", "description"):
                    # that class takes out brackets and the mark of the picture
                    words = words.replace("<image>\n", "").replace("\n<image>", "")
                    words = words.replace("<", "").replace(">", "").strip()
                    spoken = said.replace("<mask><pos>", "region1").replace("<", "").replace(">", "")
                    parts = [words] if text["task"] == "llava" else [
                        p.strip(" .:?\n") for p in words.replace("region2", "region1").split("region1")]
                    spoken = spoken.replace("region2", "region1")
                elif text["task"] in ("grounded", "statement", "vqa", "choice"):
                    spoken, parts = said, []
                    for piece in words.replace("</p>", "<p>").split("<p>"):
                        parts.append(piece.split("<region")[0].split("<point")[0].strip())
                else:
                    spoken, parts = said, [words]
                for part in parts:
                    if text["task"] == "statement" and part.endswith("s"):
                        part = part[:-1]
                    if part in ("has as a part", "has as a par"):
                        continue
                    if text["task"] == "description" and "\n" in part:
                        continue  # the reference keeps the end of the first line alone
                    assert part in spoken, (part, spoken)
                    n += 1
    return n


def records_with_items(case, records):
    """The reference's items of each record: VCR and PointQA make several of a row."""
    items = list(case["items"])
    per_row = max(1, len(items) // len(case["records"])) if case["class"] in (
        "VCRDataset", "PointQALocalDataset", "PointQATwiceDataset") else 1
    left = [r for r in records if any(t["turns"] for t in r["texts"])]
    for record in left:
        if not items:
            # an answer of brackets alone leaves the reference nothing
            assert all(not turn["answer"].strip("<>") for turn in record["texts"][0]["turns"])
            continue
        yield record, [items.pop(0) for _ in range(per_row)]
    assert not items, len(items)


def main():
    action, golden, directory = sys.argv[1:]
    for case in cases(golden):
        name = case["id"]
        if action == "write":
            write_case(case, os.path.join(directory, name))
            print(name, *KINDS[case["class"]])
            continue
        if "error" in case:
            continue
        with open(os.path.join(directory, name + ".records"), encoding="utf-8") as file:
            records = [json.loads(line) for line in file]
        n_places = n_words = 0
        for record, items in records_with_items(case, records):
            n_places += check_regions(case, record, items[0])
            n_words += check_words(case, record, items)
        assert n_words > 0, name
        print(f"{name}: {len(records)} records, {n_places} places, {n_words} texts as the reference's")


if __name__ == "__main__":
    main()
