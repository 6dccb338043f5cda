#!/bin/bash
# job: generate over the batch interface (and one call after the other, whose report and metrics are
# counted anew by report_check.py): results in another order, lines twice, an expired first
# batch, a kill while batches are under way, other numbers of ranks: the same bytes as with calls one
# by one, and no call is paid twice.
n_scenes=24
errors=(noise=0.2 refusal=0.1 wrong_ids=0.3 wrong_schema=0.1)
source tests/sgedit/http_teacher.sh

cat >"$work/run.yaml" <<END
job: generate
generate: {corpus: $work/scenes, drafter: corpus, shard_records: 8, in_flight: 8, max_failed: 0.5,
  filters: [{kind: spatial}, {kind: judge}]}
teacher: {key_env: ROBIN_TEST_KEY, timeout_seconds: 5, batch_requests: 5, poll_seconds: 0.1,
  backoff_seconds: 0.05, max_backoff_seconds: 0.2, noise: 0.2}
END
start() { # RANKS RUN KIND
    launch/mpirun.sh -np "$1" "$robin" "$work/run.yaml" run_dir="$work/$2" teacher.kind="$3" \
        teacher.url="http://127.0.0.1:$port/v1" >"$work/log" 2>&1
}

serve single
start 2 single http || fail "calls one by one"
python3 tests/sgedit/report_check.py "$work/single" "$work/single.paid" || fail "the report"

serve batch expire_first_batch=1
start 2 batch batch || fail "batches"
same_run single batch
grep -q "is expired" "$work/log" || fail "no batch expired"

# one that the service does not take ends the run; its calls are in another one when it goes on
serve failed fail_first_batch=1
start 2 failed batch && fail "a batch that was not taken went by unseen"
grep -q "account is spent" "$work/log" || fail "another reason"
start 2 failed batch || fail "after a batch that was not taken"
same_run single failed

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
same_run single killed
echo "batches: the same bytes, each call paid once"
