#!/bin/bash
# job: generate under kill -9 of any rank at random instants, with a paid teacher over HTTP that errs
# in every way: what comes of it is byte for byte what an undisturbed run makes; what was finished
# is paid for once; only calls that were in flight may be made again, and those that the program
# says it gave up waiting for, as it must where the machine leaves it no time; the key is nowhere.
#
# KILLS=100 for more of them (make check-kills).
kills=${KILLS:-6}
RANDOM=${SEED:-1}
n_scenes=40
errors=(delay_ms=120 slow_ms=700 rate_limit=0.05 error_500=0.05 overload_503=0.05 half_body=0.03
    reset=0.03 huge=0.01 broken_json=0.05 wrong_schema=0.05 refusal=0.05 wrong_ids=0.3)
source tests/sgedit/http_teacher.sh

cat >"$work/base.yaml" <<END
job: generate
generate: {corpus: $work/scenes, drafter: corpus, shard_records: 16}
END
"$robin" "$work/base.yaml" run_dir="$work/truth" >"$work/log" 2>&1 || fail "the corpus' own graphs"
python3 tests/sgedit/make_drafts.py 1 "$work"/truth/ledger/*.jsonl >"$work/drafts.jsonl" ||
    fail "drafts"

cat >"$work/run.yaml" <<END
job: generate
log_debug: true
generate:
  corpus: $work/scenes
  drafter: recorded
  drafts: $work/drafts.jsonl
  shard_records: 16
  in_flight: 4
  max_failed: 0.5
  filters: [{kind: spatial}, {kind: judge}]
teacher: {kind: http, key_env: ROBIN_TEST_KEY, timeout_seconds: 0.6, tries: 1000,
  backoff_seconds: 0.05, max_backoff_seconds: 0.2}
END
start() { # RANKS RUN KEY=VALUE...
    local ranks=$1 run=$2 code
    shift 2
    launch/mpirun.sh -np "$ranks" "$robin" "$work/run.yaml" run_dir="$work/$run" \
        teacher.url="http://127.0.0.1:$port/v1" "$@" >"$work/log" 2>&1
    code=$?
    cat "$work/log" >>"$work/$run.said"
    return "$code"
}

# Its teacher is never slow, and its patience has no end: a call paid twice has no excuse.
serve calm
start 2 calm teacher.timeout_seconds=600 || fail "the undisturbed run"
[ "$(sort "$work/calm.paid" | uniq -d | wc -l)" = 0 ] || fail "undisturbed, a call was paid twice"

same() { # RUN: its files are those of the undisturbed run
    local file
    for file in corpus sg ledger report.json report.txt page.html; do
        diff -r "$work/calm/$file" "$work/$1/$file" >/dev/null || fail "$1: other bytes in $file"
    done
    cmp <(sort -u "$work/calm.paid") <(sort -u "$work/$1.paid") || fail "$1: other calls were paid"
}
no_key() { # RUN: neither in its files nor in what it said
    [ -d "$work/$1" ] || fail "$1: there is nothing to look for the key in"
    ! grep -raq "$ROBIN_TEST_KEY" "$work/$1" "$work/$1.said" || fail "the key is in what $1 wrote"
}

# Of calls that were paid more than once, how often without the program having said that it gave up
# waiting for them. (0: no answer came.)
unexplained() { # RUN
    sed -nE 's/.*debug: .*call ([0-9a-f]+): 0 no whole reply within.*/\1/p' "$work/$1.said" |
        sort | uniq -c >"$work/given_up"
    sort "$work/$1.paid" | uniq -c |
        awk 'FILENAME != "-" { given_up[$2] = $1; next }
             $1 - 1 > given_up[$2] { n += $1 - 1 - given_up[$2] } END { print n + 0 }' \
            "$work/given_up" -
}

# What the runs say was in flight when they were killed bounds what was paid for twice.
check_paid() { # RUN
    local twice open
    twice=$(unexplained "$1")
    open=$(sed -nE 's/.* ([0-9]+) calls were in flight.*/\1/p' "$work/log" | tail -n 1)
    [ "$twice" -le "${open:-0}" ] || fail "$1: $twice calls were paid twice, ${open:-0} in flight"
    [ "${open:-0}" -le $((killed_here * 8)) ] || fail "$1: $open in flight in $killed_here kills"
    total_twice=$((total_twice + twice))
}

done_kills=0 round=0 killed_here=0 total_twice=0
serve round0 timeout=0.02 drip=0.02
while [ "$done_kills" -lt "$kills" ]; do
    launch/mpirun.sh -np 2 "$robin" "$work/run.yaml" run_dir="$work/round$round" \
        teacher.url="http://127.0.0.1:$port/v1" >>"$work/round$round.said" 2>&1 &
    run=$!
    sleep "$((RANDOM % 2)).$((RANDOM % 9 + 1))"
    mapfile -t ranks < <(pgrep -P "$run" robin-dist)
    if [ "${#ranks[@]}" -gt 0 ]; then
        kill -KILL "${ranks[RANDOM % ${#ranks[@]}]}" 2>/dev/null
        done_kills=$((done_kills + 1)) killed_here=$((killed_here + 1))
    fi
    wait "$run" 2>/dev/null
    [ ! -d "$work/round$round" ] || no_key "round$round" # a kill may come before there is one
    if [ -e "$work/round$round/report.json" ] || [ "$killed_here" -ge 6 ]; then
        start $((RANDOM % 3 + 1)) "round$round" || fail "the run after $killed_here kills"
        same "round$round"
        check_paid "round$round"
        no_key "round$round"
        rm -rf "$work/round$round"
        round=$((round + 1)) killed_here=0
        serve "round$round" timeout=0.02 drip=0.02
    fi
done
echo "$done_kills kills in $round runs: the same bytes; $total_twice calls in flight were paid twice"
