#!/bin/bash
# Jobs under a SLURM of two nodes on this machine (launch/mini-slurm): asked to stop, robbed of a
# node, preempted, out of time; each is requeued, goes on and ends as a run that nobody disturbed.
set -uo pipefail
robin=$PWD/${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
slurm=$work/slurm
stop() { launch/mini-slurm stop "$slurm" 2>/dev/null; rm -rf "$work"; }
trap stop EXIT
source tests/faults/tiny_run.sh
fail() {
    echo "FAILED: $*"
    tail -n 12 "$work/${job_name:-plain}.log" "$slurm/slurmctld.log" 2>/dev/null
    exit 1
}

launch/mini-slurm start "$slurm" >"$work/start" 2>&1
case $? in
0) source "$slurm/env" ;;
77) echo "skipped: no SLURM here; launch/setup.sh --slurm installs it"; exit 77 ;;
*) cat "$work/start"; fail "mini-slurm does not start" ;;
esac
export ROBIN_DIST=$robin ROBIN_HOME=$PWD ROBIN_STATE_DIR=$work

steps=100
tiny_run_make $steps
keys=(train.save_every=20 train.global_batch=16)
launch/mpirun.sh -np 4 "$robin" "$work/train.yaml" run_dir="$work/plain" "${keys[@]}" \
    >"$work/plain.log" 2>&1 || fail "the undisturbed run"

# submit NAME SBATCH-OPTION...: the job's number in $job, its run in $work/NAME
submit() {
    local name=$1 script=launch/robin.sbatch
    job_name=$name
    shift
    [ "${by:-mpirun}" = srun ] && script=launch/robin-srun.sbatch
    job=$(sbatch --parsable --ntasks-per-node=2 --output="$work/$name.log" "$@" $script \
        "$work/train.yaml" run_dir="$work/$name" "${keys[@]}" "${more[@]}") || fail "sbatch $name"
}
more=()
state() { squeue -h -j "$1" -o %T 2>/dev/null; }

# await SECONDS WHAT COMMAND...: until the command succeeds
await() {
    local tries=$(($1 * 5)) what=$2
    shift 2
    while ! "$@" 2>/dev/null; do
        [ $((tries--)) -gt 0 ] || fail "$what: not in time"
        sleep 0.2
    done
}
steps_done() { [ "$(grep -c . "$work/$1/metrics.jsonl")" -ge "$2" ]; }
restarted() { [ "$(scontrol show job "$1" | sed -nE 's/.*Restarts=([0-9]+).*/\1/p')" -ge 1 ]; }
gone() { [ -z "$(state "$1")" ] || ! scontrol show job "$1" | grep JobState= | grep -qv JobState=COMPLETED; }
said() { grep -q "$2" "$work/$1.log"; }

echo "mini cluster: $(sinfo -h -N -p main -o '%N %T' | tr '\n' ';') steps of a job: $steps"

# ---- asked to stop, by each launcher ----
for by in mpirun srun; do
    submit asked-$by --nodes=2
    await 40 "steps of asked-$by" steps_done asked-$by 10
    if [ $by = mpirun ]; then scancel --batch --signal=USR2 "$job"
    else scancel --signal=USR2 "$job"; fi
    await 40 "the requeue of asked-$by" restarted "$job"
    said asked-$by "got SIGUSR2: the run saves and stops" || fail "USR2 did not arrive ($by)"
    said asked-$by "ended with code 3" || fail "not code 3 ($by)"
    await 60 "the end of asked-$by" gone "$job"
    said asked-$by "going on after step" || fail "not resumed ($by)"
    tiny_run_same "$work/plain" "$work/asked-$by" || fail "another run ($by)"
    echo "USR2 by $by: saved, requeued, the same bits"
done

# ---- preempted: SLURM tells the tasks, which are ranks where srun started them ----
by=srun
submit preempted --nodes=2
await 40 "steps of preempted" steps_done preempted 10
sbatch --parsable --partition=urgent --nodes=2 --output=/dev/null --wrap "sleep 1" >/dev/null
await 60 "the requeue of preempted" restarted "$job"
said preempted "ended with code 3" || fail "a preempted job does not save"
await 60 "the end of preempted" gone "$job"
tiny_run_same "$work/plain" "$work/preempted" || fail "another run after preemption"
echo "preempted: saved, requeued, the same bits"
by=mpirun

# ---- out of time ----
more=(faults.end_margin_s=58) # of the minute that is the least SLURM gives
submit late --nodes=2 --time=1
await 50 "the requeue of late" restarted "$job"
said late "the allocation ends in [0-9]* s: the run saves and leaves 58 s before" ||
    fail "the end of the allocation is not known"
said late "the allocation ends soon: the run saves and stops" || fail "the end did not stop it"
scontrol update job="$job" TimeLimit=10 2>/dev/null
await 60 "the end of late" gone "$job"
more=()
tiny_run_same "$work/plain" "$work/late" || fail "another run after the end of its time"
echo "out of time: saved, requeued, the same bits"

# ---- stages that wait for each other ----
for stage in first second; do
    sed "s|steps: $steps|steps: 5|" "$work/train.yaml" >"$work/$stage.yaml"
done
options="--ntasks-per-node=1 --output=$work/%x.log"
(cd "$work" && "$ROBIN_HOME/launch/submit_stages.sh" "$work/chain" "$work/first.yaml:$options" \
    "$work/second.yaml:$options" >"$work/jobs") || fail "stages are not submitted"
job=$(sed -n 's/^second: job //p' "$work/jobs")
await 60 "the end of the stages" gone "$job"
grep -q "train.init" "$work/robin-second.log" && fail "the second stage is refused"
[ "$(grep -c . "$work/chain/second/metrics.jsonl")" = 5 ] || fail "the second stage did not run"
echo "stages: the second waited for the first"

# ---- an array of seeds ----
job_name=seeds
job=$(sbatch --parsable --array=0-1 --nodes=1 --ntasks-per-node=2 --output="$work/seeds.log" \
    launch/seeds.sbatch "$work/first.yaml" "$work/seeds") || fail "sbatch seeds"
await 60 "the end of both seeds" gone "$job"
for seed in 0 1; do
    [ "$(grep -c . "$work/seeds/seed-$seed/metrics.jsonl")" = 5 ] || fail "seed $seed did not run"
done
cmp -s "$work"/seeds/seed-{0,1}/metrics.jsonl && fail "one seed twice"
echo "an array: a run for each seed"

# ---- a node is lost ----
submit lost --nodes=1-2
await 40 "steps of lost" steps_done lost 30
launch/mini-slurm kill-node "$slurm" node-b
await 60 "the requeue of lost" restarted "$job"
await 90 "the end of lost" gone "$job"
said lost "on node-a, start" || fail "not on the node that was left"
tiny_run_close "$work/plain" "$work/lost" || fail "another run after a lost node"
echo "a node lost: requeued on the other, the same to rounding"
