#!/bin/bash
# Two ranks of one thread beside one rank of two threads, at the same step of a language model: how
# much of their speed is left when gradients have to be exchanged.
#
# usage: tests/bench/efficiency_bench.sh BUILD
set -uo pipefail
build=${1:?usage: tests/bench/efficiency_bench.sh BUILD}
rounds=3

# seconds RANKS THREADS: of the fastest step
seconds() {
    ROBIN_THREADS=$2 launch/mpirun.sh -np "$1" "$build/tests/bench/lm_step_bench" json=1 \
        samples=8 tokens=2048 steps=3 | sed -E 's/.*"wall": ([0-9.e+-]+).*/\1/'
}

for ((round = 0; round < rounds; round++)); do
    echo "$(seconds 1 2) $(seconds 2 1)"
done | awk '
    NF != 2 { bad = 1 }
    NR == 1 || $1 < one { one = $1 }
    NR == 1 || $2 < two { two = $2 }
    END {
        if (bad || NR == 0) { print "efficiency_bench: a run failed"; exit 1 }
        printf "%-28s %-26s %.2f s a step on 2 ranks, %.2f s on 1 rank with 2 threads: %.3f\n",
            "efficiency of 2 ranks", "26.8M, 8 x 512 tokens", two, one, one / two
    }'
