#!/usr/bin/env python3
"""Counts a generation's report anew from its ledger, and its teacher's calls from the server's log.

usage: report_check.py RUN PAID      PAID: a line for each call that the server was paid for
"""
import collections
import glob
import json
import sys

run, paid = sys.argv[1:]
rows = [json.loads(line) for path in sorted(glob.glob(run + "/ledger/*")) for line in open(path)]
report = json.load(open(run + "/report.json"))
metrics = [json.loads(line) for line in open(run + "/metrics.jsonl")][-1]


def same(name, found, wanted):
    assert abs(found - wanted) < 1e-6, f"{name}: the report says {found}, the ledger {wanted}"


failed = [row for row in rows if "failure" in row]
written = [row for row in rows if "failure" not in row]
same("pictures", report["images"], len(rows))
same("failed", report.get("failed", 0), len(failed))
assert report.get("failures", {}) == collections.Counter(row["failure"] for row in failed)
same("written", report["images_written"], len(written))
objects = [o for row in written for o in row["objects"]]
same("objects", report["objects"]["kept"], sum("by" not in o for o in objects))
same("renamed", report["objects"].get("renamed", 0), sum("draft" in o for o in objects))

fates, by_predicate = collections.Counter(), collections.defaultdict(collections.Counter)
ended, drift = collections.Counter(), 0
for row in written:
    shared = either = 0
    for relation in row["relations"]:
        predicate, origin = relation[2], relation[4]
        fate, by, why = relation[5:] or ("kept", "", "")
        fates[f"{origin}_{fate}"] += 1
        by_predicate[predicate][f"{origin}_{fate}"] += 1
        assert origin in ("drafted", "added") and (fate == "kept" or (by and why)), relation
        if fate != "kept":
            ended[by] += 1
        shared += origin == "drafted" and fate == "kept"
        either += origin == "drafted" or fate == "kept"
    drift += round(1e6 * (1 - shared / either)) if either else 0
assert {k: v for k, v in report["relations"].items() if v} == fates, (report["relations"], fates)
assert report["ended_by"] == ended and len(ended) >= 2, ended
for row in report["predicates"]:
    name = row.pop("predicate")
    assert {k: v for k, v in row.items() if v} == {
        k: v for k, v in by_predicate.pop(name).items() if k != "added_removed"}, name
assert not by_predicate
assert abs(report["drift_ppm"] - drift) <= len(written), (report["drift_ppm"], drift)
refused = collections.Counter(why for row in written for _, why in row["refused"])
assert report.get("refused", {}) == refused and refused, refused
text = open(run + "/report.txt").read()
final = sum(v for k, v in fates.items() if k.endswith("_kept"))
drafted = sum(v for k, v in fates.items() if k.startswith("drafted"))
for wanted in [f"objects a picture   {report['objects']['kept'] / len(written):.2f} ",
               f"relations a picture {drafted / len(written):.2f} drafted, "
               f"{final / len(written):.2f} final"]:
    assert wanted in text, wanted

# the shards say of every object and every relation that is left who it is from
shards = b"".join(open(path, "rb").read() for path in sorted(glob.glob(run + "/corpus/*.h5")))
for row in written:
    names = ["renamed" if "draft" in o else "drafted" for o in row["objects"] if "by" not in o]
    edges = [relation[4] for relation in row["relations"] if len(relation) == 5]
    for words in (names, edges):
        assert " ".join(words).encode() in shards, (row["image_id"], words)
assert b"drafted by" in shards and b"edited by" in shards

# the page shows every picture here: draft, edits, drops, what is left
page = open(run + "/page.html").read()
assert len(rows) <= 24 and page.count("<section>") == len(rows), page.count("<section>")
relations = [relation for row in rows for relation in row["relations"]]
for fate in ("removed", "dropped"):
    wanted = sum(relation[5:6] == [fate] for relation in relations)
    wanted += fate == "dropped" and sum("by" in o for row in rows for o in row["objects"])
    assert page.count(f'<tr class="{fate}">') == wanted > 0, (fate, wanted)
added = sum(len(relation) == 5 and relation[4] == "added" for relation in relations)
assert page.count('<tr class="added">') == added > 0
assert page.count("<del>") == sum("draft" in o for row in rows for o in row["objects"])
assert page.count("failed: ") >= len(failed)

calls = len(open(paid).read().split())
assert metrics["done"] == metrics["total"] == len(rows), metrics
assert metrics["teacher_calls"] == calls and metrics["failed"] == len(failed), metrics
assert 0 < metrics["refusals"] <= len(failed) and metrics["left_s"] == 0, metrics
assert 0 < metrics["teacher_tokens"] <= calls * 1800 and metrics["images_per_s"] > 0, metrics
assert abs(metrics["money"] - metrics["teacher_tokens"] / 1800 * 0.00675) < 1e-6, metrics
print(f"{len(rows)} pictures, {sum(fates.values())} relations, {calls} calls: as the report says")
