#!/bin/bash
# job: generate at the size of the paper's corpus without its model: 146,000 drawn pictures as dense
# as SVG-FULL (18.3 objects, 38.5 relations each), recorded drafts, a spatial filter, two ranks. How
# many a second go through journal and shards, whether memory grows with their number, how long a
# run that was killed at 90 % takes to go on; what it then makes must be the same bytes.
#
# usage: tests/bench/generate_scale_bench.sh BUILD
#        COUNT=N pictures; SCALE_DIR=DIR keeps corpus and drafts; PREPARE_ONLY=1 makes only these
set -uo pipefail
build=${1:?usage: tests/bench/generate_scale_bench.sh BUILD}
robin=$build/robin-dist
count=${COUNT:-146000}
work=${SCALE_DIR:-$(mktemp -d)}
[ -n "${SCALE_DIR:-}" ] || trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; tail -n 20 "$work/log"; exit 1; }
mkdir -p "$work"

if [ ! -s "$work/drafts.jsonl" ]; then
    rm -rf "$work/scenes" "$work/truth"
    "$robin" data build scenes --count "$count" --crowd-objects 18.3 --crowd-relations 38.5 \
        --out "$work/scenes" >"$work/log" 2>&1 || fail "data build scenes"
    printf 'job: generate\ngenerate: {corpus: %s, drafter: corpus}\n' "$work/scenes" \
        >"$work/truth.yaml"
    launch/mpirun.sh -np 2 "$robin" "$work/truth.yaml" run_dir="$work/truth" >"$work/log" 2>&1 ||
        fail "the corpus' own graphs"
    python3 tests/sgedit/make_drafts.py 1 "$work"/truth/ledger/*.jsonl >"$work/drafts.part" ||
        fail "drafts"
    mv "$work/drafts.part" "$work/drafts.jsonl"
    rm -rf "$work/truth"
fi
[ -z "${PREPARE_ONLY:-}" ] || exit 0
rm -rf "$work/whole" "$work/killed"
cat >"$work/run.yaml" <<END
job: generate
generate: {corpus: $work/scenes, drafter: recorded, drafts: $work/drafts.jsonl,
  filters: [{kind: spatial}]}
END

# watch RUN NAME [BYTES]: two ranks at run RUN, one of them killed once the journal has so many
# bytes; what was seen goes to NAME.json.
watch() {
    python3 - "$work" "$robin" "$@" <<'END'
import glob, json, os, signal, subprocess, sys, time
work, robin, run, name = sys.argv[1:5]
kill_at = float(sys.argv[5]) if sys.argv[5:] else float("inf")

def journal_bytes():
    return sum(os.path.getsize(path) for path in glob.glob(f"{work}/{run}/journal/*.journal"))

def own_memory(pid):  # anonymous pages: neither the file of drafts nor code, which ranks share
    try:
        lines = open(f"/proc/{pid}/status").readlines()
    except OSError:  # it has ended
        return 0
    return max([int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:")] + [0])

before, begun = journal_bytes(), time.monotonic()
job = subprocess.Popen(["launch/mpirun.sh", "-np", "2", robin, work + "/run.yaml",
                        f"run_dir={work}/{run}"],
                       stdout=open(work + "/log", "w"), stderr=subprocess.STDOUT)
seen = []
while job.poll() is None:
    ranks = open(f"/proc/{job.pid}/task/{job.pid}/children").read().split()
    seen.append((time.monotonic() - begun, journal_bytes(), max(map(own_memory, ranks), default=0)))
    if seen[-1][1] >= kill_at and ranks:
        os.kill(int(ranks[-1]), signal.SIGKILL)
        kill_at = float("inf")
    time.sleep(0.02)
ended, last = time.monotonic() - begun, journal_bytes()
first_growth = [t for t, size, _ in seen if size > before]
whole_journal = [t for t, size, _ in seen if size >= last]
def most(share):
    bound = before + share * (last - before)
    return max([memory for _, size, memory in seen if size <= bound] + [0])
json.dump({"code": job.returncode, "bytes": last, "end_s": ended,
           "grew_s": first_growth[0] if first_growth else ended,
           "journal_s": whole_journal[0] if whole_journal else ended,
           "quarter_mb": most(0.25), "loop_mb": most(0.999), "end_mb": most(1)},
          open(f"{work}/{name}.json", "w"))
END
}
value() { # NAME KEY
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' \
        "$work/$1.json" "$2"
}

watch whole whole
[ "$(value whole code)" = 0 ] || fail "the undisturbed run"
watch killed killed "$(($(value whole bytes) * 9 / 10))"
[ "$(value killed code)" != 0 ] || fail "nobody was killed"
watch killed again
[ "$(value again code)" = 0 ] || fail "the run after the kill"
for file in corpus sg ledger report.json report.txt page.html; do
    diff -r "$work/whole/$file" "$work/killed/$file" >/dev/null || fail "after the kill: $file"
done
python3 - "$work" "$count" <<'END'
import json, sys
work, count = sys.argv[1], int(sys.argv[2])
whole, killed, again = (json.load(open(f"{work}/{name}.json"))
                        for name in ("whole", "killed", "again"))
share, rate = 100 * killed["bytes"] / whole["bytes"], count / whole["end_s"]
print(f"generate, {count} pictures, recorded drafts, 2 ranks: {count / whole['journal_s']:.0f} a "
      f"second into the journal, {rate:.0f} a second with shards, lines, ledger and page "
      f"({whole['end_s']:.1f} s)\n  own memory of a rank at most: {whole['quarter_mb']:.0f} MB "
      f"until a quarter is done, {whole['loop_mb']:.0f} MB until all are, {whole['end_mb']:.0f} MB with "
      f"shards\n  killed at {share:.1f} %, started again: goes on after {again['grew_s']:.1f} s, "
      "the same bytes")
failures = [text for bad, text in [
    (rate < 2000, "fewer than 2000 a second"),
    (whole["loop_mb"] > 1.25 * whole["quarter_mb"], "memory grows with the corpus"),
    (not 89 <= share <= 97, "the kill did not come at 90 %"),
    (again["grew_s"] > 10, "more than 10 s until it goes on")] if bad]
sys.exit("FAILED: " + "; ".join(failures) if failures else 0)
END
