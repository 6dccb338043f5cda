#!/usr/bin/env python3
"""Reads a tensor out of a checkpoint with nothing but Python: the format of README.md, executed.

usage: checkpoints/read_tensor.py CHECKPOINT NAME [PART]     prints shape, first elements, CRC-32C"""
import array
import json
import os
import sys

TABLE = []
for byte in range(256):
    crc = byte
    for _ in range(8):
        crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    TABLE.append(crc)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def read_manifest(checkpoint):
    with open(os.path.join(checkpoint, "manifest.json"), "rb") as f:
        text = f.read()
    manifest = json.loads(text)
    assert text.startswith(b'{"crc32c":"') and int(manifest["crc32c"], 16) == crc32c(text[21:])
    assert manifest["format"] == "robin-dist checkpoint" and manifest["version"] == 2
    return manifest


def read_file(checkpoint, manifest, number):
    """A whole data file, every block of it checked."""
    about, size = manifest["files"][number], manifest["block_bytes"]
    with open(os.path.join(checkpoint, about["name"]), "rb") as f:
        data = f.read()
    assert len(data) == about["bytes"]
    for block, crc in enumerate(about["crc32c"]):
        assert crc32c(data[block * size:(block + 1) * size]) == crc, f"block {block} is damaged"
    return data


def read_tensor(checkpoint, name, part="weight"):
    """(dims, little-endian fp32 bytes, row-major)"""
    manifest = read_manifest(checkpoint)
    [tensor] = [t for t in manifest["tensors"] if (t["name"], t["part"]) == (name, part)]
    bytes_each = {"f32": 4, "bf16": 2}[tensor["dtype"]]
    n = 1
    for dim in tensor["dims"]:
        n *= dim
    whole = bytearray(bytes_each * n)
    for number, offset, start, step, length, runs in tensor["pieces"]:
        data = read_file(checkpoint, manifest, number)
        for run in range(runs):
            to, at = bytes_each * (start + run * step), offset + bytes_each * run * length
            whole[to:to + bytes_each * length] = data[at:at + bytes_each * length]
    if bytes_each == 2:  # the upper half of an fp32
        whole = b"".join(b"\0\0" + whole[i:i + 2] for i in range(0, len(whole), 2))
    return tensor["dims"], bytes(whole)


if __name__ == "__main__":
    dims, values = read_tensor(*sys.argv[1:])
    print(dims, list(array.array("f", values[:32])), f"{crc32c(values):08x}")
