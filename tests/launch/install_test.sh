#!/bin/bash
# `make install`: the program, configurations, launch scripts and modulefile below a prefix work
# from there, in a shell that has loaded the module and knows no clone.
set -uo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source tests/faults/tiny_run.sh
fail() { echo "FAILED: $*"; cat "$work/log"; exit 1; }
[ "${ROBIN_BUILD:-build/cpu}" = build/cpu ] || { echo "skipped: installs the program of build/cpu"; exit 77; }
robin=$PWD/build/cpu/robin-dist
tiny_run_make 2

prefix=$work/prefix
make -s install PREFIX="$prefix" >"$work/log" 2>&1 || fail "make install"
modules=/usr/share/modules/init/bash
if [ -e "$modules" ]; then
    load="source $modules; module use $prefix/share/modulefiles; module load robin-dist"
else # the two lines of it that matter here
    echo "no environment modules here (launch/setup.sh --slurm installs them): set by hand"
    load="export PATH=$prefix/bin:\$PATH ROBIN_HOME=$prefix/share/robin-dist"
fi
grep -q "@PREFIX@" "$prefix/share/modulefiles/robin-dist" && fail "the modulefile names no prefix"

# installed COMMAND: in a shell of its own, elsewhere
installed() { (cd "$work" && env -u ROBIN_HOME bash -c "$load; $1") >"$work/log" 2>&1; }
installed 'test "$(command -v robin-dist)" = '"$prefix/bin/robin-dist"' && robin-dist --version' ||
    fail "the module does not find the program"
installed "robin-dist plan \"\$ROBIN_HOME\"/configs/stage2.yaml --ranks 8" || fail "a configuration"
installed "\"\$ROBIN_HOME\"/launch/mpirun.sh -np 2 robin-dist $work/train.yaml run_dir=$work/run" ||
    fail "a run by mpirun.sh"
for seed in 0 1; do
    installed "SLURM_ARRAY_TASK_ID=$seed ROBIN_BIND=none ROBIN_MPI_OPTIONS='-np 2 --oversubscribe' \
        ROBIN_STATE_DIR=$work bash \"\$ROBIN_HOME\"/launch/seeds.sbatch $work/train.yaml $work/seeds" ||
        fail "seed $seed by seeds.sbatch"
done
[ "$(grep -c . "$work/seeds/seed-1/metrics.jsonl")" = 2 ] || fail "seeds.sbatch did not run"
cmp -s "$work/seeds/seed-0/metrics.jsonl" "$work/seeds/seed-1/metrics.jsonl" && fail "one seed twice"
echo "installed, loaded, run by mpirun.sh and by seeds.sbatch"
