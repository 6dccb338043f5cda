#!/bin/bash
# tests/gpu/run where there is no GPU, and with programs that only pretend to be tests: what it says,
# its exit codes, and that a kernel test which never came to the GPU does not pass.
set -uo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; cat "$work/log"; exit 1; }
# expect CODE TEXT COMMAND...
expect() {
    local code=$1 text=$2
    shift 2
    "$@" >"$work/log" 2>&1
    local got=$?
    [ $got = "$code" ] || fail "exit code $got and not $code of $*"
    grep -qF -- "$text" "$work/log" || fail "not said: $text"
}

tools=$work/tools
mkdir -p "$tools"
for name in bash dirname basename sed grep tail date mktemp rm cat timeout nproc env mkdir; do
    ln -s "$(command -v $name)" "$tools/$name"
done
expect 2 "usage: tests/gpu/run" tests/gpu/run everything
expect 2 "there is no nvidia-smi" env PATH="$tools" tests/gpu/run quick
printf '#!/bin/bash\necho "No devices were found"; exit 6\n' >"$tools/nvidia-smi"
chmod +x "$tools/nvidia-smi"
expect 2 "nvidia-smi says 'No devices were found'" env PATH="$tools:$PATH" tests/gpu/run full
printf '#!/bin/bash\n' >"$tools/nvidia-smi"
expect 2 "nvidia-smi lists none; nothing was run" env PATH="$tools:$PATH" tests/gpu/run bench
echo "refused where there is no GPU"

expect 0 "memcheck kernels/attention_test" tests/gpu/run list
for row in "synccheck kernels/rope_test" "initcheck kernels/rope_test" comm/comm_device_test kernels/linear_test "training jobs in bf16"; do
    grep -qx "$row" "$work/log" || fail "the list lacks $row"
done
[ ! -d "${ROBIN_SHARED:-../shared}/golden/lm_3b_two_layers" ] ||
    grep -qx "golden lm_3b_two_layers, fp32 and bf16" "$work/log" || fail "no tensors of true size"
[ ! -d "${ROBIN_SHARED:-../shared}/golden/train_10_steps" ] ||
    grep -qx "golden train_10_steps, two ranks on one GPU, tp 2" "$work/log" || fail "no ten steps"
[ ! -d "${ROBIN_SHARED:-../shared}/golden/robin_tiny_bf16" ] ||
    grep -qx "golden robin_tiny_bf16, two ranks on one GPU, tp 1" "$work/log" || fail "no two ranks in bf16"

fake=$work/build
mkdir -p "$fake/tests/kernels" "$fake/tests/device" "$fake/tests/comm"
printf '#!/bin/bash\necho "NVIDIA H0, 1, 2, 3"\n' >"$tools/nvidia-smi"
for test in tests/kernels/*_test.c tests/device/device_test.c tests/comm/comm_device_test.c; do
    printf '#!/bin/bash\necho "a on ref b"; echo "a on cuda b"\n' >"$fake/${test%.c}"
done
printf '#!/bin/bash\necho "a on ref b"\n' >"$fake/tests/kernels/rope_test"
printf '#!/bin/bash\necho "a on cuda b"; exit 3\n' >"$fake/tests/kernels/relu_test"
chmod +x "$fake"/tests/*/*
expect 1 "it never came to the GPU" env PATH="$tools:$PATH" ROBIN_BUILD="$fake" \
    ROBIN_SHARED="$work/none" tests/gpu/run quick
grep -q '^ok      kernels/linear_test ' "$work/log" || fail "a test that passed has no row"
grep -q '^FAILED  kernels/rope_test ' "$work/log" || fail "a test without the GPU has no row"
grep -q '^FAILED  kernels/relu_test .*exit code 3' "$work/log" || fail "a failure has no row"
echo "one table, and 1 where a row failed"
