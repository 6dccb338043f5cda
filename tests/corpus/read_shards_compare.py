#!/usr/bin/env python3
"""What datasets/read_shards.py reads of a corpus, beside what read_shards_check.py does.

usage: read_shards_compare.py DIR
"""
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path += [here, f"{here}/../../datasets"]
import read_shards  # noqa: E402
import read_shards_check  # noqa: E402


def main():
    expected = read_shards_check.read_corpus(sys.argv[1])
    found = list(read_shards.records(sys.argv[1]))
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected):
        assert [one[k] for k in ("id", "height", "width", "picture")] == \
            [other[k] for k in ("id", "height", "width", "image")], other["id"]
        assert [r["box"] for r in one["regions"]] == [r["box"] for r in other["regions"]]
        for region, right in zip(one["regions"], other["regions"]):
            assert list(region["runs"]) == right["runs"]
            if right["runs"]:
                mask = read_shards.mask(region, one)
                assert mask.shape == (one["height"], one["width"])
                assert mask.sum() == sum(right["runs"][1::2])
                x1, y1, x2, y2 = (int(c) for c in region["box"])
                assert mask[y1:y2 + 1, x1:x2 + 1].any(), "the mask lies in its box"
        assert one["objects"] == other["objects"]
        assert one["relations"] == [(r["subject"], r["predicate"], r["object"])
                                    for r in other["relations"]]
        assert one["texts"] == [{"task": t["task"], "region": t["region"], "turns": [
            (turn["question"], turn["answer"]) for turn in t["turns"]]} for t in other["texts"]]
    print(f"{sys.argv[1]}: {len(found)} records, as read_shards_check.py reads them")


if __name__ == "__main__":
    main()
