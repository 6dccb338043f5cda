#!/bin/bash
# job: generate over the batch interface (and one call after the other, whose report and metrics are
# counted anew by report_check.py): results in another order, lines twice, an expired first
# batch, a kill while batches are under way, other numbers of ranks: the same bytes as with calls one
# by one, and no call is paid twice.
set -uo pipefail
build=${ROBIN_BUILD:-build/cpu}
robin=$build/robin-dist
work=$(mktemp -d)
servers=()
trap 'kill "${servers[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -n 20 "$work/log"; exit 1; }
export ROBIN_TEST_KEY=sk-this-is-the-key-nobody-may-see

"$robin" data build scenes --count 24 --size 96 --out "$work/scenes" --threads 1 >"$work/log" 2>&1 ||
    fail "data build scenes"
cat >"$work/run.yaml" <<END
job: generate
generate: {corpus: $work/scenes, drafter: corpus, shard_records: 8, in_flight: 8, max_failed: 0.5,
  filters: [{kind: spatial}, {kind: judge}]}
teacher: {key_env: ROBIN_TEST_KEY, timeout_seconds: 5, batch_requests: 5, poll_seconds: 0.1,
  backoff_seconds: 0.05, max_backoff_seconds: 0.2, noise: 0.2}
END
serve() { # NAME OPTIONS...: sets port
    local name=$1
    shift
    "$build/tests/teacher_server" "$work/scenes" key="$ROBIN_TEST_KEY" log="$work/$name.paid" \
        noise=0.2 refusal=0.1 wrong_ids=0.3 wrong_schema=0.1 "$@" >"$work/$name.port" 2>>"$work/log" &
    servers+=($!)
    for _ in $(seq 100); do
        [ -s "$work/$name.port" ] && break
        sleep 0.05
    done
    port=$(cat "$work/$name.port")
}
start() { # RANKS RUN KIND
    launch/mpirun.sh -np "$1" "$robin" "$work/run.yaml" run_dir="$work/$2" teacher.kind="$3" \
        teacher.url="http://127.0.0.1:$port/v1" >"$work/log" 2>&1
}
same() {
    for file in corpus sg ledger report.json report.txt page.html; do
        diff -r "$work/single/$file" "$work/$1/$file" >/dev/null || fail "$1: other bytes in $file"
    done
    cmp <(sort "$work/single.paid") <(sort "$work/$1.paid") || fail "$1: other calls were paid"
}

serve single
start 2 single http || fail "calls one by one"
python3 tests/sgedit/report_check.py "$work/single" "$work/single.paid" || fail "the report"

serve batch expire_first_batch=1
start 2 batch batch || fail "batches"
same batch
grep -q "is expired" "$work/log" || fail "no batch expired"

# one that the service does not take ends the run; its calls are in another one when it goes on
serve failed fail_first_batch=1
start 2 failed batch && fail "a batch that was not taken went by unseen"
grep -q "account is spent" "$work/log" || fail "another reason"
start 2 failed batch || fail "after a batch that was not taken"
same failed

serve killed
start 2 killed batch &
run=$!
for _ in $(seq 200); do
    grep -aqs '"batch":"batch' "$work"/killed/journal/*.journal && break
    sleep 0.02
done
mapfile -t ranks < <(pgrep -P "$(pgrep -P $run mpirun || echo $run)" robin-dist)
[ "${#ranks[@]}" -gt 0 ] || fail "nobody to kill"
kill -KILL "${ranks[0]}"
wait $run 2>/dev/null
start 3 killed batch || fail "after the kill"
same killed
echo "batches: the same bytes, each call paid once"
