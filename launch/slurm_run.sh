#!/bin/bash
# What robin.sbatch and robin-srun.sbatch do inside an allocation: start the ranks, hand signals on
# to them, and put the job back into the queue where they ask for it.
#
# usage: launch/slurm_run.sh mpirun|srun CONFIG.yaml [key=value...]
#
#   exit code of the ranks   what follows
#   0                        done; without the mark that the job leaves at its end (ROBIN_END_MARK), which
#                            a launcher that started nothing lacks: a failure
#   2                        refused before any work: not tried again
#   3                        stopped on request with the work saved: requeued
#   other                    a rank or a node failed: requeued, ROBIN_RETRIES times in a row (3);
#                            with --nodes=1-8 SLURM then takes what nodes there are
#
# ROBIN_MAX_RESTARTS (1000) bounds all of it. ROBIN_DIST is the program (default: robin-dist beside
# this folder, else in PATH), ROBIN_MPI_OPTIONS more words for mpirun or srun.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
launcher=${1:?usage: launch/slurm_run.sh mpirun|srun CONFIG.yaml [key=value...]}
shift
robin=${ROBIN_DIST:-}
[ -n "$robin" ] || { [ -x "$here/../robin-dist" ] && robin=$here/../robin-dist || robin=robin-dist; }
restarts=${SLURM_RESTART_COUNT:-0}
say() { echo "slurm: $*" >&2; }

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}
export OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-$OMP_NUM_THREADS}
read -ra more <<<"${ROBIN_MPI_OPTIONS:-}"

case $launcher in
mpirun)
    # Open MPI knows the allocation: as many ranks as it has tasks. 4.1 and 5 both hand USR1 and
    # USR2 on to every rank; TERM and INT would make them end the ranks, so they become USR2.
    start=(mpirun --bind-to "${ROBIN_BIND:-none}")
    [ "$(id -u)" -ne 0 ] || start+=(--allow-run-as-root)
    ;;
srun)
    # Ranks are SLURM's own tasks: MPI needs PMIx (or PMI2) on both sides.
    if srun --mpi=list 2>&1 | grep -qw pmix; then start=(srun --mpi=pmix)
    else start=(srun --mpi=pmi2); fi
    start+=(--kill-on-bad-exit=1 --export=ALL)
    ;;
*) say "there is no launcher '$launcher': mpirun or srun"; exit 2 ;;
esac

# ---- one start ----

ask() { # SIGNAL
    [ -z "${ranks:-}" ] && return
    if [ "$launcher" = mpirun ]; then kill "-$1" "$ranks" 2>/dev/null
    else scancel --signal="$1" "${SLURM_JOB_ID:?}" 2>/dev/null; fi
}
trap 'ask USR1' USR1
trap 'say "asked to save and stop"; ask USR2' USR2 TERM INT

state=$HOME/.robin-%s-${SLURM_CLUSTER_NAME:-cluster}-${SLURM_JOB_ID:-none}
[ -z "${ROBIN_STATE_DIR:-}" ] || state=$ROBIN_STATE_DIR/%s-${SLURM_JOB_ID:-none}
ROBIN_END_MARK=
if [[ "${1:-}" = *.yaml || "${1:-}" = *.yml ]]; then
    # shellcheck disable=SC2059
    ROBIN_END_MARK=$(printf "$state" end)
    rm -f "$ROBIN_END_MARK"
    [ "$launcher" = srun ] || start+=(-x ROBIN_END_MARK)
fi
export ROBIN_END_MARK

say "job ${SLURM_JOB_ID:-none} on ${SLURM_JOB_NODELIST:-?}, start $((restarts + 1)), by $launcher"
"${start[@]}" "${more[@]}" "$robin" "$@" &
ranks=$!
# A trapped signal ends `wait` early with a code above 128, the ranks living on.
while :; do
    wait "$ranks"
    code=$?
    kill -0 "$ranks" 2>/dev/null || break
done
wait "$ranks" 2>/dev/null
last=$?
[ "$last" = 127 ] || code=$last
ranks=
say "the ranks ended with code $code"
unmarked() { [ "$code" = 0 ] && [ -n "$ROBIN_END_MARK" ] && [ ! -e "$ROBIN_END_MARK" ]; }
# A file that another node wrote may take a while to be seen.
for ((left = ${ROBIN_MARK_WAIT_S:-20}; left > 0; left--)); do
    unmarked || break
    sleep 1
done
if unmarked; then
    say "code 0, but no rank has said that the job is done: $launcher did not run it"
    code=1
fi
[ -z "$ROBIN_END_MARK" ] || rm -f "$ROBIN_END_MARK"

# ---- what follows ----

# How many starts before this one ended with a failure, one after the other.
# shellcheck disable=SC2059
failures=$(printf "$state" failures)
case $code in
0 | 2)
    rm -f "$failures"
    exit "$code"
    ;;
3) rm -f "$failures" ;;
*)
    failed=$(($(cat "$failures" 2>/dev/null || echo 0) + 1))
    if [ "$failed" -gt "${ROBIN_RETRIES:-3}" ]; then
        say "failed $failed times in a row: given up"
        rm -f "$failures"
        exit "$code"
    fi
    echo "$failed" >"$failures"
    ;;
esac
if [ "$restarts" -ge "${ROBIN_MAX_RESTARTS:-1000}" ]; then
    say "started $((restarts + 1)) times: not requeued again"
    exit "$code"
fi
# A requeue ends this script. Should it leave before, the job would count as done.
scontrol requeue "${SLURM_JOB_ID:?}" && sleep 120
exit "$code"
