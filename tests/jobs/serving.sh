#!/bin/bash
# Sourced by tests of `serve`: needs $robin, $work and fail, and $work/tiny.yaml, a model trained into
# $work/run. The server that runs is $server ("": none), and killed at the end.
# shellcheck disable=SC2154
server=
trap '[ -n "$server" ] && kill -9 "$server" 2>/dev/null; rm -rf "$work"' EXIT

# begin_serving OPTION...: sets server and url
begin_serving() {
    : >"$work/address" # here, or the address of the server before would be found
    "$robin" serve "$work/tiny.yaml" --from "$work/run" --port 0 "$@" >"$work/address" 2>"$work/log" &
    server=$!
    for _ in $(seq 200); do
        grep -q listening "$work/address" && break
        sleep 0.1
    done
    url=$(sed -n 's/listening on \(.*\), model.*/\1/p' "$work/address")
    [ -n "$url" ] || fail "the server does not listen"
}
