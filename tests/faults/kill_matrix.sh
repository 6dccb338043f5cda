#!/bin/bash
# Kills a training run with kill -9 at random instants, again and again, and lets it resume, until it
# is through; then all is repeated on other layouts. Every finished run must have the samples, losses
# and final weights of one that nobody disturbed: bit for bit on one layout, to rounding across them.
#
# usage: [PATIENCE=1] tests/faults/kill_matrix.sh KILLS [SEED]      `make faults`: 200
#
# On a machine where others have most of the time, PATIENCE multiplies all limits of time.
#
# Three kills of four hit one rank, the fourth all of them. An instant is a random time behind a
# random event: the start of the ranks, the first line of a resume, a step, a checkpoint that begins
# to be written. The seed, printed first, repeats the choices; the machine's load is not repeated.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
robin=$PWD/${ROBIN_BUILD:-build/cpu}/robin-dist
kills=${1:?usage: tests/faults/kill_matrix.sh KILLS [SEED]}
seed=${2:-$RANDOM$RANDOM}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source tests/faults/tiny_run.sh
fail() {
    echo "FAILED: $* (seed $seed, kill $done_kills)"
    tail -n 20 "$work/log" 2>/dev/null
    exit 1
}
steps=60
RANDOM=$seed
echo "kill matrix: $kills kills, seed $seed"
done_kills=0
tiny_run_make $steps

# ---- one start, and its end ----

begin() { # RUN RANKS KEY=VALUE...: $launcher is its mpirun
    local run=$1 ranks=$2
    shift 2
    : >"$work/log"
    launch/mpirun.sh -np "$ranks" "$robin" "$work/train.yaml" run_dir="$run" "$@" \
        >"$work/log" 2>&1 &
    launcher=$!
}

# Without those that have ended and that an mpirun which hangs has not looked after.
ranks_of() { pgrep -r D,R,S,T -P "$1" -x robin-dist; }

# Waits for the launcher; its code in $code. No rank may live on for half a minute after a kill. Open
# MPI 4.1's mpirun itself sometimes never ends where a rank died while MPI started: it is ended here,
# and counted.
await_end() { # SECONDS
    local until=$((SECONDS + $1 * ${PATIENCE:-1}))
    while kill -0 "$launcher" 2>/dev/null && [ $SECONDS -lt $until ]; do sleep 0.05; done
    if kill -0 "$launcher" 2>/dev/null; then
        [ -z "$(ranks_of "$launcher")" ] || fail "ranks live on after the kill of one"
        kill -KILL "$launcher"
        stale=$((stale + 1))
    fi
    wait "$launcher" 2>/dev/null
    code=$?
}

# Until EVENT has come, or the run is over.
await_event() { # RUN EVENT
    local tries
    for ((tries = 0; tries < 1000; tries++)); do
        kill -0 "$launcher" 2>/dev/null || return
        case $2 in
        start) [ -n "$(ranks_of "$launcher")" ] && return ;;
        resume) grep -q "going on after step\|^steps " "$work/log" && return ;;
        step) grep -q "^step " "$work/log" && return ;;
        save) [ "$(ls "$1/checkpoints" 2>/dev/null | grep -c 'partial\|tmp')" -gt 0 ] && return ;;
        esac
        sleep 0.005
    done
}

declare -A hits
stale=0
shoot() { # RUN
    local events=(start resume step step save) event victims n
    event=${events[RANDOM % 5]}
    await_event "$1" "$event"
    sleep "0.$(printf %03d $((RANDOM % ${spread[$event]})))"
    mapfile -t victims < <(ranks_of "$launcher")
    n=${#victims[@]}
    [ "$n" -gt 0 ] || return
    if [ $((RANDOM % 4)) = 0 ]; then
        kill -KILL "${victims[@]}" 2>/dev/null
        event+=" (all)"
    else
        kill -KILL "${victims[RANDOM % n]}" 2>/dev/null
    fi
    done_kills=$((done_kills + 1))
    hits[$event]=$((${hits[$event]:-0} + 1))
}
# Milliseconds behind the event.
declare -A spread=([start]=400 [resume]=60 [step]=150 [save]=12)

# ---- a run killed until it is through ----

# Its checkpoints after a kill: what is there under a final name is whole.
check_checkpoints() { # RUN
    local one
    for one in "$1"/checkpoints/step-*; do
        case $one in *.partial | *.removed | *.tmp.* | *'*') continue ;; esac
        "$robin" checkpoint verify "$one" >"$work/verify" 2>&1 ||
            { cat "$work/verify"; fail "$one is damaged"; }
    done
}

# killed_run RUN MOST LAYOUT...: each LAYOUT is "RANKS KEY=VALUE...", taken in turn; most so many kills
killed_run() {
    local run=$1 most=$2 start=$done_kills before layout turn=0
    shift 2
    while :; do
        layout=("${@:turn++ % $# + 1:1}")
        read -ra layout <<<"${layout[0]}"
        before=$((done_kills - start))
        begin "$run" "${layout[@]}"
        [ "$before" -ge "$most" ] || shoot "$run"
        await_end $([ $((done_kills - start)) = "$before" ] && echo 300 || echo 30)
        [ $code = 0 ] && break
        grep -q "all [0-9]* checkpoints are damaged" "$work/log" && fail "no whole checkpoint is left"
        [ "$before" -lt "$most" ] || fail "an undisturbed resume ends with code $code"
        check_checkpoints "$run"
    done
}

undisturbed_run() { # RUN LAYOUT...
    begin "$@"
    await_end 300
    [ $code = 0 ] || fail "the undisturbed run of $*"
}

undisturbed_run "$work/four" 4
each=10
[ "$kills" -gt 20 ] && each=25
n=0
bitwise=$((kills * 7 / 10))
while [ $done_kills -lt $bitwise ]; do
    left=$((bitwise - done_kills))
    [ $left -gt $each ] && left=$each
    killed_run "$work/run$n" $left 4
    tiny_run_same "$work/four" "$work/run$n" || fail "a killed run is not the undisturbed one"
    rm -rf "$work/run$n"
    n=$((n + 1))
done
echo "$done_kills kills on 4 ranks: $n runs ended in the same bits"

# 4, 2 and 3 ranks in turn; data and tensor axes swapped
while [ $done_kills -lt "$kills" ]; do
    left=$((kills - done_kills))
    [ $left -gt $each ] && left=$each
    killed_run "$work/run$n" $left "4 parallel.tp=2" "2" "3" "4 parallel.tp=1" "2 parallel.tp=2"
    tiny_run_close "$work/four" "$work/run$n" || fail "a run over other layouts is another"
    rm -rf "$work/run$n"
    n=$((n + 1))
done
echo "$((done_kills - bitwise)) kills over 4, 2 and 3 ranks, dp and tp swapped: the same to rounding"
for event in "${!hits[@]}"; do echo "  ${hits[$event]} kills behind: $event"; done | sort
[ $stale = 0 ] || echo "  mpirun itself had to be ended $stale times, its ranks being gone"
echo "kill matrix: $done_kills kills, all survived"
