#!/usr/bin/env python3
"""Rows of Apache Parquet files as JSON lines on standard output; bytes (pictures) become base64.

usage: rows_from_parquet.py FILE.parquet... >ROWS.jsonl

Needs pyarrow (pip install pyarrow). A row group is in memory at a time.
"""
import base64
import json
import sys

import pyarrow.parquet


def plain(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value if isinstance(value, (str, int, float, type(None))) else str(value)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    for path in sys.argv[1:]:
        file = pyarrow.parquet.ParquetFile(path)
        for batch in file.iter_batches(batch_size=64):
            for row in batch.to_pylist():
                json.dump(plain(row), sys.stdout, ensure_ascii=False, allow_nan=False)
                sys.stdout.write("\n")


if __name__ == "__main__":
    main()
