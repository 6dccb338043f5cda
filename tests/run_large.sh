#!/bin/bash
# The golden tool on the folders of true size, one after the other, with memory and minutes.
#
# usage: tests/run_large.sh BUILD
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

build=${1:?usage: tests/run_large.sh BUILD}
golden=${ROBIN_SHARED:-../shared}/golden
passed=0
failed=0
skipped=0
for name in mask_extractor_large convnext_large lm_3b_two_layers lm_3b robin_3b; do
    if [ ! -d "$golden/$name" ]; then
        echo "skipped: no $golden/$name"
        skipped=$((skipped + 1))
        continue
    fi
    report=$(mktemp)
    if /usr/bin/time -o "$report" -f '%M %e' "$build/tests/golden" "$golden/$name"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "to run it again: $build/tests/golden $golden/$name"
    fi
    awk -v name="$name" 'END { printf "%s: %.2f GiB at most, %.1f minutes\n", name,
        $1 / 1048576, $2 / 60 }' "$report"
    rm -f "$report"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
