#!/bin/bash
# Generation with device: cuda, on the emulated GPU unless the build has a true one: job: generate
# writes the bytes that the CPU's run wrote, on one GPU and with the model held by two; predict
# prints what it prints there. fp32: no margin here is as small as what sums in another order change.
n_scenes=2
language_model="{vocab: 576, hidden: 32, ffn: 64, layers: 2, heads: 4, kv_heads: 2,
      max_positions: 512}"
case "${ROBIN_BUILD:-build/cpu}" in
*cuda*)
    gpu=$ROBIN_BUILD/robin-dist
    if ! nvidia-smi -L >/dev/null 2>&1; then
        echo "skipped: no GPU on this machine"
        exit 77
    fi
    ;;
*) gpu=${ROBIN_BUILD:-build/cpu}/emulated/robin-dist ;;
esac
. tests/sgedit/tiny_drafter.sh
export ROBIN_EMULATED_GPUS=2
"$gpu" "$work/run.yaml" run_dir="$work/gpu" device=cuda >"$work/log" 2>&1 || fail "one GPU"
grep -q "the model is on .*GPU\|the model is on NVIDIA" "$work/log" || fail "no GPU was used"
same_as_one gpu
launch/mpirun.sh -np 2 "$gpu" "$work/run.yaml" run_dir="$work/gpus" device=cuda parallel.tp=2 \
    >"$work/log" 2>&1 || fail "two GPUs"
same_as_one gpus
echo "the CPU's shards, ledger and report, from one GPU and from two"

ask_about_two
while read -r keys; do
    # shellcheck disable=SC2086
    "$robin" "${ask[@]}" $keys >"$work/cpu.txt" 2>"$work/log" || fail "predict on the CPU $keys"
    # shellcheck disable=SC2086
    "$gpu" "${ask[@]}" $keys --set device=cuda >"$work/gpu.txt" 2>"$work/log" ||
        fail "predict on a GPU $keys"
    [ -s "$work/cpu.txt" ] || fail "predict $keys: no answer"
    diff "$work/cpu.txt" "$work/gpu.txt" >"$work/log" || fail "predict $keys: other answers"
done <<'END'
--set decode.temperature=0.7 --set decode.top_p=0.9
--set decode.graphs=true --set decode.skip_forced=true
END
echo "predict prints the same, greedy and drawn"
"$gpu" "${ask[@]}" --set device=cuda --set model.dtype=bf16 >"$work/bf16.txt" 2>"$work/log" ||
    fail "predict in bf16"
[ -s "$work/bf16.txt" ] || fail "predict in bf16: no answer"
