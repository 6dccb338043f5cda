#!/usr/bin/env python3
"""RefCOCO's refs(unc).p as JSON: python3 datasets/refs_to_json.py 'refs(unc).p' refs.json

A pickle can run anything. This reads one that holds plain lists, dicts, strings and numbers and
refuses all else, so a file from an untrusted place is safe to try."""
import json
import pickle
import sys


class Plain(pickle.Unpickler):
    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"it asks for {module}.{name}: this is not the released file")


with open(sys.argv[1], "rb") as source, open(sys.argv[2], "w", encoding="utf-8") as target:
    json.dump(Plain(source, encoding="utf-8").load(), target)
