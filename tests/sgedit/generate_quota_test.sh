#!/bin/bash
# job: generate whose teacher's account is spent on the way, by calls one by one and over the batch
# interface: the run ends with a sentence and keeps its journal; with money again, on another number
# of ranks, it goes on to the bytes of an undisturbed run, and no call is paid twice.
n_scenes=24
errors=(noise=0.2 delay_ms=20 refusal=0.1 wrong_ids=0.3)
source tests/sgedit/http_teacher.sh

cat >"$work/run.yaml" <<END
job: generate
generate: {corpus: $work/scenes, drafter: corpus, shard_records: 8, in_flight: 4, max_failed: 0.5,
  filters: [{kind: spatial}, {kind: judge}]}
teacher: {key_env: ROBIN_TEST_KEY, timeout_seconds: 100, batch_requests: 4, poll_seconds: 0.1,
  backoff_seconds: 3000, max_backoff_seconds: 3000}
END
start() { # RANKS RUN KIND
    launch/mpirun.sh -np "$1" "$robin" "$work/run.yaml" run_dir="$work/$2" teacher.kind="$3" \
        teacher.url="http://127.0.0.1:$port/v1" >"$work/log" 2>&1
}

serve calm
start 2 calm http || fail "the undisturbed run"
for kind in http batch; do
    serve "$kind" quota_after=15
    start 2 "$kind" "$kind" && fail "$kind: the account was not spent"
    grep -q "account is spent (insufficient_quota)" "$work/log" || fail "$kind: another end"
    paid=$(wc -l <"$work/$kind.paid")
    [ "$paid" -ge 15 ] && [ "$paid" -lt "$(wc -l <"$work/calm.paid")" ] || fail "$kind: $paid paid"
    [ ! -e "$work/$kind/report.json" ] || fail "$kind: it is taken to be done"
    start 3 "$kind" "$kind" && fail "$kind: it went on with an account as empty as it was"
    grep -q "account is spent" "$work/log" || fail "$kind: another second end"
    [ "$(wc -l <"$work/$kind.paid")" = "$paid" ] || fail "$kind: an empty account was charged"
    kill -USR1 "${servers[-1]}"
    start 3 "$kind" "$kind" || fail "$kind: with money again"
    same_run calm "$kind"
done
[ -z "$(sort "$work/calm.paid" | uniq -d)" ] || fail "undisturbed, a call was paid twice"
echo "a spent account, twice: the same bytes, each call paid once"
