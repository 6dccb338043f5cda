#!/usr/bin/env python3
"""Reads what a run wrote about itself, without the program's own code.

usage: tests/train/metrics_check.py RUN_DIR STEPS      metrics.jsonl and event files agree and hold
       tests/train/metrics_check.py --live COMMAND...  its line on a terminal is written over
"""
import glob
import json
import math
import os
import pty
import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path):
    with open(path, "rb") as f:
        data = f.read()
    at = 0
    while at < len(data):
        length, crc = struct.unpack_from("<QI", data, at)
        assert crc == masked(data[at:at + 8]), f"{path}: length at {at}"
        body = data[at + 12:at + 12 + length]
        assert struct.unpack_from("<I", data, at + 12 + length)[0] == masked(body), at
        yield body
        at += 16 + length


def fields(data):
    """Of a protobuf message: (number, value)."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        number, wire = key >> 3, key & 7
        if wire == 0:
            yield number, varint()
        elif wire == 2:
            size = varint()
            yield number, data[at:at + size]
            at += size
        else:
            size = {1: 8, 5: 4}[wire]
            yield number, struct.unpack("<d" if size == 8 else "<f", data[at:at + size])[0]
            at += size


def events(path):
    """(step, tag, value), and how often a session began at which step."""
    scalars, starts = [], []
    for i, body in enumerate(records(path)):
        event = dict(fields(body))
        assert event[1] > 1.6e9, "wall time"
        if i == 0:
            assert event[3] == b"brain.Event:2"
        if 7 in event:
            starts.append(event.get(2, 0))
        if 5 in event:
            value = dict(fields(dict(fields(event[5]))[1]))
            scalars.append((event[2], value[1].decode(), value[2]))
    return scalars, starts


def close(a, b, tolerance=1e-6):
    return abs(a - b) <= tolerance * max(abs(a), abs(b), 1e-30)


def check_step(m):
    assert set(m["task_loss"]) == set(m["task_targets"]) and m["task_loss"]
    assert sum(m["task_targets"].values()) == m["targets"], m
    mean = sum(m["task_loss"][t] * n for t, n in m["task_targets"].items()) / m["targets"]
    assert close(mean, m["loss"], 1e-5), (mean, m["loss"])
    norm = math.sqrt(sum(n * n for n in m["module_grad_norm"].values()))
    assert close(norm, m["grad_norm"]), (norm, m["grad_norm"])
    assert set(m["module_lr"]) == set(m["module_grad_norm"])
    step = m["seconds"]["step"]
    assert step > 0 and close(m["tokens"] / step, m["tokens_per_s"], 1e-2)
    assert m["flops"] > 6 * m["tokens"] and m["memory"] > 1 << 20
    assert m["skipped_steps"] == 0 and m["regions"] > 0


def check_run(run, steps):
    with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    assert [m["step"] for m in lines] == list(range(1, steps + 1))
    for m in lines:
        check_step(m)
    for first in (0, 2):  # each call has measured a peak of its own
        # "mfu" has four digits behind the point: a step's peak is known between two bounds
        rates = [(m["flops"] / m["seconds"]["step"], m["mfu"]) for m in lines[first:first + 2]]
        least = [rate / (mfu + 6e-5) for rate, mfu in rates]
        most = [rate / (mfu - 6e-5) for rate, mfu in rates if mfu > 6e-5]
        assert not most or max(least) <= min(most), rates
    assert lines[3]["slowest"]["seconds"] >= lines[3]["slowest"]["median"]
    assert "slowest" not in lines[0]
    rates = [m["module_lr"]["projector"] / m["module_lr"]["lm"] for m in lines[1:]]
    assert all(close(r, 10) for r in rates), rates

    files = sorted(glob.glob(os.path.join(run, "events.out.tfevents.*")))
    assert len(files) == 2, files
    told, starts = {}, []
    for path in files:
        scalars, started = events(path)
        starts += started
        told.update({(step, tag): value for step, tag, value in scalars})
    assert starts == [1, 3], starts  # begun, and gone on after step 2
    for m in lines:
        expected = {"loss": m["loss"], "grad_norm": m["grad_norm"]}
        expected.update({f"loss/{t}": v for t, v in m["task_loss"].items()})
        expected.update({f"lr/{t}": v for t, v in m["module_lr"].items()})
        expected.update({f"grad_norm/{t}": v for t, v in m["module_grad_norm"].items()})
        for tag, value in expected.items():
            assert close(told[m["step"], tag], value), (m["step"], tag, value)
        assert (m["step"], "mfu") in told and (m["step"], "tokens_per_s") in told


def check_live(command):
    seen = bytearray()

    def read(fd):
        data = os.read(fd, 1 << 16)
        seen.extend(data)
        return b""

    pid_status = None
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(command[0], command)
    try:
        while True:
            if read(fd) is None:
                break
    except OSError:
        pass
    pid_status = os.waitpid(pid, 0)[1]
    text = seen.decode()
    assert pid_status == 0, text
    live = [part for part in text.split("\r\x1b[K") if part.startswith("step ") and "/" in part[:12]]
    assert len(live) >= 2 and all("left" in part for part in live), text
    for line in text.replace("\r\n", "\n").split("\n"):
        shown = line.rsplit("\r\x1b[K", 1)[-1]
        assert not shown.startswith("step ") or " of " in shown, shown  # nothing of it stays


if sys.argv[1] == "--live":
    check_live(sys.argv[2:])
else:
    check_run(sys.argv[1], int(sys.argv[2]))
