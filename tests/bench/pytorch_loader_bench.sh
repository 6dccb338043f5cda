#!/bin/bash
# PyTorch's DataLoader over JSON and JPEG files, doing what loader_bench measures, beside it.
#
# usage: tests/bench/pytorch_loader_bench.sh BUILD; ROBIN_TORCH_PYTHON: a Python that has torch
set -uo pipefail
build=${1:?usage: tests/bench/pytorch_loader_bench.sh BUILD}
python=${ROBIN_TORCH_PYTHON:-python3}
photographs=${ROBIN_SHARED:-../shared}/data/coco_panoptic/images

if ! "$python" -c 'import torch, PIL, numpy' 2>/dev/null; then
    echo "PyTorch DataLoader           skipped: $python has no torch, pillow and numpy. To compare:" \
        "python3 -m venv DIR && DIR/bin/pip install torch 'pillow<12' numpy," \
        "then ROBIN_TORCH_PYTHON=DIR/bin/python3"
    exit 0
fi
if ! [ -d "$photographs" ]; then
    echo "PyTorch DataLoader           skipped: no $photographs"
    exit 0
fi
"$build/tests/bench/loader_bench" || exit 1
"$python" tests/bench/pytorch_loader.py "$photographs" 256 2 &&
    "$python" tests/bench/pytorch_loader.py "$photographs" 512 2
