#!/bin/bash
# job: curriculum whose stages draft graphs with the model of the stage before, have them edited over
# HTTP, and train on what comes of it. Killed in the middle of the generation, the same command ends
# in the same bytes and pays for nothing finished again; an evaluation stands beside an earlier one;
# what a stage lacks is refused before anything runs.
set -uo pipefail
build=${ROBIN_BUILD:-build/cpu}
robin=$build/robin-dist
work=$(mktemp -d)
server=
trap 'kill $server 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -n 30 "$work/log"; exit 1; }
export OPENAI_API_KEY=sk-of-this-test

"$robin" data build scenes --count 16 --size 64 --out "$work/scenes" --threads 1 >"$work/log" 2>&1 ||
    fail "data build scenes"
cat >"$work/model.yaml" <<END
model:
  image: {height: 64, width: 64}
  vision: {depths: [1, 1, 1, 1], dims: [8, 8, 8, 8], layer_scale_init: 1}
  extractor: {embed: 8, mask_side: 4}
  lm: {vocab: 576, hidden: 16, ffn: 32, layers: 1, heads: 2, kv_heads: 1, max_positions: 512}
tokenizer: datasets/tokenizer-scenes
END
write() { # NAME JOB: keys of standard input
    { echo "job: $2"; echo "run_dir: $work/alone/$1"; cat "$work/model.yaml" -; } >"$work/$1.yaml"
}
write first train <<END
data: {sources: [{corpus: $work/scenes, tasks: [sg]}], max_length: 256, max_tokens: 400}
train: {global_batch: 4, steps: 3, save_every: 0}
END
write edit generate <<END
data: {max_length: 256, max_tokens: 400}
decode: {wording: trained}
generate: {corpus: $work/scenes, drafter: model, draft_mode: holistic, in_flight: 2, max_tokens: 40,
  shard_records: 6, min_added: 0, gains: [{of: precision, by: 0.3}, {of: recall, by: 0.9}]}
teacher: {kind: http, url: 'http://127.0.0.1:1/v1'}
END
write second train <<END
data:
  sources:
    - {corpus: $work/alone/edit/corpus, tasks: [sg]}
    - {corpus: $work/scenes, tasks: [relation_pair]}
  max_length: 256
  max_tokens: 400
train: {global_batch: 4, steps: 3, save_every: 0, init: $work/nowhere}
END
write look evaluate <<END
data: {max_length: 256, max_tokens: 400}
evaluate: {corpus: $work/scenes, records: 4}
END
{
    cat "$work/look.yaml"
    sed 's/^/# /' "$work/look.yaml" | head -n 1
} | sed -e 's,^evaluate:.*,evaluate: {corpus: '"$work"'/scenes\, records: 4\, beside: [{name: first\, run: '"$work"'/alone/look}]\, margins: [{answers: short\, asked: colour\, over: first\, by: -1}]},' \
    -e 's,alone/look$,alone/again,' >"$work/again.yaml"
cat >"$work/all.yaml" <<END
job: curriculum
run_dir: $work/run
curriculum:
  stages:
    - {config: first.yaml}
    - {config: look.yaml}
    - {config: edit.yaml}
    - {config: second.yaml}
    - {config: edit.yaml, name: drafts, set: [run_dir=$work/alone/drafts, teacher.kind=none,
        'generate.gains=[]', train.init=$work/alone/first]}
    - {config: second.yaml, name: control, set: [run_dir=$work/alone/control, train.init=$work/alone/first,
        'data.sources=[{corpus: $work/alone/drafts/corpus, tasks: [sg]}]']}
    - {config: again.yaml, set: [train.init=$work/alone/second]}
END
"$build/tests/teacher_server" "$work/scenes" log="$work/paid" delay_ms=100 >"$work/port" &
server=$!
for _ in $(seq 100); do
    [ -s "$work/port" ] && break
    sleep 0.05
done
url="teacher.url=http://127.0.0.1:$(cat "$work/port")/v1"
go() { # RUN KEY=VALUE...
    local dir=$1
    shift
    "$robin" "$work/all.yaml" run_dir="$work/$dir" "curriculum.set=[$url]" "$@" >"$work/log" 2>&1
}

# ---- through ----
go through || fail "the curriculum"
grep -q "stage second (4 of 7): weights of $work/through/first" "$work/log" || fail "where second begins"
grep -q "stage control (6 of 7): weights of $work/through/first" "$work/log" ||
    fail "where the control begins"
grep -q "stage again (7 of 7): weights of $work/through/second" "$work/log" || fail "who is evaluated"
grep -q "corpus: $work/through/edit/corpus" "$work/through/second/config.yaml" ||
    fail "second does not read what the stage edit wrote"
grep -q "corpus: $work/through/drafts/corpus" "$work/through/control/config.yaml" ||
    fail "the control does not read the drafts"
grep -q "^met     recall 0.* of the draft, 1.000 in the end" "$work/log" || fail "the gain"
grep -q "^met     short colour .* over first " "$work/log" || fail "the margin over an earlier evaluation"
grep -q '"beside": {' "$work/through/again/evaluation.json" || fail "the evaluation beside"
sort "$work/paid" >"$work/through.paid"
[ "$(wc -l <"$work/through.paid")" = 16 ] || fail "not one call a picture"
go through curriculum.set='[]' || fail "once more"
[ "$(grep -c ': done before$' "$work/log")" = 7 ] || fail "done stages are not passed over"

# ---- killed in the middle of the generation, then on two ranks ----
: >"$work/paid"
"$robin" "$work/all.yaml" run_dir="$work/killed" "curriculum.set=[$url]" >"$work/log" 2>&1 &
run=$!
for _ in $(seq 1200); do
    [ "$(wc -l <"$work/paid")" -ge 6 ] && break
    sleep 0.02
done
kill -KILL $run
wait $run 2>/dev/null
[ ! -e "$work/killed/edit/report.json" ] || fail "it was not killed in the middle"
launch/mpirun.sh -np 2 "$robin" "$work/all.yaml" run_dir="$work/killed" "curriculum.set=[$url]" \
    >"$work/log" 2>&1 || fail "the killed curriculum"
grep -q "^stage look (2 of 7): done before" "$work/log" || fail "a finished stage is done again"
[ "$(sort -u "$work/paid" | cmp - "$work/through.paid" && wc -l <"$work/paid")" -le 20 ] ||
    fail "$(wc -l <"$work/paid") calls were paid for 16 pictures, 4 at most in flight"
for part in edit drafts; do
    for file in corpus sg ledger report.json report.txt page.html; do
        diff -r "$work/through/$part/$file" "$work/killed/$part/$file" >/dev/null ||
            fail "killed: other bytes in $part/$file"
    done
done
cmp <(grep -v checkpoint "$work/through/look/evaluation.json") \
    <(grep -v checkpoint "$work/killed/look/evaluation.json") || fail "killed: another evaluation"
echo "killed in the middle of its generation: the same bytes"

# ---- refused ----
refused() { # WORDS KEY=VALUE...
    local words=$1
    shift
    rm -rf "$work/refused"
    go refused "$@"
    [ $? = 2 ] && [ "$(grep -c "^error: " "$work/log")" = 1 ] && grep -q "$words" "$work/log" ||
        fail "not refused: $words"
    [ ! -e "$work/refused" ] || fail "a refused curriculum wrote something"
}
first='{config: first.yaml}'
edit='{config: edit.yaml}'
second='{config: second.yaml}'
refused "stage second: data.sources\[\].corpus is '$work/alone/edit/corpus', which has no index.json" \
    "curriculum.stages=[$first, $second]"
refused "stage second names $work/alone/edit/corpus, which stage edit writes only after it" \
    "curriculum.stages=[$first, $second, $edit]"
refused "both stage edit and stage more say that they write it" \
    "curriculum.stages=[$first, $edit, {config: edit.yaml, name: more}, $second]"
refused "stage edit: generate.drafter is recorded: generate.drafts must name the file" \
    "curriculum.stages=[$first, {config: edit.yaml, set: [generate.drafter=recorded]}]"
refused "stage edit: export is true, but only job train leaves weights" \
    "curriculum.stages=[$first, {config: edit.yaml, export: true}]"
refused "stage edit: .*mlp.* has another shape than in stage first" \
    "curriculum.stages=[$first, {config: edit.yaml, set: [model.lm.ffn=64]}]"
refused "stage again: evaluate.beside\[\].run is '$work/alone/look', which has no evaluation.json" \
    "curriculum.stages=[$first, {config: again.yaml}]"
go missed "curriculum.stages=[$first, {config: edit.yaml, set: ['generate.gains=[{of: names, by: 1}]', teacher.kind=none]}]"
[ $? = 1 ] && grep -q "generate.gains missed: names" "$work/log" || fail "a gain that is missed"
echo "what cannot run is refused"
