#!/bin/bash
# device: cuda. Without CUDA, and without a GPU, it is refused in a sentence; on the emulated GPU a
# run has the loss curve of a CPU's, on one rank and on meshes, and a checkpoint of either goes on
# on the other.
n_scenes=12
sources='[{corpus: SCENES, tasks: [sg, region_label]}]'
source tests/train/small_training.sh
echo "train: {global_batch: 4, steps: 3, save_every: 0, drop_path: true}" >>"$work/train.yaml"

refused() { # SENTENCE PROGRAM KEY=VALUE...
    train_with "$2" 1 refused device=cuda "${@:3}"
    [ $? = 2 ] && grep -q "$1" "$work/log" || { cat "$work/log"; fail "not refused: $1"; }
}
same() { same_curve cpu "$1" 3; }

case "$build" in
*cuda*)
    gpu=$build/robin-dist
    if ! nvidia-smi -L >/dev/null 2>&1; then
        refused "no GPU can be used on this machine" "$gpu"
        echo "skipped: no GPU on this machine"
        exit 77
    fi
    ;;
*)
    gpu=$build/emulated/robin-dist
    refused "rebuild with make CUDA=1" "$build/robin-dist"
    [ ! -x "$build/with-cuda/robin-dist" ] || nvidia-smi -L >/dev/null 2>&1 ||
        refused "no GPU can be used on this machine" "$build/with-cuda/robin-dist"
    ;;
esac
refused "which are the CPU's, but device is cuda" "$gpu" kernels=ref
refused "parallel.offload_optimizer is true, but device is cpu" "$gpu" device=cpu \
    parallel.offload_optimizer=true
echo "refused where there is no GPU"

train_with "$build/robin-dist" 1 cpu || { cat "$work/log"; fail "the run on the CPU"; }
small="parallel.bucket_elements=6000 data.max_tokens=256" # many buckets, several micro-batches
while read -r ranks tp gpus keys; do
    export ROBIN_EMULATED_GPUS=$gpus
    # shellcheck disable=SC2086
    train_with "$gpu" "$ranks" "gpu$ranks$tp$gpus$keys" device=cuda parallel.tp="$tp" $keys ||
        { cat "$work/log"; fail "the run on a GPU, $ranks ranks, tp $tp, $gpus GPUs, $keys"; }
    same "gpu$ranks$tp$gpus$keys"
    [[ "$gpus" = 1 || $keys = *offload* ]] || [ "$gpu" = "$build/robin-dist" ] ||
        grep -q "gradients and weights travel by NCCL" "$work/log" ||
        { cat "$work/log"; fail "a GPU for each rank, and no NCCL"; }
done <<END
1 1 1
2 2 1
2 1 2 $small
4 2 1 $small
4 2 4 $small parallel.shard_gradients=true
2 1 1 $small parallel.shard_gradients=true
2 1 2 $small parallel.reduction=ordered
4 2 4 $small parallel.overlap=false
2 1 2 $small parallel.offload_optimizer=true parallel.backend=mpi
END
unset ROBIN_EMULATED_GPUS
[ "$(ls "$ROBIN_CACHE" | wc -l)" = 1 ] || fail "not one file of algorithms: $(ls "$ROBIN_CACHE")"
file=$(ls -d "$ROBIN_CACHE"/products-*)
train_with "$gpu" 2 known device=cuda || { cat "$work/log"; fail "a run with known algorithms"; }
! grep -q "were timed" "$work/log" || fail "known algorithms were timed again"
sed -i '2s/: 0/: 1/' "$file"
cp "$file" "$work/damaged_file"
train_with "$gpu" 2 damaged device=cuda || { cat "$work/log"; fail "a damaged file of algorithms"; }
grep -q "is not used: its checksum is wrong; it is written anew" "$work/log" &&
    grep -q "were timed in" "$work/log" || { cat "$work/log"; fail "not said: damaged"; }
cmp -s "$file" "$work/damaged_file" && fail "the damaged file stayed"
same damaged
ROBIN_CACHE=/proc/none train_with "$gpu" 1 nowhere device=cuda || fail "no folder for algorithms"
grep -q "the next run times them again: " "$work/log" || { cat "$work/log"; fail "nowhere"; }
train_with "$gpu" 1 first device=cuda train.products=first || fail "train.products: first"
! grep -q "were timed" "$work/log" || fail "timed in spite of train.products: first"
same first
echo "algorithms of products are timed once, and a damaged file is not used"
echo "one curve on the CPU and on GPUs, on 1, 2 and 4 ranks, tp 1 and 2, by MPI and by NCCL"
refused "set one of them to false" "$gpu" parallel.shard_gradients=true \
    parallel.offload_optimizer=true

for keys in parallel.offload_optimizer=true parallel.reduction=ordered optimizer.ema_decay=0.5; do
    train_with "$gpu" 1 "$keys" device=cuda "$keys" || { cat "$work/log"; fail "a run with $keys"; }
    same "$keys"
done
echo "and with the optimizer on the host, in order, and with a running mean"

train_with "$build/robin-dist" 1 moved train.stop_after=1
[ $? = 3 ] || { cat "$work/log"; fail "the CPU's first step"; }
train_with "$gpu" 1 moved device=cuda || { cat "$work/log"; fail "going on on a GPU"; }
same moved
train_with "$gpu" 1 back device=cuda train.stop_after=2
[ $? = 3 ] || { cat "$work/log"; fail "a GPU's first steps"; }
train_with "$build/robin-dist" 1 back || { cat "$work/log"; fail "going on on the CPU"; }
same back
echo "a run that began on the CPU went on on a GPU, and the other way"
