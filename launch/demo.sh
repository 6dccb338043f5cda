#!/bin/bash
# The demonstration: renders scenes, takes a tiny ROBIN through a declared pre-training and the
# paper's stages 0a, 0b, 0c, 1 and 2 on several ranks, and shows what it knows of held-out scenes.
# About ten minutes on two cores.
#
# usage: launch/demo.sh [RANKS]     4 ranks by default; everything it writes is in runs/demo
set -euo pipefail
cd "$(dirname "$0")/.."

ranks=${1:-4}
out=runs/demo
started=$SECONDS

say() { printf '\n== %s (%d s)\n' "$1" $((SECONDS - started)); }
ranked() { launch/mpirun.sh -np "$ranks" ./robin-dist "$@"; }

rm -rf "$out"
mkdir -p "$out"
say "drawing 6000 scenes to learn from and 256 that are held out"
ranked data build scenes --count 6000 --seed 1 --out "$out/scenes"
ranked data build scenes --count 256 --seed 1 --first 1000000 --out "$out/held-out"

say "pre-training and the stages, one job: configs/demo/curriculum.yaml"
ranked configs/demo/curriculum.yaml
say "done; runs/demo has the checkpoints, metrics.jsonl of each stage and evaluation/evaluation.json"
