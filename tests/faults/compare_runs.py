#!/usr/bin/env python3
"""Compares two finished runs: sample ids and losses of every step, the weights at the end.

usage: tests/faults/compare_runs.py [--close] ROBIN CONFIG RUN RUN

Bit for bit, or with --close the samples exactly and numbers to rounding. Exit code 1: they differ."""
import array
import json
import os
import struct
import subprocess
import sys
import tempfile

CLOSE = {"loss": 2e-3, "weight": 5e-3}  # relative; of the largest weight of a tensor


def weights(robin, config, run, folder):
    out = folder
    command = [robin, "checkpoint", "export", config, "--from", run, "--out", out, "--dtype", "f32"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{run}: {done.stderr.strip()}")
    found = {}
    for name in sorted(os.listdir(out)):
        if not name.endswith(".safetensors"):
            continue
        with open(os.path.join(out, name), "rb") as f:
            (size,) = struct.unpack("<Q", f.read(8))
            header, data = json.loads(f.read(size)), f.read()
        for key, entry in header.items():
            if key != "__metadata__":
                begin, end = entry["data_offsets"]
                found[key] = array.array("f", data[begin:end])
    if not found:
        sys.exit(f"{run}: no weights were exported")
    return found


def steps(run):
    with open(os.path.join(run, "metrics.jsonl")) as f:
        return [json.loads(line) for line in f]


def compare_steps(a, b, close):
    if [s["step"] for s in a] != [s["step"] for s in b]:
        sys.exit(f"steps {[s['step'] for s in b]} instead of {[s['step'] for s in a]}")
    for one, other in zip(a, b):
        if one["order_hash"] != other["order_hash"]:
            sys.exit(f"step {one['step']}: other samples")
        allowed = CLOSE["loss"] * abs(one["loss"]) if close else 0
        if abs(one["loss"] - other["loss"]) > allowed:
            sys.exit(f"step {one['step']}: loss {other['loss']} instead of {one['loss']}")


def compare_weights(a, b, close):
    if a.keys() != b.keys():
        sys.exit("other parameters")
    for name, one in a.items():
        other = b[name]
        if len(one) != len(other):
            sys.exit(f"{name}: other shape")
        if not close and one.tobytes() != other.tobytes():
            sys.exit(f"{name}: other bits")
        apart = max(abs(x - y) for x, y in zip(one, other))
        if close and not apart <= CLOSE["weight"] * max(abs(x) for x in one):
            sys.exit(f"{name}: {apart} apart")


arguments = sys.argv[1:]
close = arguments[0] == "--close"
robin, config, first, second = arguments[close:]
compare_steps(steps(first), steps(second), close)
with tempfile.TemporaryDirectory() as folder:
    compare_weights(weights(robin, config, first, os.path.join(folder, "a")),
                    weights(robin, config, second, os.path.join(folder, "b")), close)
