#!/bin/bash
# The lines that job: generate writes in the authors' layouts, read by our own importers, are the
# graphs that were written: made into lines once more they are the same lines, but for the
# pictures' names.
set -uo pipefail
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -n 20 "$work/log"; exit 1; }

"$robin" data build scenes --count 12 --size 96 --out "$work/scenes" --threads 1 >"$work/log" 2>&1 ||
    fail "data build scenes"
"$robin" data inspect "$work/scenes" --html "$work/page.html" >"$work/log" 2>&1 || fail "inspect"

generate() { # CORPUS RUN KEY=VALUE...
    local corpus=$1 run=$2
    shift 2
    printf 'job: generate\ngenerate: {corpus: %s, drafter: corpus, shard_records: 8}\n' "$corpus" \
        >"$work/run.yaml"
    "$robin" "$work/run.yaml" run_dir="$work/$run" "$@" >"$work/log" 2>&1 || fail "generate $run"
}
there_and_back() { # FOLDER KIND KEY=VALUE...
    local folder=$1 kind=$2
    shift 2
    generate "$work/scenes" "$folder-first" "$@"
    cat "$work/$folder-first/$folder"/*.jsonl >"$work/$folder.jsonl"
    python3 - "$work" "$folder" <<'END_OF_PICTURES' || fail "pictures"
import base64, json, os, re, sys
work, folder = sys.argv[1:]
page = open(work + '/page.html').read()
pictures = [base64.b64decode(text) for text in re.findall('data:image/jpeg;base64,([^"]+)"', page)]
rows = [json.loads(line) for line in open(f'{work}/{folder}.jsonl')]
assert len(pictures) == len(rows) == 12
for picture, row in zip(pictures, rows):
    path = f"{work}/images/{row['image_id']}.jpg"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, 'wb').write(picture)
END_OF_PICTURES
    "$robin" data import "$kind" "$work/$folder.jsonl" --images "$work/images" --max-dropped 0 \
        --max-skipped 0 --out "$work/$folder-back" >"$work/log" 2>&1 || fail "import $kind"
    generate "$work/$folder-back" "$folder-second" "$@"
    python3 - "$work" "$folder" <<'END_OF_COMPARISON' || fail "$kind gives another graph"
import glob, json, sys
work, folder = sys.argv[1:]
def rows(run):
    read = [json.loads(line) for path in sorted(glob.glob(f'{work}/{folder}-{run}/{folder}/*'))
            for line in open(path)]
    for row in read:
        del row['image_id']
        # who is mentioned first depends on the order of relations, which categories do not keep
        for lists in [row, *row.get('relations', {}).values()]:
            for key in ('mentioned_objects', 'all_mentioned_objects'):
                if key in lists: lists[key].sort()
    return read
first, second = rows('first'), rows('second')
assert first == second, next((a, b) for a, b in zip(first, second) if a != b)
assert len(first) == 12
END_OF_COMPARISON
}
there_and_back sg svg-graphs
there_and_back relations svg-relations generate.task=curate generate.name=svg-relations
echo "graphs and relations: written, imported, written again: the same lines"
