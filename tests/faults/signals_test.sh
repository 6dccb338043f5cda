#!/bin/bash
# Signals to one rank of four, a stopped rank, a rank stuck in a read: what all do, with which code,
# and the line that names who lags.
set -uo pipefail
robin=$PWD/${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source tests/faults/tiny_run.sh
fail() { echo "FAILED: $*"; tail -n 12 "$work/log"; exit 1; }
tiny_run_make 3000

begin() { # RUN KEY=VALUE...
    local run=$1
    shift
    # Emptied here: the launcher's own > comes a moment later, and the steps of the run before would be seen.
    : >"$work/log"
    launch/mpirun.sh -np 4 "$robin" "$work/train.yaml" run_dir="$work/$run" train.save_every=0 "$@" \
        >"$work/log" 2>&1 &
    launcher=$!
    for _ in $(seq 300); do
        grep -q "^step [1-9][0-9] of" "$work/log" && break
        sleep 0.1
    done
    mapfile -t ranks < <(pgrep -P $launcher -x robin-dist)
    [ ${#ranks[@]} = 4 ] || fail "no four ranks"
}
rank_of() { tr '\0' '\n' <"/proc/$1/environ" | sed -n 's/^OMPI_COMM_WORLD_RANK=//p'; }
ends() { # CODE WORDS
    wait $launcher
    code=$?
    [ $code = "$1" ] || fail "code $code instead of $1"
    grep -qE "$2" "$work/log" || fail "not said: $2"
    for _ in $(seq 50); do
        pgrep -f "run_dir=$work/" >/dev/null || return
        sleep 0.1
    done
    fail "ranks live on"
}
saved() { ls "$work/$1/checkpoints" 2>/dev/null | grep -c '^step-[0-9]*$'; }

# ---- requests, to one rank each ----
turn=0
for signal in USR2 TERM INT; do
    begin $signal
    victim=${ranks[turn++]}
    number=$(rank_of "$victim")
    kill -$signal "$victim"
    ends 3 "^rank $number got SIG$signal: the run saves and stops"
    [ "$(saved $signal)" = 1 ] || fail "$signal leaves no checkpoint"
    "$robin" checkpoint verify "$work/$signal" >"$work/verify" 2>&1 || fail "$signal: not whole"
done
begin USR1
kill -USR1 "${ranks[3]}"
for _ in $(seq 100); do
    [ "$(saved USR1)" -ge 1 ] && break
    sleep 0.1
done
grep -q "got SIGUSR1: a checkpoint" "$work/log" || fail "USR1 is not heard"
[ "$(saved USR1)" = 1 ] || fail "USR1 leaves no checkpoint"
kill -0 "${ranks[0]}" || fail "USR1 ends the run"
# the same run, held up by a stopped rank so that nothing can be saved: INT once waits, twice ends
kill -STOP "${ranks[1]}"
kill -INT "${ranks[2]}"
sleep 0.3
kill -0 "${ranks[2]}" || fail "INT once ends a rank that is to save"
kill -INT "${ranks[2]}"
for _ in $(seq 50); do
    kill -0 "${ranks[2]}" 2>/dev/null || break
    sleep 0.1
done
kill -0 "${ranks[2]}" 2>/dev/null && fail "INT twice does not end a rank at once"
kill -CONT "${ranks[1]}" 2>/dev/null
wait $launcher
code=$?
[ $code != 0 ] && [ $code != 3 ] || fail "INT twice: code $code"
[ "$(saved USR1)" = 1 ] || fail "INT twice saves"
echo "USR1, USR2, TERM, INT to one rank"

# ---- mpirun hands USR2 on to all ----
begin all
kill -USR2 "$launcher"
ends 3 "got SIGUSR2: the run saves and stops"
echo "USR2 to mpirun"

# ---- a rank that is stopped, or that reads what never comes ----
begin stopped faults.watchdog_s=2
kill -STOP "${ranks[1]}"
wait $launcher && fail "a run with a stopped rank succeeds"
grep -qE "^error: rank [0-9] of 4 \(.*, process ${ranks[1]}\) has not been heard of for 1.[89] \
seconds, since .*: it was stopped by a signal; rank [0-9] (waits|is) at step [0-9]+, \
(in|after) .*, collective [0-9]+" "$work/log" || fail "the stopped rank is not named"
[ "$(grep -c '^error: ' "$work/log")" = 1 ] || fail "more than one line"
pgrep -f "run_dir=$work/" >/dev/null && sleep 2
pgrep -f "run_dir=$work/" >/dev/null && fail "ranks live on"
echo "a stopped rank is named"
