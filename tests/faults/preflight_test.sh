#!/bin/bash
# What is looked at before the first step, and by 'robin-dist doctor': each fault is found, says
# which machine and ranks, and refuses the run; without one the run begins.
set -uo pipefail
robin=$PWD/${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source tests/faults/tiny_run.sh
fail() { echo "FAILED: $*"; cat "$work/log" "$work/out" 2>/dev/null; exit 1; }
tiny_run_make 2
host=$(uname -n)

# found RANKS WORDS COMMAND...: doctor finds it, and the job is refused with one line that says so
found() {
    local ranks=$1 words=$2
    shift 2
    launch/mpirun.sh -np "$ranks" "$@" doctor "$work/train.yaml" "${set[@]}" \
        >"$work/out" 2>"$work/log"
    [ $? = 2 ] && grep -q "^FAULT  $words" "$work/out" || fail "doctor does not find: $words"
    [ -n "${doctor_alone:-}" ] && return
    launch/mpirun.sh -np "$ranks" "$@" "$work/train.yaml" "${set[@]/--set=/}" >"$work/log" 2>&1
    [ $? = 2 ] || fail "not refused: $words"
    [ "$(grep -c '^error: ' "$work/log")" = 1 ] || fail "not one line of error"
    grep -q "^error: preflight: .*faults.preflight=warn goes on" "$work/log" || fail "not: $words"
}

# ---- nothing is wrong ----
for ranks in 1 3; do
    launch/mpirun.sh -np $ranks "$robin" doctor >"$work/out" 2>"$work/log" || fail "doctor alone"
    launch/mpirun.sh -np $ranks "$robin" doctor "$work/train.yaml" --set=run_dir="$work/run" \
        >"$work/out" 2>"$work/log" || fail "doctor finds what is not there"
    [ "$(grep -c '^ok  ' "$work/out")" = 7 ] || fail "not seven checks"
    [ -z "$(ls -A "$work/run")" ] || fail "something stays in run_dir"
done
echo "nothing is wrong: nothing is found"

# ---- the run's folder: of one rank it is another ----
mkdir "$work/there" "$work/here"
cat >"$work/apart" <<END
#!/bin/bash
[ "\$OMPI_COMM_WORLD_RANK" = 2 ] && cd "$work/there" || cd "$work/here"
exec "$robin" "\$@"
END
chmod +x "$work/apart"
set=(--set=run_dir=run)
mkdir "$work/there/run"
doctor_alone=1
found 3 "run_dir .*$host (rank 2): .*run/.preflight: No such file" "$work/apart"

# ---- another build on one rank ----
cp "$robin" "$work/other"
printf 'x' >>"$work/other"
sed "s|^exec .*|[ \"\$OMPI_COMM_WORLD_RANK\" = 1 ] \&\& exec \"$work/other\" \"\$@\"\nexec \"$robin\" \"\$@\"|" \
    "$work/apart" >"$work/mixed"
chmod +x "$work/mixed"
set=(--set=run_dir="$work/run")
found 3 "program .*$host (rank 1): runs another build of robin-dist than rank 0" "$work/mixed"
doctor_alone=
found 3 "program .*$host (rank 1): runs another build of robin-dist than rank 0" "$work/mixed"

# ---- another configuration, another clock, a slow link of one rank ----
cp "$work/train.yaml" "$work/theirs.yaml"
sed -i 's/^seed: 5/seed: 6/' "$work/theirs.yaml"
cat >"$work/differs" <<END
#!/bin/bash
words=("\$@")
[ "\$OMPI_COMM_WORLD_RANK" = 1 ] && words=("\${words[@]/train.yaml/theirs.yaml}")
exec "$robin" "\${words[@]}"
END
chmod +x "$work/differs"
doctor_alone=1 # a job refuses it before it looks at anything else
found 3 "configuration .*$host (rank 1): was given another configuration than rank 0" "$work/differs"
doctor_alone=
for skew in "90 ahead of" "-90 behind"; do
    found 3 "clock .*$host (rank 2): its clock is \(89.9\|90.[01]\) s ${skew#* } that of rank 0" \
        -x LD_PRELOAD="$(broken_system)" -x BROKEN_RANK=2 -x BROKEN_CLOCK_S="${skew%% *}" "$robin"
done
set+=(--set=faults.slow_link=0.3)
found 4 "bandwidth .*$host (rank 3): 0.[0-9]* of the median bandwidth between ranks, [0-9.]* GB/s$" \
    -x LD_PRELOAD="$(broken_system)" -x BROKEN_RANK=3 -x BROKEN_SEND_US=50000 "$robin"
echo "one rank apart is named: its build, configuration, clock, link"

# ---- disk, write permission, memory ----
mkdir "$work/disk"
if unshare -rm mount -t tmpfs none "$work/disk" 2>/dev/null; then
    cat >"$work/small" <<END
#!/bin/bash
exec unshare -rm bash -c 'mount -t tmpfs -o size=64k,\$0 none "$work/disk"; exec "\$@"' "\${MOUNTED:-rw}" "$robin" "\$@"
END
    chmod +x "$work/small"
    set=(--set=run_dir="$work/disk/run")
    found 1 "disk space .*$host (rank 0): .* GB free in $work/disk/run, " "$work/small"
    doctor_alone=1 MOUNTED=ro found 1 "run_dir .*$host (rank 0): cannot create directory .*Read-only" "$work/small"
    echo "a small disk, one that cannot be written"
else
    echo "not tried: disks (nothing can be mounted here)"
fi
set=(--set=run_dir="$work/run" --set=data.max_tokens=16000000)
found 2 "memory .*$host (ranks 0-1): [0-9.e+]* GB planned" "$robin"
launch/mpirun.sh -np 2 "$robin" "$work/train.yaml" run_dir="$work/slow" faults.slow_link=1 \
    faults.preflight=off >"$work/log" 2>&1 || fail "a run without preflight"
echo "memory"
