#!/bin/bash
# Real lines of VSR and LLaVA-style demonstrations become records: as many as the files have, from any
# number of ranks. (The annotation files of the reference's dataset classes: tests/golden.)
set -uo pipefail
shared=${ROBIN_SHARED:-../shared}
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
[ -d "$shared/data/vsr" ] || { echo "skipped: no ../shared"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $*"; exit 1; }
import() { "$robin" data import "$@" --threads 2 2>"$work/log" || fail "data import $*: $(cat "$work/log")"; }
records() { # DIR NUMBER
    "$robin" data verify "$1" 2>&1 | grep -q ": $2 records, all whole" || fail "$1 has not $2 records"
}

# VSR: the lines whose picture is here, the same from 1 and 3 ranks; the others are listed.
coco=$shared/data/coco_panoptic/images
while IFS= read -r line; do
    name=${line#*\"image\": \"}
    [ -f "$coco/${name%%\"*}" ] && printf '%s\n' "$line"
done <"$shared/data/vsr/derived_with_images.jsonl" >"$work/vsr.jsonl"
n=$(wc -l <"$work/vsr.jsonl")
[ "$n" -gt 0 ] || fail "no picture of VSR is here"
for ranks in 1 3; do
    launch/mpirun.sh -np $ranks "$robin" data import vsr "$work/vsr.jsonl" --images "$coco" \
        --shard-records 3 --out "$work/vsr$ranks" 2>/dev/null || fail "vsr on $ranks ranks"
done
diff -r "$work/vsr1" "$work/vsr3" || fail "the files depend on the number of ranks"
records "$work/vsr1" "$n"
all=$shared/data/vsr/derived_with_images.jsonl
missing=$(($(wc -l <"$all") - n))
"$robin" data import vsr "$all" --images "$coco" --out "$work/none" 2>"$work/log"
[ $? = 2 ] && grep -q "had to be skipped (image $missing)" "$work/log" || fail "missing pictures"

# Every line of the published splits reads as a statement: none but pictures is missing.
for file in "$shared"/data/vsr/splits/*/*.jsonl; do
    "$robin" data import vsr "$file" --images "$coco" --out "$work/none" 2>"$work/log"
    lines=$(wc -l <"$file")
    skipped=$(wc -l <"$work/none.skipped.jsonl")
    [ "$(grep -c '"skipped":"image"' "$work/none.skipped.jsonl")" = "$skipped" ] &&
        [ "$skipped" -le "$lines" ] || fail "$file: $(grep -v '"image"' "$work/none.skipped.jsonl")"
done

qwen=$shared/data/qwenvl_finetune_demo
mkdir "$work/demo" && ln -s "$(realpath "$qwen/images")" "$work/demo/images"
import llava "$qwen/single_images.json" --images "$work" --out "$work/qwen"
records "$work/qwen" 3
factory=$shared/data/llamafactory_mllm_demo
import llava "$factory/mllm_demo.json" --images "$work:$factory" --out "$work/factory"
records "$work/factory" 6

# A Parquet file with pictures, through the tool that makes JSON lines of it.
if python3 -c 'import pyarrow' 2>/dev/null; then
    python3 - "$qwen/images/10095.png" "$work/rows.parquet" <<'EOF' || fail "parquet"
import sys
import pyarrow
import pyarrow.parquet
picture = {"bytes": open(sys.argv[1], "rb").read(), "path": "10095.png"}
talk = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A chart."}]
rows = [{"id": "a", "image": picture, "conversations": talk, "data_source": "x"},
        {"id": "b", "image": None, "conversations": talk, "data_source": "x"}] * 40
pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sys.argv[2])
EOF
    "$robin" data import onevision "$work/rows.parquet" --out "$work/none" 2>"$work/log"
    grep -q "rows_from_parquet.py" "$work/log" || fail "what to do with Parquet"
    python3 datasets/rows_from_parquet.py "$work/rows.parquet" >"$work/rows.jsonl" || fail "rows_from_parquet"
    import onevision "$work/rows.jsonl" --out "$work/rows"
    records "$work/rows" 80
else
    echo "without pyarrow: datasets/rows_from_parquet.py was not run"
fi

for python in python3 /usr/bin/python3; do
    "$python" -c 'import h5py' 2>/dev/null || continue
    for corpus in vsr1 qwen factory; do
        "$python" tests/corpus/read_shards_check.py "$work/$corpus" || fail "h5py: $corpus"
    done
    exit 0
done
echo "without h5py: the records were not read"
