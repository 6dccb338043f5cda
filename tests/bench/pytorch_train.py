#!/usr/bin/env python3
"""Whole training steps of PyTorch: what a user gets on this GPU, in the cases that step_table.py puts
beside lm_step_bench's. bf16 weights, fp32 master weights, fused AdamW, clipping at 1, random data.

usage: pytorch_train.py lm|vlm|tower [--shape L,H,HEADS,KV,FFN,V] [--tokens T] [--sequence S]
           [--micro N] [--recompute] [--compile] [--frozen] [--image SIDE] [--steps N] [--warm N]
           [--device cuda|cpu]

One JSON object is printed. --tokens: of a step; --micro: sequences of a micro-batch. vlm: one picture
of SIDE x SIDE in front of every sequence, ConvNeXt-L and two linear layers before the language model.
tower: its forward alone. On the CPU in fp32 and with a small tower."""
import argparse
import json
import statistics
import time

STARTED = time.perf_counter()  # before PyTorch is loaded: that belongs to starting

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402


class Block(nn.Module):
    """Liu et al. 2022, with channels last throughout."""

    def __init__(self, dim):
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.scale = nn.Parameter(torch.full((dim,), 1e-6))

    def forward(self, x):
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.down(F.gelu(self.up(y))) * self.scale
        return x + y.permute(0, 3, 1, 2)


class Norm(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Tower(nn.Module):
    """Up to the third stage, whose map the language model reads: a sixteenth of the side."""

    def __init__(self, depths, dims):
        super().__init__()
        layers = [nn.Conv2d(3, dims[0], 4, stride=4), Norm(dims[0], eps=1e-6)]
        for stage, depth in enumerate(depths):
            if stage > 0:
                layers += [Norm(dims[stage - 1], eps=1e-6),
                           nn.Conv2d(dims[stage - 1], dims[stage], 2, stride=2)]
            layers += [Block(dims[stage]) for _ in range(depth)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


def make_tower(options):
    small = options.device == "cpu"
    depths, dims = ((1, 1, 2), (8, 16, 32)) if small else ((3, 3, 27), (192, 384, 768))
    tower = Tower(depths, dims).to(options.device, options.dtype)
    return tower.to(memory_format=torch.channels_last), dims[-1]


def make_lm(options):
    from transformers import AutoModelForCausalLM, Qwen2Config
    layers, hidden, heads, kv, ffn, vocab = options.shape
    config = Qwen2Config(hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
                         num_key_value_heads=kv, intermediate_size=ffn, vocab_size=vocab,
                         tie_word_embeddings=True, max_position_embeddings=32768,
                         rms_norm_eps=1e-6, rope_theta=1e6, use_cache=False)
    with torch.device(options.device):
        torch.set_default_dtype(options.dtype)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
        torch.set_default_dtype(torch.float32)
    if options.recompute:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model.train()


class Optimizer:
    """Masters in fp32 beside weights in bf16, gradients widened for the update."""

    def __init__(self, weights):
        self.weights = [w for w in weights if w.requires_grad]
        self.masters = [w.detach().float().clone() for w in self.weights]
        self.adamw = torch.optim.AdamW(self.masters, lr=1e-5, weight_decay=0.0, fused=True)

    def step(self):
        for weight, master in zip(self.weights, self.masters):
            master.grad = torch.zeros_like(master) if weight.grad is None else weight.grad.float()
            weight.grad = None
        nn.utils.clip_grad_norm_(self.masters, 1.0, foreach=True)
        self.adamw.step()
        with torch.no_grad():
            torch._foreach_copy_(self.weights, self.masters)
        for master in self.masters:
            master.grad = None


def wait(options):
    if options.device == "cuda":
        torch.cuda.synchronize()


def allocated_mib(options, most):
    if options.device != "cuda":
        return None
    bytes_ = torch.cuda.max_memory_allocated() if most else torch.cuda.memory_allocated()
    return bytes_ / 2**20


def run_steps(options, step):
    """Seconds of the steps that count, and what is said of all of them."""
    took, first, early = [], None, None
    for index in range(options.warm + options.steps):
        start = time.perf_counter()
        loss = step()
        wait(options)
        took.append(time.perf_counter() - start)
        if index == 0:
            first = time.perf_counter() - STARTED
        if index == options.warm:
            early = allocated_mib(options, False)
    took = took[options.warm :]
    tenth = max(1, len(took) // 10)
    late = allocated_mib(options, False)
    return {"wall": min(took), "median": statistics.median(took), "first_s": first,
            "early_s": statistics.mean(took[:tenth]), "late_s": statistics.mean(took[-tenth:]),
            "grown_mib": None if late is None else late - early,
            "most_mib": allocated_mib(options, True), "loss": loss}


def language_model(options, with_images):
    layers, hidden, _, _, _, vocab = options.shape
    lm = make_lm(options)
    weights = list(lm.parameters())
    n_weights = sum(w.numel() for w in weights)
    tower = projector = picture = None
    if with_images:
        tower, dim = make_tower(options)
        tower.requires_grad_(not options.frozen)
        projector = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, hidden))
        projector.to(options.device, options.dtype)
        weights += [*projector.parameters(), *tower.parameters()]
        picture = torch.randn(options.micro, 3, options.image, options.image, device=options.device,
                              dtype=options.dtype).to(memory_format=torch.channels_last)
    optimizer = Optimizer(weights)
    ids = torch.randint(0, vocab, (options.micro, options.sequence), device=options.device)
    labels = ids.clone()
    n_image = (options.image // 16) ** 2 if with_images else 0
    assert n_image < options.sequence, "a picture has more tokens than a sequence"
    labels[:, :n_image] = -100
    n_micro = options.tokens // (options.micro * options.sequence)
    assert n_micro * options.micro * options.sequence == options.tokens, "tokens in whole micro-batches"
    forward = torch.compile(lm) if options.compile else lm
    see = torch.compile(tower) if options.compile and with_images else tower

    def micro_batch():
        if not with_images:
            return forward(input_ids=ids, labels=labels).loss
        with torch.set_grad_enabled(not options.frozen):
            seen = see(picture)
        tokens = projector(seen.flatten(2).transpose(1, 2))
        rows = torch.cat([tokens, lm.get_input_embeddings()(ids[:, n_image:])], 1)
        return forward(inputs_embeds=rows, labels=labels).loss

    def step():
        loss = 0.0
        for _ in range(n_micro):
            part = micro_batch() / n_micro
            part.backward()
            loss += part.detach()
        optimizer.step()
        return float(loss)

    result = run_steps(options, step)
    flops = options.tokens * 6.0 * (n_weights + layers * hidden * options.sequence)
    return {**result, "weights": n_weights, "tokens": options.tokens, "flops": flops}


def tower_forward(options):
    tower, _ = make_tower(options)
    see = torch.compile(tower) if options.compile else tower
    picture = torch.randn(options.micro, 3, options.image, options.image, device=options.device,
                          dtype=options.dtype).to(memory_format=torch.channels_last)

    def step():
        with torch.no_grad():
            return float(see(picture).float().mean())

    result = run_steps(options, step)
    return {**result, "pictures_per_s": options.micro / result["median"]}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["lm", "vlm", "tower"])
    parser.add_argument("--shape", default="36,2048,16,2,11008,151936")
    parser.add_argument("--tokens", type=int, default=16384)
    parser.add_argument("--sequence", type=int, default=2048)
    parser.add_argument("--micro", type=int, default=4)
    parser.add_argument("--image", type=int, default=512)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--warm", type=int, default=3)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    for flag in ("--recompute", "--compile", "--frozen"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args()
    options.shape = [int(n) for n in options.shape.split(",")]
    options.dtype = torch.bfloat16 if options.device == "cuda" else torch.float32
    return options


def main():
    options = parse()
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = True
    if options.what == "tower":
        result = tower_forward(options)
    else:
        result = language_model(options, options.what == "vlm")
    print(json.dumps({"what": options.what, "torch": torch.__version__, **result}))


if __name__ == "__main__":
    main()
