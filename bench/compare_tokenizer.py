#!/usr/bin/env python3
"""Our tokenizer beside huggingface/tokenizers: one thread, same texts, same run.

    cmake --preset release && cmake --build build/release --target stablelm
    STABLELM_SHARED=FOLDER bench/compare_tokenizer.py [--program build/release/stablelm]

FOLDER holds tokenizer/tokenizer.json and data/ (hh_harmless_test.jsonl.gz, lambada_test.jsonl, gpteacher_codegen.json).
The peer is installed from PyPI into a temporary environment. It is timed by its fastest call for a list of texts on one
thread (encode_batch_fast, which leaves the offsets out), and by one call per text; the ids of both sides are compared.
Work of one thread is timed by the processor time of the process on both sides, batches over threads by the clock on
the wall. Prints medians and the ratio, then what `stablelm bench tokenizer` says of loading, threads and hard texts.
"""
import argparse
import gzip
import hashlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

PEER = "tokenizers==0.23.3"
RUNS = 5


def make_texts(data, folder):
    hh = []
    with gzip.open(data / "hh_harmless_test.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            hh += [row["chosen"], row["rejected"]]
    lambada = [json.loads(line)["text"] for line in (data / "lambada_test.jsonl").open(encoding="utf-8")]
    code = [(data / "gpteacher_codegen.json").read_text(encoding="utf-8")]
    paths = []
    for name, texts in {"hh": hh, "lambada": lambada, "code": code}.items():
        path = folder / name
        path.write_text(json.dumps(texts), encoding="utf-8")
        paths.append(path)
    return paths


def run_peer(tokenizer_path, text_paths):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(tokenizer_path)
    tokenizer.encode_special_tokens = True
    for path in text_paths:
        texts = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        size = sum(len(t.encode()) for t in texts)

        def median(work):
            work()
            seconds = []
            for _ in range(RUNS):
                start = time.process_time()
                work()
                seconds.append(time.process_time() - start)
            return statistics.median(seconds)

        batch = median(lambda: tokenizer.encode_batch_fast(texts))
        single = median(lambda: [tokenizer.encode(t) for t in texts])
        ids = [e.ids for e in tokenizer.encode_batch_fast(texts)]
        text = "".join("".join(f"{i} " for i in one) + "\n" for one in ids)
        decode = median(lambda: [tokenizer.decode(i, skip_special_tokens=False) for i in ids])
        print(json.dumps({"texts": pathlib.Path(path).name, "batch_mb_per_s": size / batch / 1e6,
                          "single_mb_per_s": size / single / 1e6, "decode_mb_per_s": size / decode / 1e6,
                          "sha256": hashlib.sha256(text.encode()).hexdigest()}), flush=True)


def json_lines(command, **more):
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **more).stdout
    return [json.loads(line) for line in output.splitlines()]


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path, default=root / "build" / "release" / "stablelm")
    parser.add_argument("--peer", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        return run_peer(options.peer[0], options.peer[1:])
    if "STABLELM_SHARED" not in os.environ:
        sys.exit("STABLELM_SHARED is not set: it names the folder that has tokenizer/ and data/")
    if not options.program.exists():
        sys.exit(f"{options.program} is not there: cmake --preset release, then build the target stablelm")
    shared = pathlib.Path(os.environ["STABLELM_SHARED"])
    tokenizer = str(shared / "tokenizer" / "tokenizer.json")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        texts = [str(p) for p in make_texts(shared / "data", folder)]
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
        python = str(folder / "venv" / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PEER], check=True)
        one_thread = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}
        peer = {r["texts"]: r for r in json_lines([python, __file__, "--peer", tokenizer, *texts], env=one_thread)}
        lists = [word for path in texts for word in ("--texts", path)]
        ours = json_lines([str(options.program), "bench", "tokenizer", "--tokenizer", tokenizer, *lists, "--hard",
                           "--json", "--quiet"])[0]
    print(f"{ours['cpu']}; one thread; {PEER}; medians of {RUNS} and {ours['samples']} runs\n")
    print("| texts | MB | HF encode_batch_fast MB/s | HF encode MB/s | ours MB/s | ratio to the faster | HF decode | ours |")
    print("|---|---|---|---|---|---|---|---|")
    failed = False
    for line in ours["results"]:
        if line["hard"]:
            continue
        name = pathlib.Path(line["text"]).name
        other = peer[name]
        failed |= other["sha256"] != line["sha256"]
        best = max(other["batch_mb_per_s"], other["single_mb_per_s"])
        encode = line["encode_mb_per_s"]["median"]
        print(f"| {name} | {line['bytes'] / 1e6:.2f} | {other['batch_mb_per_s']:.2f} | "
              f"{other['single_mb_per_s']:.2f} | {encode:.1f} | {encode / best:.1f} | "
              f"{other['decode_mb_per_s']:.1f} | {line['decode_mb_per_s']['median']:.0f} |")
    print(f"\nload {ours['load_ms']['median']:.1f} ms")
    for line in ours["results"]:
        if line["hard"]:
            print(f"{line['text']}: {line['encode_mb_per_s']['median']:.1f} MB/s")
        for batch in line.get("batches", []):
            print(f"{pathlib.Path(line['text']).name}, {batch['threads']} threads: "
                  f"{batch['mb_per_s']['median']:.1f} MB/s")
    if failed:
        sys.exit("the ids differ")
    print("\nids: the same on both sides")


if __name__ == "__main__":
    main()
