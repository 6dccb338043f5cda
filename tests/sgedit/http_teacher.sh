#!/bin/bash
# Sourced by tests of job: generate whose teacher is the tests' server: drawn scenes and `serve`. Needs
# $n_scenes and the array $errors, options by which every server of the test errs.
# shellcheck disable=SC2154
set -uo pipefail
build=${ROBIN_BUILD:-build/cpu}
robin=$build/robin-dist
work=$(mktemp -d)
servers=()
trap 'kill "${servers[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -n 20 "$work/log"; exit 1; }
export ROBIN_TEST_KEY=sk-this-is-the-key-nobody-may-see

"$robin" data build scenes --count "$n_scenes" --size 96 --out "$work/scenes" --threads 1 \
    >"$work/log" 2>&1 || fail "data build scenes"

# serve NAME OPTION...: sets port; paid calls are added to NAME.paid
serve() {
    local name=$1
    shift
    "$build/tests/teacher_server" "$work/scenes" key="$ROBIN_TEST_KEY" log="$work/$name.paid" \
        "${errors[@]}" "$@" >"$work/port" 2>>"$work/log" &
    servers+=($!)
    for _ in $(seq 200); do
        [ -s "$work/port" ] && break
        sleep 0.05
    done
    port=$(cat "$work/port")
    rm "$work/port"
}

# same_run RUN RUN: what came of them, and what was paid for them
same_run() {
    local file
    for file in corpus sg ledger report.json report.txt page.html; do
        diff -r "$work/$1/$file" "$work/$2/$file" >/dev/null || fail "$2: other bytes in $file"
    done
    cmp <(sort "$work/$1.paid") <(sort "$work/$2.paid") || fail "$2: other calls were paid"
}
