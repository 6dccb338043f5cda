#!/bin/bash
# predict and serve over a small model that has learnt to write graphs: regions in every form, every
# output; an unconstrained answer that is a graph is what the grammar lets through, too; the endpoint
# as clients use it, its refusals and limits, many at once, and its end.
set -uo pipefail
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -5 "$work"/log "$work"/out 2>/dev/null; exit 1; }

"$robin" data build scenes --count 4 --size 64 --out "$work/scenes" --threads 1 >"$work/log" 2>&1 ||
    fail "data build scenes"
cat >"$work/tiny.yaml" <<END
job: train
run_dir: $work/run
model:
  image: {height: 64, width: 64}
  vision: {depths: [1, 1, 1, 1], dims: [8, 8, 8, 8], layer_scale_init: 1}
  extractor: {embed: 8, mask_side: 4}
  lm: {vocab: 576, hidden: 64, ffn: 128, layers: 2, heads: 4, kv_heads: 2, max_positions: 1024}
tokenizer: datasets/tokenizer-scenes
text: {unmask_template_tokens: false}
data: {sources: [{corpus: $work/scenes, tasks: [sg]}], max_length: 512, max_tokens: 1024,
  fixed_draws: false}
train: {global_batch: 4, steps: 400, save_every: 0, log_every: 100}
optimizer: {lr: 5e-3, beta2: 0.98}
decode: {wording: trained, max_length: 640}
END
"$robin" "$work/tiny.yaml" >"$work/log" 2>&1 || fail "training"

# pictures and boxes out of the page of the corpus
"$robin" data inspect "$work/scenes" --html "$work/page.html" >"$work/log" 2>&1 || fail "inspect"
python3 - "$work" <<'END' || fail "cutting pictures out"
import base64, json, re, sys, zlib, struct
work = sys.argv[1]
page = open(work + '/page.html').read()
for i, svg in enumerate(re.findall('<svg.*?</svg>', page, re.S)):
    picture = re.search('base64,([^"]+)"', svg).group(1)
    open(f'{work}/{i}.jpg', 'wb').write(base64.b64decode(picture))
    number = r'="([\d.]+)" '
    rects = re.findall('<rect x' + number + 'y' + number + 'width' + number + 'height' + number, svg)
    boxes = [[float(x), float(y), float(x) + float(w), float(y) + float(h)] for x, y, w, h in rects]
    json.dump([{'box': box} for box in boxes], open(f'{work}/{i}.boxes.json', 'w'))
    polygons = [{'segmentation': [[a, b, c, b, c, d, a, d]]} for a, b, c, d in boxes]
    json.dump(polygons, open(f'{work}/{i}.polygons.json', 'w'))
    def png(box):
        rows = b''.join(b'\0' + bytes(255 * (box[0] <= x < box[2] and box[1] <= y < box[3])
                                      for x in range(64)) for y in range(64))
        def chunk(kind, data):
            return (struct.pack('>I', len(data)) + kind + data +
                    struct.pack('>I', zlib.crc32(kind + data)))
        return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 64, 64, 8, 0, 0, 0, 0)) +
                chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))
    for k, box in enumerate(boxes):
        open(f'{work}/{i}.{k}.png', 'wb').write(png(box))
    urls = [{'mask': 'data:image/png;base64,' + base64.b64encode(png(box)).decode()} for box in boxes]
    json.dump(urls, open(f'{work}/{i}.masks.json', 'w'))
END

predict() { # OPTION...
    "$robin" predict "$work/tiny.yaml" --from "$work/run" "$@" >"$work/out" 2>"$work/log"
}
refuses() { # SENTENCE OPTION...
    local sentence=$1
    shift
    predict "$@" && fail "predict took $*"
    grep -qF -- "$sentence" "$work/log" || fail "predict $*: no '$sentence'"
}

graphs=0
for i in 0 1 2 3; do
    predict --image "$work/$i.jpg" --regions "$work/$i.boxes.json" --set decode.constrained=false ||
        fail "predict"
    cp "$work/out" "$work/free"
    for form in polygons masks boxes; do
        predict --image "$work/$i.jpg" --regions "$work/$i.$form.json" || fail "predict $form"
        [ "$form" = polygons ] && cp "$work/out" "$work/first"
        cmp -s "$work/out" "$work/first" || fail "$form give another answer than polygons"
    done
    predict --image "$work/$i.jpg" --regions "$work/$i.boxes.json" --set decode.skip_forced=true ||
        fail "predict skip_forced"
    cp "$work/out" "$work/skipped"
    masks=()
    for file in "$work/$i".*.png; do masks+=(--mask "$file"); done
    predict --image "$work/$i.jpg" "${masks[@]}" || fail "predict --mask"
    cmp -s "$work/out" "$work/first" || fail "masks give another answer"
    n=$(python3 -c 'import json, sys; print(len(json.load(open(sys.argv[1]))))' "$work/$i.boxes.json")
    # a graph that names each region at most once, none its own target, is in the grammar's language
    if grep -q '^Objects:' "$work/free" && ! grep -q 'cut at' "$work/free" &&
        python3 - "$work/free" "$n" <<'END'; then
import re, sys
objects, _, relations = open(sys.argv[1]).read().partition('\nRelations:\n')
ids = re.findall(r'^region(\d+): \w[\w ]*$', objects, re.M)
edge = r'region\d+ \w[\w ]*'
lines = relations.split('\n')[:-1]
used = set(re.findall(r'region(\d+)', relations))
good = (len(ids) == objects.count('\n') - 1 and len(set(ids)) == len(ids) and
        all(1 <= int(k) <= int(sys.argv[2]) for k in ids) and used <= set(ids) and
        all(re.fullmatch(rf'region\d+: {edge}(, {edge})*', line) for line in lines) and
        not any(re.search(r'region(\d+): .*region\1 ', line) for line in lines))
sys.exit(not good)
END
        cmp -s "$work/free" "$work/first" || fail "the grammar changed a graph"
        cmp -s "$work/free" "$work/skipped" || fail "skipping forced text changed a graph"
        graphs=$((graphs + 1))
    fi
done
echo "$graphs of 4 unconstrained answers are graphs, unchanged by the grammar"
[ "$graphs" -ge 2 ] || fail "the model has not learnt to write graphs"

predict --image "$work/0.jpg" --regions "$work/0.boxes.json" --task per_object --format json ||
    fail "per_object"
python3 - "$work/out" <<'END' || fail "JSON"
import json, sys
root = json.load(open(sys.argv[1]))
assert root['mode'] == 'per_object' and len(root['answers']) == 2 * len(root['objects'])
assert root['usage']['prefilled_tokens'] * 2 < root['usage']['prompt_tokens']
END
predict --image "$work/0.jpg" --regions "$work/0.boxes.json" --format svg --out "$work/out.svg" ||
    fail "svg"
python3 -c 'import sys, xml.dom.minidom as m; assert len(m.parse(sys.argv[1]).getElementsByTagName("rect")) > 1' \
    "$work/out.svg" || fail "the drawing"
predict --image "$work/0.jpg" --task yes_no --question 'Is it red?' --question 'Is it & <b>?' ||
    fail "yes_no"
[ "$(grep -c 'probability of yes: 0.[0-9]*' "$work/out")" = 2 ] || fail "probabilities"
predict --image "$work/0.jpg" --task detection || fail "detection"
predict --image "$work/0.jpg" --task refexp --question 'the square' || fail "refexp"
refuses 'unknown task sg' --image "$work/0.jpg" --task sg
refuses 'not four numbers' --image "$work/0.jpg" --box 1,2,3
refuses 'does not lie inside the picture' --image "$work/0.jpg" --box 1,2,3,400
refuses 'No such file' --image "$work/none.jpg"
echo '[{"box": [0, 0, 5, 5], "mask": "x"}]' >"$work/both.json"
refuses 'regions[0]: a region has exactly one of' --image "$work/0.jpg" --regions "$work/both.json"

# ---- serve ----
source tests/jobs/serving.sh
stop() {
    kill -TERM "$server"
    for _ in $(seq 100); do
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    wait "$server" || fail "the server ended with an error"
    server=
}
begin_serving --max-body-mib 1 --queue 8
case $url in http://127.0.0.1:*) ;; *) fail "the server listens on $url" ;; esac
python3 tests/jobs/serve_check.py "$url" "$work" || fail "the endpoint"
# what is in work when the end comes is answered
python3 tests/jobs/serve_check.py "$url" "$work" slow >"$work/slow" 2>&1 &
client=$!
for _ in $(seq 100); do grep -q asked "$work/slow" 2>/dev/null && break; sleep 0.05; done
sleep 0.3
stop
wait "$client" || { cat "$work/slow"; fail "a request in work was dropped"; }
echo passed
