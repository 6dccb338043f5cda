#!/usr/bin/env python3
"""PyTorch's time for operations that tests/gpu/gpu_operations times, with its names and sizes.

usage: tests/bench/pytorch_operations.py [--device cuda|cpu] [--tokens T] [--small]

Each runs for about a third of a second in bf16. --small: sizes for a CPU, whose times mean nothing.
"""
import argparse
import time

import torch
import torch.nn.functional as F

SECONDS = 0.33


def measure(device, call):
    """Milliseconds a call, after one that is not counted."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    call()
    wait()
    n, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        for _ in range(8):
            call()
        wait()
        n += 8
    return (time.perf_counter() - start) * 1e3 / n


def report(name, ms, flops=0, size=0):
    rate = f"{flops / ms / 1e9:8.1f} TFLOP/s" if flops else f"{size / ms / 1e9:8.2f} TB/s"
    print(f"PyTorch: {name:<36} {ms:8.3f} ms {rate}")


def products(device, t, hidden, ffn, h, kv, d):
    layers = {
        "qkv": ((h + 2 * kv) * d, hidden),
        "attention output": (hidden, h * d),
        "gate and up": (2 * ffn, hidden),
        "down": (hidden, ffn),
    }
    for name, (o, i) in layers.items():
        x = torch.randn(t, i, device=device, dtype=torch.bfloat16)
        w = torch.randn(o, i, device=device, dtype=torch.bfloat16)
        report(name, measure(device, lambda: x @ w.T), flops=2 * t * o * i)


def attention(device, t, s, h, kv, d):
    length = t // s
    q = torch.randn(s, h, length, d, device=device, dtype=torch.bfloat16, requires_grad=True)
    # Heads of keys repeated for their queries: before 2.5 the call knows no groups.
    k, v = (
        torch.randn(s, kv, length, d, device=device, dtype=torch.bfloat16)
        .repeat_interleave(h // kv, dim=1)
        .requires_grad_()
        for _ in range(2)
    )
    flops = 2 * t * (length + 1) * h * d

    def forward():
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    def both():
        out = forward()
        torch.autograd.grad(out, (q, k, v), torch.ones_like(out))

    forward_ms = measure(device, forward)
    report("attention", forward_ms, flops=flops)
    report("attention gradient", measure(device, both) - forward_ms, flops=2.5 * flops)


def rows(device, t, hidden, ffn):
    x = torch.randn(t, hidden, device=device, dtype=torch.bfloat16)
    w = torch.ones(hidden, device=device, dtype=torch.bfloat16)
    gate, up = (torch.randn(t, ffn, device=device, dtype=torch.bfloat16) for _ in range(2))
    norm = torch.compile(lambda: F.rms_norm(x, (hidden,), w)) if device == "cuda" else (
        lambda: F.rms_norm(x, (hidden,), w)
    )
    swiglu = torch.compile(lambda: F.silu(gate) * up) if device == "cuda" else (
        lambda: F.silu(gate) * up
    )
    copy = torch.empty_like(x)
    report("copy", measure(device, lambda: copy.copy_(x)), size=4 * t * hidden)
    report("RMSNorm", measure(device, norm), size=4 * t * hidden)
    report("SwiGLU", measure(device, swiglu), size=6 * t * ffn)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tokens", type=int, default=16384)
    parser.add_argument("--small", action="store_true")
    a = parser.parse_args()
    if a.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no GPU here")
    global SECONDS
    t, s, hidden, ffn, h, kv, d = a.tokens, 8, 2048, 11008, 16, 2, 128
    if a.small:
        SECONDS, t, s, hidden, ffn, h, kv, d = 0.001, 64, 2, 64, 96, 4, 2, 16
    products(a.device, t, hidden, ffn, h, kv, d)
    attention(a.device, t, s, h, kv, d)
    rows(a.device, t, hidden, ffn)


if __name__ == "__main__":
    main()
