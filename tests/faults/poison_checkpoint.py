#!/usr/bin/env python3
"""Puts a NaN into the last weight of a run's checkpoint, with checksums that hold.

usage: tests/faults/poison_checkpoint.py FILE.ckpt"""
import json
import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def aligned(offset):
    return (offset + 63) // 64 * 64


path = sys.argv[1]
with open(path, "rb") as f:
    data = f.read()
magic, size, _, _ = struct.unpack_from("<8sQII", data)
header = json.loads(data[24:24 + size])
at, tensors = 24 + size, []
for entry in header["tensors"]:
    n = 4
    for dim in entry["dims"]:
        n *= dim
    at = aligned(at)
    tensors.append(bytearray(data[at:at + n]))
    at += n
last = max(i for i, entry in enumerate(header["tensors"]) if entry["part"] == "weight")
tensors[last][:4] = b"\0\0\xc0\x7f"
header["tensors"][last]["crc32c"] = crc32c(tensors[last])
text = json.dumps(header, separators=(",", ":")).encode()
with open(path, "wb") as f:
    f.write(struct.pack("<8sQII", magic, len(text), crc32c(text), 0) + text)
    for tensor in tensors:
        f.write(bytes(aligned(f.tell()) - f.tell()) + tensor)
