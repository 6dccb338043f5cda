#!/bin/bash
# What launch/slurm_run.sh makes of how the ranks ended, SLURM and mpirun being scripts here: done
# only with the mark of a job that ended, requeued after 3 and after failures, a number of times.
set -uo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; cat "$work/log"; exit 1; }

mkdir "$work/bin"
cat >"$work/bin/mpirun" <<'END'
#!/bin/bash
# the ranks' end is the text of the "program": CODE, or CODE-marked
[[ "$*" = *" -x ROBIN_END_MARK "* || "$*" != *.yaml* ]] || exit 9
for word; do case $word in
*-marked) echo done >"$ROBIN_END_MARK"; exit "${word%-marked}" ;;
[0-9] | [0-9][0-9]) exit "$word" ;;
esac; done
exit 9
END
printf '#!/bin/bash\necho "$@" >>"%s/requeued"\n' "$work" >"$work/bin/scontrol"
chmod +x "$work/bin/"*

# ends ENDS ARGUMENT: the exit code of the script in $code; $requeued: how often it has asked
ends() {
    rm -f "$work/requeued"
    PATH=$work/bin:$PATH ROBIN_STATE_DIR=$work SLURM_JOB_ID=7 ROBIN_DIST=$1 ROBIN_MARK_WAIT_S=1 \
        launch/slurm_run.sh mpirun "$2" >"$work/log" 2>&1 &
    local script=$!
    for ((i = 0; i < 100; i++)); do # after a requeue it sleeps until it is ended; here the sleep is
        [ ! -e "$work/requeued" ] || pkill -KILL -P "$script" -x sleep
        kill -0 "$script" 2>/dev/null || break
        sleep 0.1
    done
    wait "$script" 2>/dev/null
    code=$?
    requeued=$(cat "$work/requeued" 2>/dev/null | wc -l)
}

ends 0-marked run.yaml
[ "$code" = 0 ] && [ "$requeued" = 0 ] || fail "a job that is done: code $code, $requeued requeues"
[ ! -e "$work/end-7" ] || fail "the mark stays"
ends 2 run.yaml
[ "$code" = 2 ] && [ "$requeued" = 0 ] || fail "a refused job: code $code, $requeued requeues"
ends 3 run.yaml
[ "$requeued" = 1 ] || fail "a job that asks for more time is not requeued"
ends 0 --version
[ "$code" = 0 ] && [ "$requeued" = 0 ] || fail "a command leaves no mark: code $code"
echo "done, refused, asked for more time"

for try in 1 2 3; do
    ends 0 run.yaml
    [ "$requeued" = 1 ] && grep -q "no rank has said that the job is done" "$work/log" ||
        fail "try $try: a launcher that starts nothing"
done
ends 0 run.yaml
[ "$code" = 1 ] && [ "$requeued" = 0 ] && grep -q "failed 4 times in a row: given up" "$work/log" ||
    fail "it is tried without end: code $code, $requeued requeues"
ends 1 run.yaml
ends 0-marked run.yaml
[ ! -e "$work/failures-7" ] || fail "failures are counted over a success"
echo "code 0 without the job's mark is a failure, three times tried again"

# srun without a PMI: each task would be a run of its own
SLURM_STEP_NUM_TASKS=4 "${ROBIN_BUILD:-build/cpu}/robin-dist" doctor >"$work/log" 2>&1
[ $? = 2 ] && grep -q "srun started 4 tasks, but MPI takes each of them for a run" "$work/log" ||
    fail "four tasks that know nothing of each other are taken for runs"
SLURM_STEP_NUM_TASKS=1 "${ROBIN_BUILD:-build/cpu}/robin-dist" doctor >"$work/log" 2>&1 ||
    fail "one task of srun is refused"
echo "tasks of srun that are no ranks of one run are refused"
