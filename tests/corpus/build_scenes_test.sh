#!/bin/bash
# Drawn scenes: the same files on 1 and 3 ranks and with 1 and 3 threads, whole, readable with h5py;
# another part of the same seed is other pictures; options are refused by name.
set -uo pipefail
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $*"; exit 1; }
refused() { # WORDS ARGUMENT...
    local words=$1 out rc
    shift
    out=$("$robin" data build "$@" 2>&1)
    rc=$?
    [ $rc = 2 ] || fail "data build $* gave $rc, expected 2: $out"
    [[ $out == *"$words"* ]] || fail "data build $* said '$out', expected '$words'"
}

build() { "$robin" data build scenes --count 50 --shard-records 8 --size 64 "$@" || fail "$*"; }
build --out "$work/one" --threads 1
build --out "$work/two" --threads 3
launch/mpirun.sh -np 3 "$robin" data build scenes --count 50 --shard-records 8 --size 64 \
    --out "$work/three" || fail "on three ranks"
diff -r "$work/one" "$work/two" || fail "the files depend on the number of threads"
diff -r "$work/one" "$work/three" || fail "the files depend on the number of ranks"
build --out "$work/later" --first 50
cmp -s "$work/one/scenes-00000.h5" "$work/later/scenes-00000.h5" && fail "--first changes nothing"
"$robin" data verify "$work/one" || fail "verify"
"$robin" data inspect "$work/one" | grep -q "spatial" || fail "inspect"

"$robin" data inspect "$work/one" --html "$work/page.html" --record 40 || fail "html"
python3 - "$work/page.html" <<'EOF' || fail "the page is not well formed"
import base64, sys
import xml.etree.ElementTree as tree
svg = "{http://www.w3.org/2000/svg}"
page = tree.parse(sys.argv[1]).getroot()
images = list(page.iter(svg + "image"))
assert len(images) == 10, len(images)
assert base64.b64decode(images[0].get("href").split(",")[1], validate=True)[:2] == b"\xff\xd8"
assert len(list(page.iter(svg + "path"))) == len(list(page.iter(svg + "rect"))) >= 20
EOF

"$robin" data verify tests/data/corpus_schema1 || fail "a corpus of schema 1"
refused "--count is missing" scenes --out "$work/x"
refused "--count is '0'" scenes --count 0 --out "$work/x"
refused "--size" scenes --count 1 --size 7 --out "$work/x"
refused "'pictures' is not to be built" pictures --count 1 --out "$work/x"
refused "5 to 3 things" scenes --count 1 --min-things 5 --max-things 3 --out "$work/x"
refused "cannot create directory" scenes --count 1 --out /proc/none/x
[ ! -e "$work/x" ] || fail "a refused build left a folder"

for python in python3 /usr/bin/python3; do
    "$python" -c 'import h5py' 2>/dev/null || continue
    "$python" tests/corpus/read_shards_check.py "$work/one" || fail "h5py"
    "$python" tests/corpus/read_shards_check.py tests/data/corpus_schema1 || fail "h5py, schema 1"
    for corpus in "$work/one" tests/data/corpus_schema1; do
        "$python" tests/corpus/read_shards_compare.py "$corpus" || fail "read_shards.py: $corpus"
    done
    [ "$("$python" datasets/read_shards.py "$work/one" | wc -l)" = 50 ] || fail "read_shards.py"
    exit 0
done
echo "without h5py: the reader of tests/corpus/read_shards_check.py was not run"
