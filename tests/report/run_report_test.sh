#!/bin/bash
# robin-dist report on metrics that are made here: numbers of the summary, pages that are XML, no
# spike lost among many steps, curricula, runs that were killed, what is no run.
set -uo pipefail
robin=$PWD/${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; cat "$work/log"; exit 1; }

python3 - "$work" <<'END' || exit 1
import json, math, os, sys
work = sys.argv[1]
def write(folder, n, tail=""):
    os.makedirs(f"{work}/{folder}")
    with open(f"{work}/{folder}/metrics.jsonl", "w") as f:
        for step in range(1, n + 1):
            loss = 2 + 4 * math.exp(-step / 300)
            m = {"step": step, "loss": 900 if step == 1234 else loss, "task_loss": {"sg": loss, "a<b": 1},
                 "module_grad_norm": {"lm": 1, "projector": 0.5}, "module_lr": {"lm": 1e-3 * step / n},
                 "samples": 4, "tokens": 1000, "skipped": step % 2,
                 "seconds": {"data": 0.01, "model": 0.2, "reduce": 0.03, "optimizer": 0.01, "step": 0.25},
                 "tokens_per_s": 4000, "images_per_s": 16, "mfu": 0.5, "memory": 123456789}
            if step == 7:
                m.update(loss=None, not_taken="the loss is not finite", sample_ids=["00"])
            if step % 50 == 0:
                m["slowest"] = {"rank": 3, "seconds": 0.5 if step == 100 else 0.2, "median": 0.2}
            f.write(json.dumps(m) + "\n")
        f.write(tail)
write("run", 3000, '{"step": 3001, "lo')
write("all/one", 40)
write("all/two", 60)
os.makedirs(f"{work}/all/three")
with open(f"{work}/all/curriculum.json", "w") as f:
    json.dump({"stages": [{"name": n} for n in ("one", "two", "three")]}, f)
os.makedirs(f"{work}/none")
os.makedirs(f"{work}/bad")
with open(f"{work}/bad/metrics.jsonl", "w") as f:
    f.write('{"step": 1}\n{"step": }\n')
END
"$robin" report "$work/run" >"$work/log" 2>&1 || fail "report"
for words in "run: 3000 steps, 12000 samples, 3e+06 tokens" "loss .* 2\.000[0-9] at the end" \
    "sg  *4.52[0-9]*, 2.000" "a step  *250.0 ms (data 4 %, model 80 %, reduce 12 %, optimizer 4 %)" \
    "4000 tokens/s, 16.0 images/s, MFU 50.0 %" "skipped  *1 steps" "1500 samples with nothing" \
    "in 1 of 60 comparisons" "123.5 MB at most" "curves: $work/run/report.html"; do
    grep -q "$words" "$work/log" || fail "not said: $words"
done
"$robin" report "$work/all" --html "$work/all.html" >"$work/log" 2>&1 || fail "a curriculum"
grep -q "^one: 40 steps" "$work/log" && grep -q "^two: 60 steps" "$work/log" || fail "the stages"
python3 - "$work/run/report.html" "$work/all.html" >"$work/log" 2>&1 <<'END' || fail "the pages"
import re, sys
import xml.dom.minidom
for path, charts in ((sys.argv[1], 7), (sys.argv[2], 15)):
    page = open(path, encoding="utf-8").read()
    assert "http" not in page.replace("http://www.w3.org/2000/svg", ""), "not self-contained"
    svgs = re.findall(r"<svg.*?</svg>", page, re.S)
    assert len(svgs) == charts, len(svgs)
    for svg in svgs:
        xml.dom.minidom.parseString(svg)
        assert "nan" not in svg and "inf" not in svg
        for numbers in re.findall(r'd="([^"]*)"', svg):
            points = [tuple(map(float, p[1:].split())) for p in re.findall(r"[ML][^ML]*", numbers)]
            assert 1 < len(points) <= 1402, len(points)
            assert all(70 <= x <= 745 and 30 <= y <= 255 for x, y in points), points[:5]
loss = re.findall(r"<svg.*?</svg>", open(sys.argv[1], encoding="utf-8").read(), re.S)[0]
faint = re.search(r'opacity="0.35" d="([^"]*)"', loss).group(1)
tops = [float(p[1:].split()[1]) for p in re.findall(r"[ML][^ML]*", faint)]
assert min(tops) < 50, "the spike is not drawn"
assert "a&lt;b" in open(sys.argv[1], encoding="utf-8").read()
END
refused() {
    "$robin" report "$1" >"$work/log" 2>&1
    [ $? = 2 ] && grep -q "^error: .*$2" "$work/log" || fail "not refused: $1"
}
refused "$work/none" "is no run directory"
refused "$work/bad" "metrics.jsonl:2:10: not valid JSON"
echo "reports"
