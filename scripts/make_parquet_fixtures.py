#!/usr/bin/env python3
"""Writes the small Parquet files of tests/data/parquet, and the rows that a reader has to give (.jsonl).

Needs pyarrow (PyPI). Usage: make_parquet_fixtures.py OUT
Damaged files are made of these in the tests.
"""
import json
import math
import sys
from datetime import datetime, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)


def save(name, table, **options):
    pq.write_table(table, out / f"{name}.parquet", **options)


def expect(name, rows):
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows]
    (out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


# Conversations in the shape of ShareGPT, in row groups of 7 rows, with a column of long texts that leaves its dictionary.
rows = [{"id": f"row {i}",
         "conversations": [{"from": "human", "value": f"Question {i}: \U0001F600 é \"quoted\" back\\slash\n"},
                           {"from": "gpt", "value": "" if i == 3 else f"Answer\t{i}\0."}][:0 if i == 5 else 2],
         "note": None if i % 4 == 0 else "中文 " * (i * i // 4)} for i in range(25)]
turns = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))
for codec, version in (("zstd", "2.6"), ("snappy", "1.0")):
    table = pa.table({"id": [r["id"] for r in rows],
                      "conversations": pa.array([r["conversations"] for r in rows], turns),
                      "note": pa.array([r["note"] for r in rows], pa.large_string())})
    save(f"conversations_{codec}", table, compression=codec, version=version, row_group_size=7,
         dictionary_pagesize_limit=200, data_page_size=1000)
expect("conversations", rows)

# Names that would end a quoted word or mean something in SQL.
names = ["it's", 'say "hi"', "*", "[0]", "two\nlines", "a.b", "; DROP TABLE x --", "select", "\U0001F600", " ", "%s",
         "\\", "Text"]
save("names", pa.table({n: [f"{i}"] for i, n in enumerate(names)}))
expect("names", [{n: f"{i}" for i, n in enumerate(names)}])

# Values of other types than strings.
when = datetime(2023, 4, 19, 12, 30, tzinfo=timezone.utc)
save("values", pa.table({
    "number": pa.array([1, None, -(2**62)], pa.int64()),
    "score": pa.array([0.5, math.nan, -math.inf], pa.float64()),
    "single": pa.array([0.25, None, math.inf], pa.float32()),
    "flag": [True, False, None],
    "bytes": pa.array(["text é".encode(), b"\xff\xfe", None], pa.binary()),
    "day": pa.array([when, None, when], pa.timestamp("us", "UTC")).cast(pa.date32()),
}))
expect("values", [
    {"number": 1, "score": 0.5, "single": 0.25, "flag": True, "bytes": "text é", "day": "2023-04-19"},
    {"number": None, "score": None, "single": None, "flag": False, "bytes": None, "day": None},
    {"number": -(2**62), "score": None, "single": None, "flag": None, "bytes": None, "day": "2023-04-19"},
])

save("no_rows", pa.table({"text": pa.array([], pa.string())}))
