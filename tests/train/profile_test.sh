#!/bin/bash
# --profile N: every rank writes a trace of N steps that a program can read, in which spans of a
# thread lie inside each other and every phase of every step is there; rank 0 prints the table.
set -uo pipefail
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

"$robin" data build scenes --count 8 --size 64 --out "$work/scenes" --threads 1 >/dev/null 2>&1 ||
    fail "data build scenes"
cat >"$work/train.yaml" <<END
job: train
model:
  image: {height: 64, width: 64}
  vision: {depths: [1, 1, 1, 1], dims: [8, 16, 24, 32]}
  extractor: {embed: 16, mask_side: 8}
  lm: {vocab: 576, hidden: 32, ffn: 64, layers: 2, heads: 4, kv_heads: 2, max_positions: 512,
       tied: true}
tokenizer: datasets/tokenizer-scenes
run_dir: $work/run
data:
  sources: [{corpus: $work/scenes, tasks: [sg, region_label]}]
  max_length: 256
  max_tokens: 400
train: {global_batch: 4, steps: 4, save_every: 0}
END
launch/mpirun.sh -np 2 "$robin" "$work/train.yaml" --profile 2 >"$work/log" 2>&1 ||
    { cat "$work/log"; fail "the run"; }
grep -q '^phase  *model  *[0-9]' "$work/log" || fail "no table"
python3 - "$work/run/profile" <<'END' || fail "the traces"
import json, sys
for rank in range(2):
    with open(f"{sys.argv[1]}/rank-{rank:05d}.json", encoding="utf-8") as f:
        events = json.load(f)["traceEvents"]
    phases = [e["name"] for e in events if e["cat"] == "phase"]
    assert phases.count("optimizer") == 2 and phases.count("reduce") == 2, phases
    assert phases.count("model") >= 2 and phases.count("model") == phases.count("data"), phases
    assert {e["cat"] for e in events} == {"phase", "part", "kernel", "collective"}
    assert all(e["pid"] == rank and e["dur"] >= 0 and e["ts"] >= 0 for e in events)
    layers = [e for e in events if e["name"] == "attention"]
    assert len(layers) == 2 * phases.count("model"), len(layers)
    for thread in {e["tid"] for e in events}:
        open_until = []
        for e in sorted((e for e in events if e["tid"] == thread), key=lambda e: (e["ts"], -e["dur"])):
            while open_until and open_until[-1] <= e["ts"] + 0.002:
                open_until.pop()
            assert not open_until or e["ts"] + e["dur"] <= open_until[-1] + 0.002, e
            open_until.append(e["ts"] + e["dur"])
END
"$robin" "$work/train.yaml" --profile >"$work/log" 2>&1
[ $? = 2 ] && grep -q "metrics.profile_steps" "$work/log" || fail "--profile without a number"
