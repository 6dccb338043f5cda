#!/bin/bash
# job: generate under kill -9 of any rank at random instants, with a paid teacher over HTTP that errs
# in every way: what comes of it is byte for byte what an undisturbed run makes; what was finished
# is paid for once; only calls that were in flight may be made again; the key is nowhere.
#
# KILLS=100 for more of them (make check-kills).
set -uo pipefail
build=${ROBIN_BUILD:-build/cpu}
robin=$build/robin-dist
kills=${KILLS:-6}
work=$(mktemp -d)
servers=()
trap 'kill "${servers[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -n 20 "$work/log"; exit 1; }
RANDOM=${SEED:-1}
export ROBIN_TEST_KEY=sk-this-is-the-key-nobody-may-see

"$robin" data build scenes --count 40 --size 96 --out "$work/scenes" --threads 1 >"$work/log" 2>&1 ||
    fail "data build scenes"
cat >"$work/base.yaml" <<END
job: generate
generate: {corpus: $work/scenes, drafter: corpus, shard_records: 16}
END
"$robin" "$work/base.yaml" run_dir="$work/truth" >"$work/log" 2>&1 || fail "the corpus' own graphs"
python3 tests/sgedit/make_drafts.py 1 "$work"/truth/ledger/*.jsonl >"$work/drafts.jsonl" ||
    fail "drafts"

# serve NAME: a server whose log of paid calls is NAME.paid; sets port.
serve() {
    "$build/tests/teacher_server" "$work/scenes" key="$ROBIN_TEST_KEY" log="$work/$1.paid" \
        delay_ms=120 slow_ms=700 rate_limit=0.05 error_500=0.05 overload_503=0.05 timeout=0.02 \
        half_body=0.03 reset=0.03 drip=0.02 huge=0.01 broken_json=0.05 wrong_schema=0.05 \
        refusal=0.05 wrong_ids=0.3 >"$work/$1.port" 2>>"$work/log" &
    servers+=($!)
    for _ in $(seq 100); do
        [ -s "$work/$1.port" ] && break
        sleep 0.05
    done
    port=$(cat "$work/$1.port")
}
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
teacher: {kind: http, key_env: ROBIN_TEST_KEY, timeout_seconds: 0.6, tries: 20,
  backoff_seconds: 0.05, max_backoff_seconds: 0.2}
END
start() { # RANKS RUN
    launch/mpirun.sh -np "$1" "$robin" "$work/run.yaml" run_dir="$work/$2" \
        teacher.url="http://127.0.0.1:$port/v1" >"$work/log" 2>&1
}

serve calm
start 2 calm || fail "the undisturbed run"
[ "$(sort "$work/calm.paid" | uniq -d | wc -l)" = 0 ] || fail "undisturbed, a call was paid twice"

same() { # RUN: its files are those of the undisturbed run
    local file
    for file in corpus sg ledger report.json report.txt page.html; do
        diff -r "$work/calm/$file" "$work/$1/$file" >/dev/null || fail "$1: other bytes in $file"
    done
    cmp <(sort -u "$work/calm.paid") <(sort -u "$work/$1.paid") || fail "$1: other calls were paid"
}
no_key() {
    ! grep -raq "$ROBIN_TEST_KEY" "$work/$1" "$work/log" || fail "the key is in what $1 wrote"
}

# What the runs say was in flight when they were killed bounds what was paid for twice.
check_paid() { # RUN
    local twice open
    twice=$(($(wc -l <"$work/$1.paid") - $(sort -u "$work/$1.paid" | wc -l)))
    open=$(sed -nE 's/.* ([0-9]+) calls were in flight.*/\1/p' "$work/log" | tail -n 1)
    [ "$twice" -le "${open:-0}" ] || fail "$1: $twice calls were paid twice, ${open:-0} in flight"
    [ "${open:-0}" -le $((killed_here * 8)) ] || fail "$1: $open in flight in $killed_here kills"
    total_twice=$((total_twice + twice))
}

done_kills=0 round=0 killed_here=0 total_twice=0
serve round0
while [ "$done_kills" -lt "$kills" ]; do
    launch/mpirun.sh -np 2 "$robin" "$work/run.yaml" run_dir="$work/round$round" \
        teacher.url="http://127.0.0.1:$port/v1" >"$work/log" 2>&1 &
    run=$!
    sleep "$((RANDOM % 2)).$((RANDOM % 9 + 1))"
    mapfile -t ranks < <(pgrep -P "$run" robin-dist)
    if [ "${#ranks[@]}" -gt 0 ]; then
        kill -KILL "${ranks[RANDOM % ${#ranks[@]}]}" 2>/dev/null
        done_kills=$((done_kills + 1)) killed_here=$((killed_here + 1))
    fi
    wait "$run" 2>/dev/null
    no_key "round$round"
    if [ -e "$work/round$round/report.json" ] || [ "$killed_here" -ge 6 ]; then
        start $((RANDOM % 3 + 1)) "round$round" || fail "the run after $killed_here kills"
        same "round$round"
        check_paid "round$round"
        no_key "round$round"
        rm -rf "$work/round$round"
        round=$((round + 1)) killed_here=0
        serve "round$round"
    fi
done
echo "$done_kills kills in $round runs: the same bytes; $total_twice calls in flight were paid twice"
