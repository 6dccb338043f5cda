#!/bin/bash
# job: generate with a model that drafts and judges: the same bytes on 1, 2 and 3 ranks and after a
# kill; drafts of a killed run are not made again.
n_scenes=10
language_model="{vocab: 576, hidden: 16, ffn: 32, layers: 1, heads: 2, kv_heads: 1,
      max_positions: 512}"
. tests/sgedit/tiny_drafter.sh
grep -q "^relations ended by" "$work/one/report.txt" || fail "nothing was edited"
for ranks in 2 3; do
    launch/mpirun.sh -np "$ranks" "$robin" "$work/run.yaml" run_dir="$work/ranks$ranks" \
        >"$work/log" 2>&1 || fail "$ranks ranks"
    same_as_one "ranks$ranks"
done
for ranks in 1 2 3; do
    launch/mpirun.sh -np "$ranks" "$robin" "$work/run.yaml" run_dir="$work/whole$ranks" \
        generate.draft_mode=holistic >"$work/log" 2>&1 || fail "holistic, $ranks ranks"
    for file in corpus sg ledger report.json; do
        diff -r "$work/whole1/$file" "$work/whole$ranks/$file" >/dev/null ||
            fail "holistic, $ranks ranks: other bytes in $file"
    done
done
# The journal of the run without its end, as a kill leaves it.
mkdir -p "$work/killed/journal"
head -c "$(($(stat -c %s "$work/one/journal/0000.journal") / 2))" "$work/one/journal/0000.journal" \
    >"$work/killed/journal/0000.journal"
"$robin" "$work/run.yaml" run_dir="$work/killed" >"$work/log" 2>&1 || fail "after a kill"
same_as_one killed
echo "the model drafts and judges: the same bytes on any ranks"
