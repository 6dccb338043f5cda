#!/bin/bash
# The teacher's key is in nothing that a run writes or shows: run directory (journal, shards, lines,
# ledger, page, configuration), output at debug level of every rank, error sentences though the
# service repeats the key in its own, command lines; and a rank that crashes leaves no core, which
# would hold it. Searched for as it is, in base64 and in hexadecimal. Nothing of a run directory is
# compressed but the pictures.
set -uo pipefail
build=${ROBIN_BUILD:-build/cpu}
robin=$PWD/$build/robin-dist
mpirun=$PWD/launch/mpirun.sh
work=$(mktemp -d)
server=
trap '[ -n "$server" ] && kill "$server" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -n 20 "$work"/said/* 2>/dev/null; exit 1; }
key=sk-this-is-the-key-nobody-may-see
mkdir "$work/said" "$work/cores"

search() { # PLACE...: fails with the places that hold it
    python3 - "$key" "$@" <<'END'
import base64, os, sys
key = sys.argv[1].encode()
forms = [key, key.hex().encode(), key.hex().upper().encode()]
for skip in range(3): # what base64 makes of it behind 0, 1 or 2 other bytes: its whole groups
    text = base64.b64encode(b"\0" * skip + key)
    forms.append(text[4 * (skip > 0):(skip + len(key)) // 3 * 4])
files, found = 0, []
for place in sys.argv[2:]:
    if not os.path.exists(place):
        sys.exit(f"{place}: there is nothing to look for the key in")
    for path in [place] if os.path.isfile(place) else [
            os.path.join(folder, name) for folder, _, names in os.walk(place) for name in names]:
        files += 1
        data = open(path, "rb").read()
        found += [path for form in forms if form in data]
if found or not files:
    sys.exit(f"{files} files; the key is in {sorted(set(found))}")
END
}
# the search finds what there is to find
hexadecimal=$(printf %s "$key" | od -An -v -tx1 | tr -d ' \n')
for form in "x $key y" "$(printf 'ab%s' "$key" | base64 -w 0)" "$hexadecimal"; do
    echo "$form" >"$work/planted"
    search "$work/planted" 2>/dev/null && fail "the search does not find '$form'"
done
rm "$work/planted"
search "$work/nowhere" 2>/dev/null && fail "the search finds nothing in a place that is not there"

"$robin" data build scenes --count 12 --size 96 --out "$work/scenes" --threads 1 \
    >"$work/said/build" 2>&1 || fail "data build scenes"
cat >"$work/run.yaml" <<END
job: generate
log_debug: true
generate: {corpus: $work/scenes, drafter: corpus, shard_records: 8, in_flight: 4, max_failed: 0.5,
  filters: [{kind: spatial}, {kind: judge}]}
teacher: {kind: http, key_env: ROBIN_TEST_KEY, timeout_seconds: 60, tries: 20, batch_requests: 4,
  poll_seconds: 0.1, backoff_seconds: 0.05, max_backoff_seconds: 0.2}
END
"$build/tests/teacher_server" "$work/scenes" key="$key" delay_ms=100 rate_limit=0.1 error_500=0.1 \
    half_body=0.1 refusal=0.1 wrong_ids=0.3 >"$work/port" 2>"$work/said/server" &
server=$!
for _ in $(seq 200); do
    [ -s "$work/port" ] && break
    sleep 0.05
done
# begin RUN KEY=VALUE...: two ranks in a folder where cores may come to lie; sets run
begin() {
    local name=$1
    shift
    (
        ulimit -c unlimited 2>/dev/null
        cd "$work/cores" && exec "$mpirun" -np 2 "$robin" "$work/run.yaml" run_dir="$work/$name" \
            teacher.url="http://127.0.0.1:$(cat "$work/port")/v1" "$@" >"$work/said/$name" 2>&1
    ) &
    run=$!
}
export ROBIN_TEST_KEY=$key
begin env
for _ in $(seq 200); do # as others on the machine see it
    mapfile -t ranks < <(pgrep -P "$run" robin-dist)
    [ "${#ranks[@]}" -eq 2 ] && break
    sleep 0.02
done
cat /proc/"$run"/cmdline $(printf '/proc/%s/cmdline ' "${ranks[@]}") >"$work/said/command_lines"
wait "$run" || fail "a run with the key in the environment"
grep -qa run.yaml "$work/said/command_lines" || fail "no command line was seen"
grep -q "debug: call\|debug: teacher" "$work/said/env" || fail "nothing was said at debug level"
begin batch teacher.kind=batch
wait "$run" || fail "a run over the batch interface"
ROBIN_TEST_KEY=$key-2 begin refused
wait "$run" && fail "a wrong key was taken"
grep -q "does not accept the key: 401" "$work/said/refused" || fail "no word about the wrong key"
[ -d "$work/refused" ] || fail "no run directory of the refused run"

# a crash while calls are under way
begin crashed teacher.kind=http
for _ in $(seq 400); do
    compgen -G "$work/crashed/journal/*.journal" >/dev/null && break
    sleep 0.02
done
mapfile -t ranks < <(pgrep -P "$run" robin-dist)
[ "${#ranks[@]}" -gt 0 ] || fail "nobody to crash"
kill -SEGV "${ranks[0]}"
wait "$run" 2>/dev/null && fail "the crash went by unseen"
[ -z "$(ls "$work/cores")" ] || fail "a core was left: $(ls "$work/cores")"
{ (cd "$work/cores" && ulimit -c unlimited && bash -c 'kill -SEGV $$'); } >/dev/null 2>&1
cores=$(find "$work/cores" -type f | wc -l)
rm -f "$work"/cores/*

unset ROBIN_TEST_KEY
(umask 077 && echo "$key" >"$work/key_file")
begin file teacher.key_env="''" teacher.key_file="$work/key_file"
wait "$run" || fail "a run with the key in a file"

for name in env batch refused crashed file; do
    search "$work/$name" "$work/said/$name" || fail "$name"
done
search "$work/said" "$work/run.yaml" || fail "what was said"
[ -s "$work/env/report.json" ] && [ -s "$work/batch/page.html" ] || fail "nothing to search"
echo "the key is nowhere; this machine $([ "$cores" -gt 0 ] && echo writes || echo "does not write") \
cores of programs without one"
