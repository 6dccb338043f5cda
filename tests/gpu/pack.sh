#!/bin/bash
# Packs the GPU build and what it needs, so that tests/gpu/run works on an x86-64 Linux machine that
# has a GPU and its driver and nothing else: no MPI, no HDF5, no CUDA toolkit.
#
# usage: tests/gpu/pack.sh OUT.tar
#        tests/gpu/pack.sh --list     what it would pack beside libraries; builds nothing
#
# On the other machine: tar -xf OUT.tar && cd robin-dist && tests/gpu/run
set -euo pipefail
cd "$(dirname "$0")/../.."

# ---- programs, scripts, reference tensors ----
# Below build/cuda. Tests have the names of their sources, the emulated GPU's own is not built there.
programs() {
    printf '%s\n' robin-dist tests/golden tests/bench/lm_step_bench tests/bench/tower_bench
    git ls-files 'tests/gpu/gpu_*.c' 'tests/device/*_test.c' 'tests/kernels/*_test.c' \
        tests/comm/comm_device_test.c tests/generate/engine_test.c |
        sed -n '/emulation_test/d; s/\.c$//p'
}
# tests/gpu/run finds the tests of kernels by their sources.
scripts() {
    git ls-files tests/gpu tests/device tests/kernels tests/jobs/cuda_job_test.sh \
        tests/jobs/bf16_job_test.sh tests/train/small_training.sh tests/sgedit/generate_gpu_test.sh \
        tests/sgedit/tiny_drafter.sh tests/bench/pytorch_operations.py tests/bench/pytorch_decode.py \
        tests/bench/pytorch_train.py tests/bench/step_table.py configs/demo/stage2.yaml \
        configs/model launch datasets/tokenizer-scenes
}
tensors=(adamw lm_tiny lm_wide lm_packed robin_tiny robin_tiny_bf16 robin_tiny_no_region
    robin_tiny_truncated robin_decay_groups robin_generate robin_generate_untied train_10_steps
    lm_3b_two_layers)

out=${1:?usage: tests/gpu/pack.sh OUT.tar}
if [ "$out" = --list ]; then
    programs | sed 's:^:build/cuda/:'
    scripts
    printf 'shared/golden/%s\n' "${tensors[@]}"
    exit
fi
out=$(realpath -m "$out")
cuda_home=${CUDA_HOME:-/usr/local/cuda}
golden=${ROBIN_SHARED:-../shared}/golden
make -j"$(nproc)" CUDA=1 all tests bench-programs
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
top=$stage/robin-dist
mkdir -p "$top/lib" "$top/build/cuda" "$top/shared/golden"
programs | (cd build/cuda && xargs cp --parents -t "$top/build/cuda")
scripts | xargs cp --parents -t "$top"
for name in "${tensors[@]}"; do
    [ ! -d "$golden/$name" ] || cp -rL "$golden/$name" "$top/shared/golden/"
done

# ---- libraries ----
needs() { ldd "$1" 2>/dev/null | awk '$2 == "=>" && $3 ~ /^\// { print $3 }'; }
mpi=$(dirname "$(readlink -f "$(command -v mpirun)")")
plugins=$(find /usr/lib -maxdepth 4 -type d \( -path '*openmpi/lib/openmpi*' -o -name 'pmix*' \))
{
    for program in $(programs | sed 's:^:build/cuda/:') "$mpi"/orterun "$mpi"/orted; do
        needs "$program"
    done
    # shellcheck disable=SC2086
    find $plugins -name '*.so*' | while read -r file; do needs "$file"; done
    for name in libcublasLt.so libnccl.so; do
        ls "$cuda_home"/lib64/$name.[0-9]* 2>/dev/null || true
    done
    # cuDNN, which opens its parts by name, and the compiler of its kernels.
    ls "$cuda_home"/lib64/libcudnn*.so.9 "$cuda_home"/lib64/libnvrtc*.so.[0-9]* 2>/dev/null || true
} | sort -u | grep -Ev '/(libc|libm|libdl|librt|libpthread|ld-linux-x86-64|libcuda)\.so' |
    while read -r file; do cp -Ln "$file" "$top/lib/"; done
# Open MPI looks for its parts below the folder it was built for.
tar -ch --ignore-failed-read /usr/bin/mpirun /usr/bin/orted /usr/share/openmpi /etc/openmpi \
    $plugins /usr/share/pmix* 2>/dev/null | tar -x -C "$top/lib" || true
tar -C "$stage" -cf "$out" robin-dist
echo "$out: $(($(stat -c %s "$out") >> 20)) MiB"
