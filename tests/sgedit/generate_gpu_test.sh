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
same() { # RUN_DIR
    for file in corpus sg ledger report.json; do
        diff -r "$work/one/$file" "$work/$1/$file" >/dev/null || fail "$1: other bytes in $file"
    done
}
export ROBIN_EMULATED_GPUS=2
"$gpu" "$work/run.yaml" run_dir="$work/gpu" device=cuda >"$work/log" 2>&1 || fail "one GPU"
grep -q "the model is on .*GPU\|the model is on NVIDIA" "$work/log" || fail "no GPU was used"
same gpu
launch/mpirun.sh -np 2 "$gpu" "$work/run.yaml" run_dir="$work/gpus" device=cuda parallel.tp=2 \
    >"$work/log" 2>&1 || fail "two GPUs"
same gpus
echo "the CPU's shards, ledger and report, from one GPU and from two"

python3 - "$work/x.png" <<'END2'
import struct, sys, zlib
rows = b''.join(b'\0' + bytes([200, 30, 30] * 32 + [20, 40, 220] * 32) for _ in range(64))
def chunk(name, data):
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
open(sys.argv[1], 'wb').write(b'\x89PNG\r\n\x1a\n' + chunk(
    b'IHDR', struct.pack('>IIBBBBB', 64, 64, 8, 2, 0, 0, 0)) + chunk(
    b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))
END2
ask=(predict "$work/run.yaml" --image "$work/x.png" --box 0,0,32,64 --box 32,0,64,64)
ask+=(--set decode.max_tokens=24)
while read -r keys; do
    # shellcheck disable=SC2086
    "$robin" "${ask[@]}" $keys >"$work/cpu.txt" 2>"$work/log" || fail "predict on the CPU $keys"
    # shellcheck disable=SC2086
    "$gpu" "${ask[@]}" $keys --set device=cuda >"$work/gpu.txt" 2>"$work/log" ||
        fail "predict on a GPU $keys"
    [ -s "$work/cpu.txt" ] || fail "predict $keys: no answer"
    diff "$work/cpu.txt" "$work/gpu.txt" >"$work/log" || fail "predict $keys: other answers"
done <<'END2'
--set decode.temperature=0.7 --set decode.top_p=0.9
--set decode.graphs=true --set decode.skip_forced=true
END2
echo "predict prints the same, greedy and drawn"
"$gpu" "${ask[@]}" --set device=cuda --set model.dtype=bf16 >"$work/bf16.txt" 2>"$work/log" ||
    fail "predict in bf16"
[ -s "$work/bf16.txt" ] || fail "predict in bf16: no answer"
