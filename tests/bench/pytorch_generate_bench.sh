#!/bin/bash
# Generation beside transformers' generate, one after the other: the same sizes, prompts of one
# length, fp32, one thread each; seconds of processor time, which other programs do not lengthen.
#
# usage: pytorch_generate_bench.sh BUILD     ROBIN_TORCH_PYTHON: one with torch and transformers
set -uo pipefail
build=${1:?usage: pytorch_generate_bench.sh BUILD}
python=${ROBIN_TORCH_PYTHON:-python3}
threads=1
if ! "$python" -c 'import torch, transformers' 2>/dev/null; then
    echo "skipped: no torch and transformers; set ROBIN_TORCH_PYTHON"
    exit 0
fi
export ROBIN_THREADS=$threads
ours=$("$build/tests/bench/generate_bench" json) || exit 1
export OMP_NUM_THREADS=$threads
theirs=$("$python" "$(dirname "$0")/pytorch_generate.py" "$threads") || exit 1
python3 - "$ours" "$theirs" <<'END'
import json, sys
ours, theirs = map(json.loads, sys.argv[1:])
for name, new in (('one', 40), ('whole', 640), ('twenty', 40)):
    print(f'1112 tokens, {new} new, {name:7} robin-dist {ours[name]:7.2f} s, transformers '
          f'{theirs[name]:7.2f} s: {theirs[name] / ours[name]:.2f} times')
END
