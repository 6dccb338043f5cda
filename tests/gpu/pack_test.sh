#!/bin/bash
# What pack.sh packs is enough for tests/gpu/run: the same rows come out of the pack's files alone,
# and every script, program and folder that a script of them names is there. Lists are compared; the
# pack itself has gigabytes. None of them may need Python, which such a machine may lack.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
git rev-parse --git-dir >/dev/null 2>&1 || { echo "skipped: no git, by whose list pack.sh packs"; exit 77; }
shared=$(realpath -m "${ROBIN_SHARED:-../shared}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }

# ---- the files of a pack, programs and tensors as empty ones ----
top=$work/robin-dist
mkdir -p "$top/lib"
tests/gpu/pack.sh --list >"$work/packed" || { fail "pack.sh --list"; exit 1; }
while read -r path; do
    case $path in
    build/*) mkdir -p "$top/${path%/*}" && touch "$top/$path" ;;
    shared/*) [ ! -d "$shared/${path#shared/}" ] || mkdir -p "$top/$path" ;;
    *) cp --parents "$path" "$top" || fail "$path is listed, but not there" ;;
    esac
done <"$work/packed"

ROBIN_SHARED=$shared tests/gpu/run list >"$work/here"
(cd "$top" && env -u ROBIN_SHARED -u ROBIN_BUILD tests/gpu/run list) >"$work/there"
[ "$(wc -l <"$work/here")" -gt 50 ] || fail "tests/gpu/run list has few rows"
diff "$work/here" "$work/there" || fail "tests/gpu/run has other rows in a pack"

# ---- what the scripts name, from tests/gpu/run on ----
queue=(tests/gpu/run)
declare -A seen=([tests/gpu/run]=1)
needed() { # PATH, of SCRIPT
    [ -e "$top/$1" ] || fail "$1, which $2 names, is not packed"
    case $1 in
    *.sh | *.py | *.yaml) [ -n "${seen[$1]:-}" ] || { seen[$1]=1; queue+=("$1"); } ;;
    esac
}
while [ ${#queue[@]} -gt 0 ]; do
    script=${queue[0]}
    queue=("${queue[@]:1}")
    sed '/^ *#/d' "$script" >"$work/text"
    while read -r path; do
        [ ! -e "$path" ] || needed "${path%/}" "$script"
    done < <(sed -E 's:\$\{?(build|ROBIN_BUILD)\}?/[A-Za-z0-9_./-]*::g' "$work/text" |
        grep -oE '\b(tests|launch|configs|datasets)/[A-Za-z0-9_./-]*[A-Za-z0-9_/]')
    while read -r path; do
        case $path in
        emulated/* | with-cuda/* | librobin*) ;; # where there is no GPU, or with a sentence without
        */) [ -d "$top/build/cuda/$path" ] || fail "build/cuda/$path, which $script names" ;;
        *) needed "build/cuda/$path" "$script" ;;
        esac
    done < <(grep -oE '\$\{?(build|ROBIN_BUILD)\}?/[A-Za-z0-9_./-]+' "$work/text" | sed 's:^[^/]*/::')
    case $script in
    *.py)
        for name in $(grep -oE '"[a-z_]+(\.py|_bench)"' "$work/text" | tr -d '"'); do
            case $name in
            *.py) needed "tests/bench/$name" "$script" ;;
            *) needed "build/cuda/tests/bench/$name" "$script" ;;
            esac
        done
        ;;
    *.yaml)
        for name in $(sed -n 's/^model: *\([a-z0-9-]*\)$/\1/p' "$work/text"); do
            needed "configs/model/$name.yaml" "$script"
        done
        ;;
    tests/gpu/run) ;; # which says so where there is no Python
    *) ! grep -n python3 "$work/text" || fail "$script needs Python" ;;
    esac
done
for script in tests/train/small_training.sh launch/mpirun.sh tests/bench/pytorch_train.py; do
    [ -n "${seen[$script]:-}" ] || fail "this test no longer finds its way to $script"
done
echo "$(wc -l <"$work/here") rows, ${#seen[@]} scripts, $(wc -l <"$work/packed") paths"
exit $failed
