#!/bin/bash
# Every fuzz target reads its seeds: what was once found stays mended.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${ROBIN_BUILD:-build/cpu}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tests/fuzz/make_seeds.sh "$work"
n=0
for program in "$build"/tests/fuzz/*_fuzz; do
    name=$(basename "$program" _fuzz)
    seeds=()
    for folder in "tests/fuzz/seeds/$name" "$work/$name"; do
        [ ! -d "$folder" ] || seeds+=("$folder")
    done
    [ "${#seeds[@]}" -gt 0 ] || { echo "$name has no seeds: add tests/fuzz/seeds/$name"; exit 1; }
    echo "$name: $("$program" "${seeds[@]}")"
    n=$((n + 1))
done
[ "$n" -ge 10 ] || { echo "only $n targets were built"; exit 1; }
