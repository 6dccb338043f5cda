#!/usr/bin/env python3
"""The time budget of a training step of the language model on one H200, op by op: operations and
bytes from the sizes, over what such a card was measured at. The table of kernels/cuda/README.md.

usage: step_budget.py [--tokens T] [--sequence S]
"""
import argparse

LAYERS, HIDDEN, FFN, HEADS, KV, HEAD, VOCAB = 36, 2048, 11008, 16, 2, 128, 151936
CHUNK_LOGITS = 2**29  # of the output layer at once: src/model/lm_head.c
COPY = 4.2e12  # bytes a second, read and written
PEAK = 989.4e12
GAP = 0.015  # between kernels
# FLOP/s of cuBLASLt's best algorithm at 16,384 rows, steadily: forward, by input, by weight.
PRODUCTS = {
    "qkv": (668e12, 659e12, 637e12), "attention output": (665e12, 661e12, 682e12),
    "gate and up": (692e12, 694e12, 670e12), "down": (686e12, 670e12, 652e12),
    "output layer": (695e12, 694e12, 689e12)}
ATTENTION = (489e12, 352e12 / 1.04)  # cuDNN's, causal pairs alone; the gradient in a fixed order


def rows(t, s):
    """(name, calls, FLOPs of one, bytes of one, seconds of one)"""
    width = (HEADS + 2 * KV) * HEAD
    linear = {"qkv": (width, HIDDEN), "attention output": (HIDDEN, HEADS * HEAD),
              "gate and up": (2 * FFN, HIDDEN), "down": (HIDDEN, FFN)}
    for name, (o, i) in linear.items():
        for what, rate in zip(("", ", input gradient", ", weight gradient"), PRODUCTS[name]):
            yield name + what, LAYERS, 2 * t * o * i, 0, 2 * t * o * i / rate
    pairs = t * s / 2 * HEADS * HEAD
    yield "attention, cuDNN", LAYERS, 4 * pairs, 0, 4 * pairs / ATTENTION[0]
    yield "attention gradient, cuDNN", LAYERS, 10 * pairs, 0, 10 * pairs / ATTENTION[1]
    unit = 2 * t  # bytes of one column of bf16 activations
    passes = [("residual sum and RMSNorm", 2 * LAYERS, 4 * HIDDEN),
              ("RMSNorm gradient", 2 * LAYERS, 4 * HIDDEN),
              ("RoPE", LAYERS, 2 * (HEADS + KV) * HEAD), ("RoPE gradient and bias", LAYERS, 2 * width),
              ("cuDNN's dk, dv into the row", LAYERS, 4 * KV * HEAD),
              ("SwiGLU", LAYERS, 3 * FFN), ("SwiGLU gradient", LAYERS, 5 * FFN),
              ("loss and its gradient", 1, 3 * VOCAB)]
    for name, calls, columns in passes:
        yield name, calls, 0, unit * columns, unit * columns / COPY
    flops = 2 * t * HIDDEN * VOCAB
    for what, rate in zip(("", ", input gradient", ", weight gradient"), PRODUCTS["output layer"]):
        yield "output layer" + what, 1, flops, 0, flops / rate
    chunks = -(-t // (CHUNK_LOGITS // VOCAB))
    again = 8 * HIDDEN * VOCAB
    yield "its weight gradient, more chunks", chunks - 1, 0, again, again / COPY
    n = parameters()
    for name, each in (("gradients zeroed", 4), ("norm of the gradient", 4), ("AdamW, rounding", 30)):
        yield name, 1, 0, each * n, each * n / COPY


def parameters():
    width = (HEADS + 2 * KV) * HEAD
    layer = width * (HIDDEN + 1) + HIDDEN * HEADS * HEAD + 3 * FFN * HIDDEN + 2 * HIDDEN
    return LAYERS * layer + VOCAB * HIDDEN + HIDDEN


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=16384)
    parser.add_argument("--sequence", type=int, default=2048)
    options = parser.parse_args()
    t, s = options.tokens, options.sequence
    print("| op | calls | GFLOP a call | MB a call | predicted ms a step | measured |")
    print("|---|---|---|---|---|---|")
    total = 0
    for name, calls, flops, moved, seconds in rows(t, s):
        total += calls * seconds
        print(f"| {name} | {calls} | {flops / 1e9:,.1f} | {moved / 1e6:,.1f} | "
              f"{calls * seconds * 1e3:.2f} | |")
    whole = total * (1 + GAP)
    useful = t * (6 * parameters() + 6 * LAYERS * HIDDEN * s)
    print(f"| between kernels ({GAP:.1%}) | | | | {total * GAP * 1e3:.2f} | |")
    print(f"| **step of {t:,} tokens** | | | | **{whole * 1e3:.1f}** | |")
    print(f"| **MFU** | | | | **{useful / whole / PEAK:.1%}** | |")


if __name__ == "__main__":
    main()
