#!/bin/bash
# The reference tensors of language model and whole model on meshes of 2 to 8 ranks: split heads, repeated
# key/value heads, words cut unevenly, tied and untied embeddings, rows split, ranks without samples; in
# bf16 on two ranks with a GPU, along each axis.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
golden=${ROBIN_BUILD:-build/cpu}/tests/golden
folder=${ROBIN_SHARED:-../shared}/golden
[ -d "$folder" ] || { echo "skipped: no $folder"; exit 77; }
export OMP_NUM_THREADS=1

kernels=cpu
mesh() { # RANKS TP [--sequence] FOLDER...
    local ranks=$1 tp=$2 options=()
    shift 2
    if [ "$1" = --sequence ]; then options=("$1"); shift; fi
    launch/mpirun.sh -np "$ranks" "$golden" --kernels "$kernels" --threads 1 --tp "$tp" "${options[@]}" "${@/#/$folder/}" || exit 1
}

mesh 2 2 lm_tiny lm_wide robin_tiny_no_region
mesh 4 2 --sequence lm_packed robin_tiny
mesh 4 4 robin_tiny robin_generate_untied
mesh 4 2 train_10_steps
mesh 8 8 --sequence lm_tiny lm_packed
[[ $golden != *cuda* ]] || nvidia-smi -L >/dev/null 2>&1 || exit 0 # built for a GPU that is not there
kernels=cuda
mesh 2 1 robin_tiny_bf16
mesh 2 2 robin_tiny_bf16
