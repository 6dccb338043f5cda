#!/bin/bash
# Disks that fail under a training on four ranks (broken_system.c, preloaded): each call that a
# checkpoint is made of, with each error, on one rank; short writes; bits flipped afterwards. Every
# fault is named with its file, the older checkpoint stays whole, and the same command without the
# fault ends in the bits of a run that nobody disturbed.
#
# usage: tests/faults/io_faults.sh short|long      `make faults` runs the long form
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
form=${1:?usage: tests/faults/io_faults.sh short|long}
robin=$PWD/${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source tests/faults/tiny_run.sh
fail() {
    echo "FAILED: $*"
    tail -n 12 "$work/log"
    exit 1
}
tiny_run_make 7
cases=0

# run RUN [VARIABLE=VALUE...] -- [KEY=VALUE...]: four ranks, the variables broken_system's; $code
run() {
    local run=$1 broken=()
    shift
    while [ "$1" != -- ]; do broken+=(-x "BROKEN_$1") && shift; done
    shift
    [ ${#broken[@]} = 0 ] || broken+=(-x "LD_PRELOAD=$(broken_system)")
    launch/mpirun.sh -np 4 "${broken[@]}" "$robin" "$work/train.yaml" run_dir="$work/$run" \
        train.save_every=2 train.keep_last=3 "$@" >"$work/log" 2>&1
    code=$?
}
whole() { "$robin" checkpoint verify "$work/$1/checkpoints/step-00000000$2" >/dev/null 2>&1; }

run plain --
[ $code = 0 ] || fail "the undisturbed run"
run begun -- train.stop_after=2 # one checkpoint, of step 2
[ $code = 3 ] || fail "a run to be disturbed"

# goes_on RUN: without the fault, to the same end
goes_on() {
    run "$1" --
    [ $code = 0 ] || fail "the resume after $2"
    tiny_run_same "$work/plain" "$work/$1" || fail "other bits after $2"
    rm -rf "${work:?}/$1"
}

# breaks RESUMES WORDS VARIABLE=VALUE... -- KEY=VALUE...
breaks() {
    local resumes=$1 words=$2
    shift 2
    rm -rf "$work/broken"
    cp -r "$work/begun" "$work/broken"
    run broken "$@"
    [ $code = 1 ] || fail "code $code, not 1: $*"
    [ "$(grep -c '^error: ' "$work/log")" = 1 ] || fail "not one line of error: $*"
    grep -qE "^error: .*$words" "$work/log" || fail "not '$words': $*"
    whole broken 2 || fail "the older checkpoint is not whole: $*"
    for one in "$work"/broken/checkpoints/step-*; do
        case $one in *.partial | *.removed) continue ;; esac
        "$robin" checkpoint verify "$one" >/dev/null 2>&1 || fail "$one is not whole: $*"
    done
    [ "$resumes" = 0 ] || goes_on broken "$*"
    cases=$((cases + 1))
}

declare -A text=([EIO]="Input/output error" [ENOSPC]="No space left on device"
    [EROFS]="Read-only file system")
not_written="checkpoint of step [0-9]+ is not written"

# survives WORDS VARIABLE=VALUE... -- KEY=VALUE...: in spite of the fault the run ends well
survives() {
    local words=$1
    shift
    rm -rf "$work/broken"
    cp -r "$work/begun" "$work/broken"
    run broken "$@"
    [ $code = 0 ] || fail "code $code, not 0: $*"
    [ -z "$words" ] || grep -qE "$words" "$work/log" || fail "not '$words': $*"
    whole broken 7 || fail "no whole checkpoint at the end: $*"
    tiny_run_same "$work/plain" "$work/broken" || fail "other bits: $*"
    cases=$((cases + 1))
}

# flipped RUN FILE: one bit of a file of the newest checkpoint
flipped() {
    python3 - "$1" $RANDOM <<'END'
import os, sys
path, seed = sys.argv[1], int(sys.argv[2])
bit = (seed * 2654435761) % (8 * os.path.getsize(path))
with open(path, "r+b") as f:
    f.seek(bit // 8)
    byte = f.read(1)[0]
    f.seek(bit // 8)
    f.write(bytes([byte ^ 1 << bit % 8]))
END
}

# flips RESUMES: in each file in turn; found by verify, passed over by a resume that takes the older
flips() {
    local newest file name
    rm -rf "$work/flips"
    run flips -- train.stop_after=4
    newest=$work/flips/checkpoints/step-000000004
    for file in "$newest"/*; do
        name=$(basename "$file")
        rm -rf "$work/flip"
        cp -r "$work/flips" "$work/flip"
        flipped "$work/flip/checkpoints/step-000000004/$name"
        "$robin" checkpoint verify "$work/flip/checkpoints/step-000000004" >"$work/log" 2>&1 &&
            fail "a flipped bit of $name is not found"
        grep -q "$name" "$work/log" || fail "the flipped bit of $name is not named"
        cases=$((cases + 1))
        [ "$1" = all ] || [ "$1" = "$name" ] || continue
        run flip --
        [ $code = 0 ] || fail "the resume beside a damaged $name"
        grep -q "warning: .*step-000000004.*$name" "$work/log" || fail "$name: not said"
        grep -q "going on after step 2$" "$work/log" || fail "$name: the older one is not taken"
        tiny_run_same "$work/plain" "$work/flip" || fail "other bits after a damaged $name"
    done
}

at="BROKEN_PATH=checkpoints/"
at=${at#BROKEN_}
if [ "$form" = short ]; then
    breaks 1 "rank 2 of 4 .*$not_written: .*data-00002-000.bin.*: ${text[EIO]}" \
        RANK=2 $at CALL=write ERROR=EIO AFTER=3000 --
    breaks 0 "$not_written: .*/manifest.json.*: ${text[ENOSPC]}" \
        RANK=0 PATH=manifest.json CALL=sync ERROR=ENOSPC --
    breaks 0 "$not_written: .*checkpoints/step-.*: ${text[EROFS]}" \
        RANK=0 $at CALL=mkdir ERROR=EROFS --
    survives "" $at CALL=write ERROR=short -- train.save_async=false
    survives "warning: .*rank 1 of 4 .*$not_written: .*data-00001-000.bin.*: ${text[EIO]}; the run goes on" \
        RANK=1 $at CALL=sync ERROR=EIO TIMES=1 -- train.save_failure=continue
    survives "warning: cannot write to .*/metrics.jsonl: ${text[ENOSPC]}; up to 256 steps wait" \
        RANK=0 PATH=metrics.jsonl CALL=write ERROR=ENOSPC AFTER=600 TIMES=2 --
    flips data-00003-000.bin
else
    for keys in "" "train.save_async=false" "train.save_io=plain"; do
        for error in EIO ENOSPC EROFS; do
            for rank in 0 1 3; do
                for call in create sync write "write AFTER=5000" "write AFTER=12000"; do
                    [[ $rank$call = 0*AFTER* ]] && continue # rank 0 writes less than that
                    # shellcheck disable=SC2086  # several words
                    breaks 1 "$not_written: .*data-0000$rank-000.bin.*: ${text[$error]}" RANK=$rank \
                        PATH=data-0000$rank ERROR=$error CALL=$call -- $keys
                done
            done
            for call in create sync write; do
                breaks 1 "$not_written: .*/manifest.json.*: ${text[$error]}" RANK=0 \
                    PATH=manifest.json ERROR=$error CALL=$call -- $keys
            done
            for call in mkdir rename "rename AFTER=1"; do
                # shellcheck disable=SC2086
                breaks 1 "$not_written: .*checkpoints/.*: ${text[$error]}" RANK=0 $at \
                    ERROR=$error CALL=$call -- $keys
            done
        done
        # shellcheck disable=SC2086
        survives "" $at CALL=write ERROR=short -- $keys
        # shellcheck disable=SC2086
        survives "warning: .*$not_written: .*; the run goes on" RANK=1 $at CALL=write ERROR=ENOSPC \
            TIMES=1 -- train.save_failure=continue $keys
    done
    for _ in 1 2 3; do flips all; done
fi
echo "$cases faults of files under a training: named, and nothing lost"
