"""Training steps of a language model by PyTorch beside those of lm_step_bench, in turn, in one run: the
same weights (lm_step_bench writes them), the same words, fp32, AdamW, clipping, threads. The losses
of both are compared, so neither can do less than the other.

PyTorch's is Hugging Face's Qwen2ForCausalLM, eager, sdpa attention, fused AdamW. With lengths of the
second stage its batches are the reference's: BATCH samples in the order they come, padded to the
longest; lm_step_bench packs the same samples.

usage: pytorch_step.py LM_STEP_BENCH equal|lengths SHAPE [ROUNDS]     (ROBIN_THREADS: threads of each)"""
import json
import os
import subprocess
import sys
import tempfile
import time

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, Qwen2Config

BATCH, IGNORE, STEPS, WARM = 4, -100, 2, 1
THREADS = int(os.environ.get("ROBIN_THREADS", os.cpu_count()))


def resident_mib():
    """The most that was resident so far."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(float(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def own_steps(program, options, folder=None):
    command = [program, "json=1", f"steps={STEPS}", f"warm={WARM}", *options]
    if folder:
        command.append(f"write={folder}")
    env = {**os.environ, "ROBIN_THREADS": str(THREADS), "OMP_NUM_THREADS": "1"}
    out = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out)


def build(shape, folder):
    layers, hidden, heads, kv, ffn, vocab = shape
    config = Qwen2Config(hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
                         num_key_value_heads=kv, intermediate_size=ffn, vocab_size=vocab,
                         tie_word_embeddings=True, max_position_embeddings=8192, rms_norm_eps=1e-6,
                         rope_theta=1e6, use_cache=False)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    weights = load_file(os.path.join(folder, "model.safetensors"))
    unexpected = model.load_state_dict(weights, strict=False).unexpected_keys
    assert not unexpected, unexpected
    model.train()
    return model


def make_batches(sizes, vocab):
    """[(ids, labels, mask)] of BATCH samples each, padded on the right to the longest."""
    batches = []
    for first in range(0, len(sizes), BATCH):
        group = list(enumerate(sizes))[first : first + BATCH]
        longest = max(tokens for _, (tokens, _) in group)
        ids = torch.zeros(len(group), longest, dtype=torch.long)
        labels = torch.full_like(ids, IGNORE)
        mask = torch.zeros_like(ids)
        for row, (sample, (tokens, targets)) in enumerate(group):
            words = [((sample * 8192 + place) * 2654435761 >> 7) % vocab for place in range(tokens)]
            ids[row, :tokens] = torch.tensor(words)
            labels[row, tokens - targets : tokens] = ids[row, tokens - targets : tokens]
            mask[row, :tokens] = 1
        batches.append((ids, labels, None if bool(mask.all()) else mask))
    return batches


class Steps:
    def __init__(self, model, batches):
        self.model, self.batches = model, batches
        self.targets = sum(int((labels[:, 1:] != IGNORE).sum()) for _, labels, _ in batches)
        self.adamw = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0, fused=True)

    def step(self):
        loss = 0.0
        for ids, labels, mask in self.batches:
            share = int((labels[:, 1:] != IGNORE).sum()) / self.targets
            part = self.model(input_ids=ids, labels=labels, attention_mask=mask).loss * share
            part.backward()
            loss += float(part.detach())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)
        return loss

    def run(self, n):
        """Fastest wall time, least processor time, losses."""
        wall, processor, losses = 1e9, 1e9, []
        for _ in range(n):
            start, used = time.perf_counter(), time.process_time()
            losses.append(self.step())
            wall = min(wall, time.perf_counter() - start)
            processor = min(processor, time.process_time() - used)
        return wall, processor, losses


def sgemm_gflops():
    a, best = torch.randn(2048, 2048), 1e9
    for _ in range(5):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * 2048**3 / best / 1e9


def compare_losses(own, theirs):
    worst = max(abs(a - b) / abs(b) for a, b in zip(own, theirs))
    if not worst < 1e-4:
        sys.exit(f"the losses differ by {worst:.1e}: {own} and {theirs}")
    return worst


def row(what, size, text):
    print(f"{what:28} {size:26} {text}", flush=True)


def main():
    program, kind, shape = sys.argv[1], sys.argv[2], [int(n) for n in sys.argv[3].split(",")]
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    torch.set_num_threads(THREADS)
    options = [f"shape={sys.argv[3]}"]
    if kind == "lengths":
        options += ["length=0", "samples=16", "tokens=8192"]
    before = resident_mib()
    with tempfile.TemporaryDirectory() as folder:
        best = own_steps(program, options, folder)
        model = build(shape, folder)
    sizes = best["sizes"]
    steps = Steps(model, make_batches(sizes, shape[-1]))
    wall, processor, losses = steps.run(WARM)
    sgemm = max(best["sgemm"], sgemm_gflops())
    for round_ in range(rounds):
        if round_ > 0:
            again = own_steps(program, options)
            best = min(best, again, key=lambda run: run["wall"])
            best["processor"] = min(best["processor"], again["processor"])
        later = steps.run(STEPS)
        wall = min(wall, later[0]) if round_ > 0 else later[0]
        processor = min(processor, later[1]) if round_ > 0 else later[1]
        losses += later[2]
        sgemm = max(sgemm, best["sgemm"], sgemm_gflops())
    worst = compare_losses(best["loss"], losses)
    padded = sum(batch[0].numel() for batch in steps.batches) / best["tokens"]
    size = f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}M, {len(sizes)} samples"
    gflop = best["gflops"] * best["wall"]
    row("robin-dist, " + kind, size, f"{best['tokens'] / best['wall']:7.0f} tokens/s "
        f"{best['gflops']:6.1f} GFLOP/s = {100 * best['gflops'] / sgemm:.1f} % of sgemm "
        f"({sgemm:.0f}), {best['processor']:.2f} s of processor")
    row(f"PyTorch {torch.__version__}, " + kind, size, f"{best['tokens'] / wall:7.0f} tokens/s "
        f"{gflop / wall:6.1f} GFLOP/s = {100 * gflop / wall / sgemm:.1f} % of sgemm "
        f"({sgemm:.0f}), {processor:.2f} s of processor")
    own, theirs = best["resident_mib"] - best["before_mib"], resident_mib() - before
    row("", "", f"{wall / best['wall']:.2f} times PyTorch's speed ({processor / best['processor']:.2f} by "
        f"processor time); padding {padded:.2f}; losses differ by {worst:.0e}")
    row("", "", f"memory {own:.0f} MiB against {theirs:.0f}: {own / theirs:.2f} "
        f"(with what both programs take before: {best['resident_mib'] / resident_mib():.2f})")


main()
