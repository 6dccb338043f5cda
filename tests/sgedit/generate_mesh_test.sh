#!/bin/bash
# Models that several ranks hold together answer as one rank does: job: generate on meshes dp x tp of
# 1 x 2, 2 x 2 and 1 x 4 ranks (key heads split, and repeated; a vocabulary and an inner width that
# do not divide), and predict on two. Sums over ranks round otherwise: no margin here is so small.
n_scenes=8
language_model="{vocab: 577, hidden: 32, ffn: 66, layers: 2, heads: 4, kv_heads: 2,
      max_positions: 512}"
. tests/sgedit/tiny_drafter.sh
for mesh in "2 2" "4 2" "4 4"; do
    read -r ranks tp <<<"$mesh"
    launch/mpirun.sh -np "$ranks" "$robin" "$work/run.yaml" run_dir="$work/$ranks.$tp" \
        parallel.tp="$tp" >"$work/log" 2>&1 || fail "$ranks ranks, tp $tp"
    same_as_one "$ranks.$tp"
done
grep -q "^relations ended by" "$work/one/report.txt" || fail "nothing was edited"

ask_about_two
"$robin" "${ask[@]}" >"$work/whole.txt" 2>"$work/log" || fail "predict"
[ -s "$work/whole.txt" ] || fail "predict: no answer"
launch/mpirun.sh -np 2 "$robin" "${ask[@]}" --set parallel.tp=2 >"$work/shared.txt" 2>"$work/log" ||
    fail "predict on two ranks"
diff <(grep -c . "$work/whole.txt") <(grep -c . "$work/shared.txt") >"$work/log" ||
    fail "predict on two ranks: another number of lines"
while read -r line; do
    grep -qF -- "$line" "$work/shared.txt" || fail "predict on two ranks: no line '$line'"
done <"$work/whole.txt"
launch/mpirun.sh -np 2 "$robin" "${ask[@]}" >"$work/log" 2>&1 && fail "two ranks without parallel.tp"
grep -q "parallel.tp" "$work/log" || fail "two ranks: the message does not name parallel.tp"
echo "models held by 2 and 4 ranks answer as whole ones"
