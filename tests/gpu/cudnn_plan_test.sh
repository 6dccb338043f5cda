#!/bin/bash
# The graphs of attention, shown to cuDNN itself: it must have an engine for each on an H200 that is
# described to it. Needs cuDNN and the CUDA toolkit, no GPU; skipped where they are not.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
cuda=${CUDA_HOME:-/usr/local/cuda}
build=${ROBIN_BUILD:-build/cpu}
skip() { echo "skipped: $*"; exit 77; }
case $build in *asan*) skip "its library is of the sanitizer's build" ;; esac
[ -e "$cuda/include/cudnn.h" ] || skip "no cudnn.h in $cuda/include"
library=$(ls "$cuda"/lib/libcudnn.so.9 "$cuda"/lib64/libcudnn.so.9 2>/dev/null | head -1)
[ -n "$library" ] || skip "no libcudnn.so.9 in $cuda"
[ -e "$build/librobin.a" ] || skip "no $build/librobin.a: a pack has none"
command -v "${CXX:-g++}" >/dev/null || skip "no ${CXX:-g++}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! ldconfig -p | grep -q 'libcuda\.so\.1'; then # cuDNN insists on one
    [ -e "$cuda/lib64/stubs/libcuda.so" ] || skip "neither a driver nor the toolkit's stub of one"
    ln -s "$cuda/lib64/stubs/libcuda.so" "$work/libcuda.so.1"
fi
"${CXX:-g++}" -std=c++20 -w -O1 -Isrc -Ikernels -Ikernels/cuda -I"$cuda/include" -o "$work/plans" \
    tests/gpu/cudnn_plans.cc "$build/librobin.a" "$library" -ldl -pthread || exit 1
LD_LIBRARY_PATH=$work:$(dirname "$library"):$cuda/lib64 timeout 120 "$work/plans"
