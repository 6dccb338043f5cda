#!/usr/bin/env python3
"""Drafts with mistakes: what a ledger says of a corpus, names and relations spoilt at random.

usage: make_drafts.py SEED LEDGER... >drafts.jsonl
"""
import json
import random
import sys

random.seed(int(sys.argv[1]))
for path in sys.argv[2:]:
    for line in open(path, encoding="utf-8"):
        row = json.loads(line)
        names = [o["name"] if random.random() > 0.3 else "thing" for o in row["objects"]]
        relations = [r[:3] for r in row["relations"] if random.random() > 0.4]
        for _ in range(3):
            relations.append([random.randrange(len(names)), random.randrange(len(names)),
                              random.choice(["left of", "above", "holding"])])
        print(json.dumps({"image_id": row["image_id"], "objects": names, "relations": relations}))
