#!/usr/bin/env python3
"""Writes a checkpoint anew with its weights in bf16, rounded to even, and all else as it was.

usage: tests/checkpoint/round_checkpoint.py FROM TO"""
import array
import json
import os
import sys

sys.path.insert(0, "checkpoints")
import read_tensor  # noqa: E402  # pylint: disable=wrong-import-position


def rounded(data):
    out = array.array("H")
    for bits in array.array("I", data):
        out.append((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 & 0xFFFF)
    return out.tobytes()


source, target = sys.argv[1:]
manifest = read_tensor.read_manifest(source)
files = [read_tensor.read_file(source, manifest, i) for i in range(len(manifest["files"]))]
new = [bytearray() for _ in files]
pieces = [(piece[0], piece[1], tensor, piece) for tensor in manifest["tensors"]
          for piece in tensor["pieces"]]
for number, offset, tensor, piece in sorted(pieces, key=lambda p: p[:2]):
    data = files[number][offset:offset + 4 * piece[4] * piece[5]]
    if tensor["part"] == "weight":
        data = rounded(data)
    new[number] += bytes(-len(new[number]) % 64)
    piece[1] = len(new[number])
    new[number] += data
for tensor in manifest["tensors"]:
    tensor["dtype"] = "bf16" if tensor["part"] == "weight" else "f32"
os.mkdir(target)
size = manifest["block_bytes"]
for about, data in zip(manifest["files"], new):
    about["bytes"] = len(data)
    about["crc32c"] = [read_tensor.crc32c(data[i:i + size]) for i in range(0, len(data), size)]
    with open(os.path.join(target, about["name"]), "wb") as f:
        f.write(data)
del manifest["crc32c"]
text = json.dumps(manifest, separators=(",", ":"))[1:].encode()
with open(os.path.join(target, "manifest.json"), "wb") as f:
    f.write(b'{"crc32c":"%08x",' % read_tensor.crc32c(text) + text)
