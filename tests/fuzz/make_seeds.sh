#!/bin/bash
# Writes the seeds that are made and not kept: shards, indices and pictures of a small corpus, a
# tokenizer's files, the project's configurations.
#
# usage: tests/fuzz/make_seeds.sh FOLDER     FOLDER/TARGET/... is written anew
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:?usage: tests/fuzz/make_seeds.sh FOLDER}
program=${ROBIN_BUILD:-build/cpu}/robin-dist
rm -rf "$out"
mkdir -p "$out"/{shard,corpus_index,image,vocabulary,config}

"$program" data build scenes --out "$out/corpus" --count 2 --size 64 >/dev/null 2>&1
cp "$out"/corpus/*.h5 "$out/shard/"
cp "$out"/corpus/index.json "$out/corpus_index/"
python3 - "$out" <<'EOF'
import json, os, struct, sys
out = sys.argv[1]
shard = json.load(open(f"{out}/corpus/index.json"))["shards"][0]
head = bytes([shard["schema_version"] - 1])
for offset, rows in shard["tables"].values():
    head += struct.pack(">2I", offset, rows)
os.makedirs(f"{out}/records")
with open(f"{out}/records/scenes", "wb") as f:
    f.write(head + open(f"{out}/corpus/{shard['file']}", "rb").read())
EOF
rm -rf "$out/corpus"
border=$'\n----\n'
folder=datasets/tokenizer-scenes
{
    for name in vocab.json merges.txt added_tokens.json tokenizer_config.json; do
        [ "$name" = vocab.json ] || printf '%s' "$border"
        cat "$folder/$name"
    done
} >"$out/vocabulary/scenes"
for file in configs/*.yaml configs/demo/*.yaml tests/bad_configs/*.yaml; do
    { printf '\0'; cat "$file"; } >"$out/config/$(basename "$file")"
done
