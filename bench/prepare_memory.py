#!/usr/bin/env python3
"""Memory of `stablelm prepare` on inputs of any size: JSON lines, one JSON array, Parquet of one row group.

Makes a file of the given size from seeded words, prepares it, and samples the anonymous and shared memory of the
program and its helpers (RssAnon + RssShmem of /proc/PID/status) twenty times a second.

Usage: bench/prepare_memory.py STABLELM --tokenizer FILE [--megabytes 2000] [--kinds lines,array,parquet] [--threads 2]
       [--folder DIR]   (Parquet needs pyarrow)
"""
import argparse
import itertools
import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import time

WORDS = ("the of and to in a is that for it as was with be by on not he his but at are this have from or had an they "
         "which one you were all her she there would their we him been has when who will no more if out so what up said "
         "about than into them can only other time new some could these two may first then do any like my now over such "
         "our man me even most made after also did many off before must well back through years where much your way "
         "down should because long each just state those people too mister how little good world make very year still "
         "see work life men day get here between both under never same another know while last might us great").split()


def rows(megabytes, seed=1):
    draw = random.Random(seed)
    left = megabytes * 1_000_000
    number = 0
    while left > 0:
        question = " ".join(draw.choices(WORDS, k=draw.randrange(8, 60))) + f" {number}?"
        answer = " ".join(draw.choices(WORDS, k=draw.randrange(40, 260))) + "."
        left -= len(question) + len(answer)
        number += 1
        yield {"prompt": question, "response": answer}


def write(kind, path, megabytes):
    if kind == "parquet":
        import pyarrow
        import pyarrow.parquet
        batches, source = [], rows(megabytes)
        while part := list(itertools.islice(source, 10_000)):  # as objects of Python all rows would take ten times their size
            batches.append(pyarrow.RecordBatch.from_pylist(part))
        table = pyarrow.Table.from_batches(batches)
        pyarrow.parquet.write_table(table, path, row_group_size=len(table), compression="zstd")
        return
    with open(path, "w") as out:
        out.write("[" if kind == "array" else "")
        for i, row in enumerate(rows(megabytes)):
            out.write((",\n" if kind == "array" and i else "") + json.dumps(row) + ("" if kind == "array" else "\n"))
        out.write("]\n" if kind == "array" else "")


def tree(pid):
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += tree(int(child))
    return found


def memory(pid):
    total = 0
    for one in tree(pid):
        for line in pathlib.Path(f"/proc/{one}/status").read_text().splitlines():
            if line.startswith(("RssAnon", "RssShmem")):
                total += int(line.split()[1]) * 1024
    return total


def measure(command):
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, memory(process.pid))
        except (FileNotFoundError, ProcessLookupError):
            pass
        time.sleep(0.05)
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    return time.monotonic() - start, peak


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stablelm")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--kinds", default="lines,array,parquet")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for kind in arguments.kinds.split(","):
            suffix = {"lines": "jsonl", "array": "json", "parquet": "parquet"}[kind]
            path = os.path.join(folder, f"data.{suffix}")
            write(kind, path, arguments.megabytes)
            recipe = os.path.join(folder, "recipe.yaml")
            pathlib.Path(recipe).write_text(f"tokenizer: {arguments.tokenizer}\ntemplate: stablelm-tuned\n"
                                            f"sources: [{{path: {path}, kind: prompt-response}}]\n")
            out = os.path.join(folder, "out")
            command = [arguments.stablelm, "prepare", recipe, "-o", out, "--threads", str(arguments.threads), "--quiet"]
            for one in arguments.set:
                command += ["--set", one]
            seconds, peak = measure(command)
            print(f"{kind:8} {os.path.getsize(path) / 1e6:8.0f} MB file {arguments.megabytes:6} MB text {seconds:7.1f} s "
                  f"{arguments.megabytes / seconds:6.1f} MB/s  peak {peak / 1e6:6.0f} MB", flush=True)
            os.remove(path)
            shutil.rmtree(out)


if __name__ == "__main__":
    main()
