#!/bin/bash
# The demonstration: renders scenes, takes a tiny ROBIN through a declared pre-training and the
# paper's stages 0a, 0b, 0c and 1 on several ranks, has the graphs that it drafts of new scenes edited
# by a teacher over HTTP, trains stage 2 on them, and shows what it knows of held-out scenes, beside
# the model of stage 1 and one that was trained on the drafts as they were.
# About twelve minutes on two otherwise idle cores.
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
say "drawing 6000 scenes to learn from, 3000 for the model to describe, 256 that are held out"
ranked data build scenes --count 6000 --seed 1 --out "$out/scenes"
ranked data build scenes --count 256 --seed 1 --first 1000000 --out "$out/held-out"
ranked data build scenes --count 3000 --seed 1 --first 2000000 --out "$out/new-scenes"

# The tests' teacher: it knows the new scenes, and one in twenty of its decisions is wrong.
export ROBIN_DEMO_KEY=sk-of-the-demo
"${ROBIN_BUILD:-build/cpu}/tests/teacher_server" "$out/new-scenes" key="$ROBIN_DEMO_KEY" noise=0.05 \
    >"$out/teacher.port" &
teacher=$!
trap 'kill "$teacher" 2>/dev/null' EXIT
for _ in $(seq 100); do
    [ -s "$out/teacher.port" ] && break
    sleep 0.1
done
[ -s "$out/teacher.port" ] || { echo "launch/demo.sh: the teacher did not start" >&2; exit 1; }
url=http://127.0.0.1:$(cat "$out/teacher.port")/v1

say "pre-training and the stages, one job: configs/demo/curriculum.yaml; the teacher is at $url"
ranked configs/demo/curriculum.yaml "curriculum.set=[teacher.url=$url]"
say "done; runs/demo has the checkpoints, metrics.jsonl of each stage and evaluation/evaluation.json;"
echo "   runs/demo/sgedit/page.html shows drafts and what became of them"
