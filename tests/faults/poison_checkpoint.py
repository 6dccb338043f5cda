#!/usr/bin/env python3
"""Puts a NaN into the last weight of a run's checkpoint, with checksums that hold.

usage: tests/faults/poison_checkpoint.py CHECKPOINT"""
import json
import os
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


manifest_path = os.path.join(sys.argv[1], "manifest.json")
with open(manifest_path, encoding="utf-8") as f:
    manifest = json.load(f)
weight = [tensor for tensor in manifest["tensors"] if tensor["part"] == "weight"][-1]
number, offset = weight["pieces"][0][:2]
file = manifest["files"][number]
with open(os.path.join(sys.argv[1], file["name"]), "r+b") as f:
    f.seek(offset)
    f.write(b"\0\0\xc0\x7f")
    block = offset // manifest["block_bytes"]
    f.seek(block * manifest["block_bytes"])
    file["crc32c"][block] = crc32c(f.read(manifest["block_bytes"]))
del manifest["crc32c"]
text = json.dumps(manifest, separators=(",", ":"))[1:].encode()
with open(manifest_path, "wb") as f:
    f.write(b'{"crc32c":"%08x",' % crc32c(text) + text)
