#!/bin/bash
# A training step beside PyTorch's in one run: equal work without padding, then samples as long as the
# paper's second stage has them, which the reference pads.
#
# usage: tests/bench/pytorch_step_bench.sh BUILD; ROBIN_TORCH_PYTHON: a Python that has torch,
# transformers and safetensors; ROBIN_THREADS: threads of each (default: the processors)
set -uo pipefail
build=${1:?usage: tests/bench/pytorch_step_bench.sh BUILD}
python=${ROBIN_TORCH_PYTHON:-python3}

if ! "$python" -c 'import torch, transformers, safetensors' 2>/dev/null; then
    echo "PyTorch's step               skipped: $python has no torch and transformers. To compare:" \
        "python3 -m venv DIR && DIR/bin/pip install torch==2.4.1 transformers==4.46.3," \
        "then ROBIN_TORCH_PYTHON=DIR/bin/python3"
    exit 0
fi
step() { env -u OMP_NUM_THREADS "$python" tests/bench/pytorch_step.py "$build/tests/bench/lm_step_bench" "$@"; }
step equal 8,512,8,2,1408,8192 && step lengths 4,256,8,2,704,4096
