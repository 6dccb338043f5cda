#!/bin/bash
# model.dtype: bf16. A run's losses stay within 2 % of those in fp32, its gradient norms within 10 %
# (set before any was measured: bf16 keeps 8 bits, so a sum of many terms is right to about 1 %), on
# the CPU, on the emulated GPU, on meshes and with several micro-batches; a run that was stopped goes
# on with the same digits, and not in another precision.
n_scenes=12
sources='[{corpus: SCENES, tasks: [sg, region_label]}]'
source tests/train/small_training.sh
echo "train: {global_batch: 4, steps: 4, save_every: 0, drop_path: true}" >>"$work/train.yaml"

done_with() { train_with "$@" || { cat "$work/log"; fail "the run $3"; }; }
curve() { paste -d' ' <(field loss "$1") <(field grad_norm "$1"); }
near() { # RUN RUN
    paste -d' ' <(curve "$1") <(curve "$2") | awk '
        function off(a, b, most) { d = a - b; if (d < 0) d = -d; return d > most * a }
        off($1, $3, 0.02) || off($2, $4, 0.1) { print "step " NR ": " $0; bad = 1 }
        END { exit bad || NR != 4 }' || fail "$1 and $2: further apart than bf16 explains"
}
same() { [ "$(curve "$1")" = "$(curve "$2")" ] || fail "$1 and $2: other digits"; }

case "$build" in
*cuda*) gpu=$build/robin-dist ;;
*) gpu=$build/emulated/robin-dist ;;
esac
cpu=$build/robin-dist
done_with "$cpu" 1 fp32
done_with "$cpu" 1 cpu model.dtype=bf16
near fp32 cpu
[ "$(curve fp32)" != "$(curve cpu)" ] || fail "model.dtype changed nothing"
done_with "$cpu" 1 threads model.dtype=bf16 threads=3
same cpu threads
done_with "$cpu" 1 micro model.dtype=bf16 data.max_tokens=270 train.recompute=true
near fp32 micro
echo "bf16 near fp32 on the CPU"

done_with "$cpu" 2 dp model.dtype=bf16 parallel.shard_gradients=true
done_with "$cpu" 2 tp model.dtype=bf16 parallel.tp=2 parallel.sequence=true
near fp32 dp
near fp32 tp
echo "and on two ranks"

if [ "$gpu" = "$cpu" ] && ! nvidia-smi -L >/dev/null 2>&1; then
    echo "no GPU on this machine: what follows is left out"
else
    done_with "$gpu" 1 gpu device=cuda model.dtype=bf16
    done_with "$gpu" 2 gpu_tp device=cuda model.dtype=bf16 parallel.tp=2
    near fp32 gpu
    near fp32 gpu_tp
    small="device=cuda model.dtype=bf16 parallel.bucket_elements=6000" # many buckets
    ROBIN_EMULATED_GPUS=2 done_with "$gpu" 2 gpu_dp $small
    done_with "$gpu" 2 gpu_dp_host $small parallel.overlap=false # one GPU: by MPI
    near fp32 gpu_dp
    same gpu_dp gpu_dp_host
    echo "and on a GPU"
    train_with "$gpu" 1 gpu_on device=cuda model.dtype=bf16 train.stop_after=2
    [ $? = 3 ] || { cat "$work/log"; fail "two steps on a GPU"; }
    done_with "$gpu" 1 gpu_on device=cuda model.dtype=bf16
    same gpu gpu_on
    train_with "$gpu" 2 gpu_dp_on $small train.stop_after=2 # its checkpoint has every fp32 weight
    [ $? = 3 ] || { cat "$work/log"; fail "two steps on two ranks with a GPU"; }
    done_with "$gpu" 2 gpu_dp_on $small
    same gpu_dp gpu_dp_on
    heads="model.lm.hidden=128 model.lm.heads=2 model.lm.kv_heads=1 model.dtype=bf16"
    if done_with "$cpu" 1 heads $heads && train_with "$gpu" 1 cudnn device=cuda $heads \
        train.attention=cudnn; then
        grep -q "attention: forward by cuDNN, backward by cuDNN" "$work/log" || fail "not cuDNN"
        near heads cudnn
        echo "attention by cuDNN, too"
        done_with "$gpu" 2 auto device=cuda $heads
        grep -q "attention: forward by " "$work/log" || fail "it is not said who computes attention"
        near heads auto
    elif ! grep -q "cannot load libcudnn.so.9" "$work/log"; then
        cat "$work/log"
        fail "a run with cuDNN"
    fi
fi
train_with "$cpu" 1 refused train.attention=cudnn
[ $? = 2 ] && grep -q "train.attention is cudnn, but device is cpu" "$work/log" ||
    { cat "$work/log"; fail "cuDNN on the CPU was not refused"; }

train_with "$cpu" 1 stopped model.dtype=bf16 train.stop_after=2
[ $? = 3 ] || { cat "$work/log"; fail "two steps in bf16"; }
train_with "$cpu" 1 stopped
[ $? = 2 ] && grep -q "there 'dtype: bf16', now 'dtype: fp32'" "$work/log" ||
    { cat "$work/log"; fail "going on in fp32 was not refused"; }
done_with "$cpu" 1 stopped model.dtype=bf16
same cpu stopped
echo "a stopped run went on with the same digits, and not in another precision"
