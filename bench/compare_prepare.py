#!/usr/bin/env python3
"""Preparing data with stablelm beside Hugging Face's datasets and tokenizers, in turns within one run.

    bench/compare_prepare.py --tokenizer tokenizer.json --data hh.jsonl.gz [--stablelm PROGRAM] [--megabytes 100]
                             [--rounds 3] [--threads 2] [--python ENV]

The data are transcripts of Anthropic's HH format (`chosen`), copied until they have the given size; each copy has the
words of each turn in another order, so that neither caches nor a search for duplicates see copies. Both read them, parse
the transcripts, encode the card's prompt format, mark the last answer as target, pack samples into sequences of 4,096
tokens and write ids and masks. The peer maps the rows in as many processes as stablelm has threads. A second line is
stablelm with all cleaning steps of the card's recipe. Start-up is left out: the time of a file of one row is taken off.
MB are bytes of the texts (UTF-8), as rates are medians of the rounds, and ratios the medians of the rounds' ratios.
"""
import argparse
import gzip
import json
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

from model_peers import peer_python

PACKAGES = ["datasets", "tokenizers", "numpy"]
SYSTEM = ("# StableLM Tuned (Alpha version)\n- StableLM is a helpful and harmless open-source AI language model developed by "
          "StabilityAI.\n- StableLM is excited to be able to help the user, but will refuse to do anything that could be "
          "considered harmful to the user.\n- StableLM is more than just an information source, StableLM is also able to "
          "write poetry, short stories, and make jokes.\n- StableLM will refuse to participate in anything that could harm "
          "a human.\n")

PEER = r'''
import json, re, sys, time
import numpy
from datasets import load_dataset
from tokenizers import Tokenizer
path, tokenizer_file, out, processes, cache, system = sys.argv[1:7]
tokenizer = Tokenizer.from_file(tokenizer_file)
ROLE = {"Human": tokenizer.token_to_id("<|USER|>"), "Assistant": tokenizer.token_to_id("<|ASSISTANT|>")}
SYSTEM = [tokenizer.token_to_id("<|SYSTEM|>")] + tokenizer.encode(system, add_special_tokens=False).ids
END, LENGTH = 0, 4096

def prepare(batch):
    all_ids, all_masks = [], []
    turns_of, texts = [], []
    for chosen in batch["chosen"]:
        parts = re.split(r"\n\n(Human|Assistant):", chosen)
        turns = [(parts[i], parts[i + 1].strip()) for i in range(1, len(parts) - 1, 2)]
        good = (len(turns) % 2 == 0 and all(text for _, text in turns) and
                all(role == ("Human", "Assistant")[i % 2] for i, (role, _) in enumerate(turns)))
        turns_of.append(turns if good else [])
        texts += [text for _, text in turns_of[-1]]
    encoded = iter(tokenizer.encode_batch(texts, add_special_tokens=False))
    for turns in turns_of:
        if not turns:
            continue
        ids, mask = list(SYSTEM), [0] * len(SYSTEM)
        for i, (role, _) in enumerate(turns):
            of_turn = next(encoded).ids
            last = i + 1 == len(turns)
            ids += [ROLE[role]] + of_turn
            mask += [0] + [1 if last else 0] * len(of_turn)
        ids.append(END)
        mask.append(1)
        if len(ids) <= LENGTH:
            all_ids.append(ids)
            all_masks.append(mask)
    return {"ids": all_ids, "mask": all_masks}

start = time.monotonic()
data = load_dataset("json", data_files=path, split="train", cache_dir=cache)
data = data.map(prepare, batched=True, num_proc=int(processes), remove_columns=data.column_names)
table = data.data.table.combine_chunks()
columns = {}
for name in ("ids", "mask"):
    column = table.column(name).combine_chunks()
    column = column.chunk(0) if hasattr(column, "chunk") else column
    columns[name] = column.values.to_numpy().astype(numpy.uint16 if name == "ids" else numpy.uint8)
    begins = column.offsets.to_numpy()
lengths = numpy.diff(begins)
packs, filled = [[]], 0
for i in numpy.random.default_rng(1).permutation(len(lengths)):
    if filled + lengths[i] > LENGTH:
        packs.append([])
        filled = 0
    packs[-1].append(i)
    filled += lengths[i]
with open(out, "wb") as ids_file, open(out + ".mask", "wb") as mask_file:
    for pack in packs:
        for i in pack:
            ids_file.write(columns["ids"][begins[i]:begins[i + 1]].tobytes())
            mask_file.write(numpy.packbits(columns["mask"][begins[i]:begins[i + 1]]).tobytes())
lengths = lengths.tolist()
print(json.dumps({"seconds": time.monotonic() - start, "tokens": sum(lengths), "samples": len(lengths)}))
'''

ALL_STEPS = ["clean.english=true", "clean.near_duplicates=true", "clean.html=true", "clean.entities=true",
             "clean.copy_code=true", "clean.end_markers=true", "clean.error_messages=true"]


def shuffled_copies(source, megabytes, out):
    opener = gzip.open if source.endswith(".gz") else open
    with opener(source, "rt") as lines:
        transcripts = [re.split(r"(\n\n(?:Human|Assistant):)", json.loads(line)["chosen"]) for line in lines]
    draw, size = random.Random(1), 0
    with open(out, "w") as file:
        while size < megabytes * 1_000_000:
            for parts in transcripts:
                pieces = []
                for part in parts[1:]:
                    if part.startswith("\n\n"):
                        pieces.append(part)
                        continue
                    words = part.split()
                    draw.shuffle(words)
                    pieces.append(" " + " ".join(words))
                text = "".join(pieces)
                size += len(text.encode())
                file.write(json.dumps({"chosen": text}) + "\n")
    return size / 1e6


def stablelm_seconds(program, recipe, folder, threads, sets=()):
    out = pathlib.Path(folder) / "out"
    subprocess.run(["rm", "-rf", out], check=True)
    command = [program, "prepare", recipe, "-o", out, "--threads", str(threads), "--quiet", "--json"]
    for one in sets:
        command += ["--set", one]
    start = time.monotonic()
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.monotonic() - start, json.loads(result.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stablelm", default="build/release/stablelm")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--python", default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        python = peer_python(arguments, PACKAGES)
        megabytes = shuffled_copies(arguments.data, arguments.megabytes, folder / "data.jsonl")
        with open(folder / "data.jsonl") as lines:
            (folder / "one.jsonl").write_text(lines.readline())
        (folder / "peer.py").write_text(PEER)

        def recipe(name):
            path = folder / f"{name}.yaml"
            path.write_text(f"tokenizer: {pathlib.Path(arguments.tokenizer).resolve()}\ntemplate: stablelm-tuned\n"
                            f"validation: 0\nsources: [{{path: {name}.jsonl, kind: hh}}]\n")
            return path

        whole, one = recipe("data"), recipe("one")
        plain = ["clean.exact_duplicates=false"]
        start_up = min(stablelm_seconds(arguments.stablelm, one, folder, arguments.threads, plain)[0] for _ in range(3))
        table = {"stablelm": [], "stablelm, all cleaning": [], "datasets + tokenizers": []}
        for turn in range(arguments.rounds):
            for name, sets in (("stablelm", plain), ("stablelm, all cleaning", ALL_STEPS)):
                seconds, account = stablelm_seconds(arguments.stablelm, whole, folder, arguments.threads, sets)
                table[name].append(megabytes / (seconds - start_up))
                tokens = account["splits"]["train"]["tokens"]
                steps = account["step_seconds"]
                shares = ", ".join(f"{step} {took / sum(steps.values()):.0%}" for step, took in steps.items())
                print(f"{turn} {name}: {seconds - start_up:.2f} s, {tokens} tokens; {shares}", file=sys.stderr)
            result = subprocess.run([python, folder / "peer.py", folder / "data.jsonl", arguments.tokenizer,
                                     folder / "peer.ids", str(arguments.threads), folder / f"cache{turn}", SYSTEM],
                                    check=True, capture_output=True, text=True)
            peer = json.loads(result.stdout.splitlines()[-1])
            table["datasets + tokenizers"].append(megabytes / peer["seconds"])
            print(f"{turn} datasets + tokenizers: {peer['seconds']:.2f} s, {peer['tokens']} tokens", file=sys.stderr)
        peers = table["datasets + tokenizers"]
        for name, rates in table.items():
            ratio = statistics.median(rate / other for rate, other in zip(rates, peers))
            print(f"{name:24} {statistics.median(rates):7.2f} MB/s  {ratio:5.2f}x")


if __name__ == "__main__":
    main()
