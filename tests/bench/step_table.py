#!/usr/bin/env python3
"""Whole training steps on this GPU, lm_step_bench's and PyTorch's in turn, case by case, and one table
(the tower's forward alone: tower_bench's, which is looked for beside lm_step_bench):
rates, the model's FLOPs as a share of the card's (MFU), their ratio, memory, the start, and the aims.

usage: step_table.py LM_STEP_BENCH [--python PYTHON] [--long] [--require] [--small]

--python: one that has torch and transformers; without it PyTorch's columns stay empty. --long: 1,000
steps more (small: 12), which may neither slow down nor grow. --require: code 3 where an aim is missed or was not
measured; a program that fails is code 1 in any case. --small: sizes for a CPU and an emulated GPU,
whose numbers mean nothing, to see that it runs.

Rates are those of the fastest step after some that do not count. Memory is the GPU's in use beyond what
was before the program started, seen five times a second by nvidia-smi. Start: from the start of the
program to the end of its first step; lm_step_bench's includes drawing weights and timing products."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading

PEAK = 989.4e12  # dense bf16 of an H100 or H200
SHAPE, SMALL_SHAPE = (36, 2048, 16, 2, 11008, 151936), (2, 64, 4, 2, 128, 512)
HERE = os.path.dirname(os.path.abspath(__file__))
COMPARED = "--compile"  # the faster of PyTorch's ways where both were measured

# name, tokens of a step, sequence, lm_step_bench's keys, pytorch_train.py's options, aim for MFU
CASES = (
    ("16,384 tokens", 16384, 2048, [], ["--micro", "4", COMPARED], 0.57),
    ("131,072 tokens", 131072, 2048, [], ["--micro", "4", COMPARED], 0.60),
    ("full recompute", 16384, 2048, ["recompute=1"], ["--micro", "4", "--recompute"], 0.45),
    ("8,192 a sequence", 16384, 8192, [], ["--micro", "1", "--recompute"], 0.54),
)
MEMORY_CASE = ("4 sequences", 8192, 2048, [], ["--micro", "4"], None)
MEMORY_AIM, START_AIM, DRIFT_AIM, GROWTH_MIB = 0.85, 10.0, 0.02, 1.0
# One picture of 512 x 512 in front of 2,048 rows, its own included. name, our keys, PyTorch's options,
# the aim: our tokens/s over those of our first case, which is text alone.
VISION = (("picture, tower frozen", ["frozen=1"], ["--micro", "4", "--frozen"], 0.99),
          ("picture, tower trained", [], ["--micro", "4"], 0.97))
TOWER_AIM = 1.3  # our pictures/s over PyTorch's, whose tower ends at the third stage
SIDE, SMALL_SIDE = 512, 32


def gpu_mib():
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", "0"]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


class Watched:
    """A program's JSON, and the most memory that the GPU had in use beyond before."""

    def __init__(self, command, on_gpu):
        self.seen, before = [], gpu_mib() if on_gpu else None
        with tempfile.TemporaryFile("w+") as out:
            program = subprocess.Popen(command, stdout=out)
            done = threading.Event()
            watcher = threading.Thread(target=self.watch, args=(done, before))
            if on_gpu:
                watcher.start()
            code = program.wait()
            done.set()
            if on_gpu:
                watcher.join()
            out.seek(0)
            lines = out.read().strip().splitlines()
        if code != 0:
            sys.exit(f"{' '.join(command)}: exit code {code}")
        self.said = json.loads(lines[-1])

    def watch(self, done, before):
        while not done.wait(0.2):
            self.seen.append(gpu_mib() - before)

    @property
    def most(self):
        return max(self.seen, default=None)

    @property
    def grown(self):
        """MiB from the second quarter of the time to the last."""
        quarter = len(self.seen) // 4
        return max(self.seen[-quarter:]) - max(self.seen[quarter : 2 * quarter]) if quarter else None


def shown(value, form):
    return "-" if value is None else form.format(value)


def mfu(case, shape, run):
    """One formula for both: 6 for each weight and token, 6 L H for each token and one before it, causal."""
    _, tokens, sequence = case[:3]
    flops = tokens * 6.0 * (run["weights"] + shape[0] * shape[1] * sequence)
    return flops / run["wall"] / PEAK


class Table:
    def __init__(self, options):
        self.options, self.missed = options, []
        self.text_rate = None  # tokens/s of the first case
        self.on_gpu = not options.small
        self.shape = SMALL_SHAPE if options.small else SHAPE

    def small(self, case):
        """A case with the same number of micro-batches."""
        name, tokens, sequence, keys, flags, aim = case
        if not self.options.small:
            return case
        flags = [flag for flag in flags if flag != COMPARED]
        return (name, tokens // 128, sequence // 128, keys, flags, aim)

    def ours(self, case, steps):
        _, tokens, sequence, keys, _, _ = case
        most = 16384 if self.on_gpu else 128
        command = [self.options.program, "json=1", "gpu=1",
                   "shape=" + ",".join(map(str, self.shape)), f"tokens={most}",
                   f"samples={tokens // sequence}", f"length={sequence}",
                   f"warm={3 if self.on_gpu else 1}", f"steps={steps}", *keys]
        return Watched(command, self.on_gpu)

    def theirs(self, case, what=("lm",)):
        if self.options.python is None:
            return None
        _, tokens, sequence, _, flags, _ = case
        command = [self.options.python, os.path.join(HERE, "pytorch_train.py"), *what, *flags,
                   "--shape", ",".join(map(str, self.shape)), "--tokens", str(tokens),
                   "--sequence", str(sequence)]
        if self.options.small:
            command += ["--device", "cpu", "--image", "32"]
        return Watched(command, self.on_gpu)

    def judge(self, name, met, aim):
        """met: None where it was not measured."""
        if not met:
            self.missed.append(name)
        word = "not measured" if met is None else "met" if met else "MISSED"
        return f"{aim}: {word}"

    def row(self, name, own, theirs, ratio, memory, aim):
        print(f"| {name} | {own} | {theirs} | {ratio} | {memory} | {aim} |", flush=True)

    def step(self, case):
        case = self.small(case)
        name, tokens, _, _, _, aim = case
        own, theirs = self.ours(case, 10 if self.on_gpu else 2), self.theirs(case)
        self.last = own, theirs
        self.text_rate = self.text_rate or tokens / own.said["wall"]
        share = mfu(case, self.shape, own.said)
        text = [f"{tokens / run.said['wall']:,.0f} tokens/s, {mfu(case, self.shape, run.said):.1%}"
                if run else "-" for run in (own, theirs)]
        ratio = theirs and theirs.said["wall"] / own.said["wall"]
        memory = self.memory_of(own, theirs)
        judged = self.judge(name, share >= aim, f"MFU >= {aim:.0%}") if aim else ""
        self.row(name, *text, shown(ratio, "{:.2f}"), memory, judged)

    def memory(self):
        own, theirs = self.last
        ratio = own.most / theirs.most if theirs and own.most and theirs.most else None
        met = None if ratio is None else ratio <= MEMORY_AIM
        self.row("its memory", "", "", shown(ratio, "{:.2f}"), "",
                 self.judge("memory", met, f"<= {MEMORY_AIM}"))
        starts = [run.said["first_s"] if run else None for run in (own, theirs)]
        self.row("its start to the first step", *(shown(s, "{:.1f} s") for s in starts), "", "",
                 self.judge("start", starts[0] <= START_AIM, f"<= {START_AIM:.0f} s"))

    def vision_keys(self):
        """Of either program."""
        return [f"image={SIDE if self.on_gpu else SMALL_SIDE}",
                "tower=" + ("192,3,27" if self.on_gpu else "8,1,2")]

    def memory_of(self, own, theirs):
        return " / ".join(shown(run and run.most and run.most / 1024, "{:.1f} GiB")
                          for run in (own, theirs))

    def vision(self):
        for name, keys, flags, aim in VISION:
            case = self.small((name, 16384, 2048, keys + self.vision_keys(), flags, None))
            own = self.ours(case, 10 if self.on_gpu else 2)
            theirs = self.theirs(case, ["vlm"])
            rates = [case[1] / run.said["wall"] if run else None for run in (own, theirs)]
            text = [shown(rate, "{:,.0f} tokens/s") for rate in rates]
            kept = rates[0] / self.text_rate
            self.row(name, f"{text[0]}, {kept:.2f} of text alone", text[1],
                     shown(theirs and rates[0] / rates[1], "{:.2f}"), self.memory_of(own, theirs),
                     self.judge(name, kept >= aim, f">= {aim} of text alone"))

    def tower(self):
        program = os.path.join(os.path.dirname(self.options.program), "tower_bench")
        own = Watched([program, "gpu=1", "images=8", *self.vision_keys()], self.on_gpu)
        theirs = self.theirs(self.small(("", 16384, 2048, [], ["--micro", "8", COMPARED], None)),
                             ["tower"])
        rates = [run.said["pictures_per_s"] if run else None for run in (own, theirs)]
        ratio = theirs and rates[0] / rates[1]
        self.row("tower forward", *(shown(rate, "{:,.0f} pictures/s") for rate in rates),
                 shown(ratio, "{:.2f}"), self.memory_of(own, theirs),
                 self.judge("tower forward", ratio and ratio >= TOWER_AIM, f">= {TOWER_AIM}"))

    def long(self):
        case = self.small(CASES[0])
        watched = self.ours(case, 1000 if self.on_gpu else 12)
        run, grown = watched.said, watched.grown
        drift = run["late_s"] / run["early_s"] - 1
        met = drift <= DRIFT_AIM and max(run["grown_mib"], grown or 0.0) <= GROWTH_MIB
        self.row(f"{run['steps']:,} steps", f"{drift:+.1%} from first to last tenth, "
                 f"{run['grown_mib']:.1f} MiB more on the host, {shown(grown, '{:.1f} MiB')} on the "
                 "GPU", "-", "", "",
                 self.judge("1,000 steps", met, f"<= {DRIFT_AIM:.0%}, <= {GROWTH_MIB:.0f} MiB"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--python")
    for flag in ("--long", "--require", "--small"):
        parser.add_argument(flag, action="store_true")
    table = Table(parser.parse_args())
    print("| step | robin-dist | PyTorch | robin-dist / PyTorch | GPU memory of each | aim |")
    print("|---|---|---|---|---|---|", flush=True)
    for case in CASES:
        table.step(case)
    table.step(MEMORY_CASE)
    table.memory()
    table.vision()
    table.tower()
    if table.options.long:
        table.long()
    if table.missed:
        print(f"aims missed or not measured: {', '.join(table.missed)}")
    if table.missed and table.options.require:
        sys.exit(3)


if __name__ == "__main__":
    main()
