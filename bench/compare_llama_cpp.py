#!/usr/bin/env python3
"""stablelm beside llama.cpp on one model folder: same weights, threads and lengths, in turns within one run.

    cmake --preset release && cmake --build --preset release --target stablelm
    build/release/stablelm init --shape 3b --dtype fp16 --seed 1 MODEL
    bench/compare_llama_cpp.py MODEL [--threads 2] [--prompt 128] [--generate 16] [--runs 5]

MODEL is an fp16 folder. It is written once as a GGUF file beside it (MODEL.gguf, by `stablelm convert`; delete it
afterwards). The peer is llama-cpp-python from PyPI, built here into a temporary environment; a Python that has it
already is used instead (--python). Both compute the logits of the prompt's last row and then one token at a time,
greedily, with the GELU by tanh that llama.cpp has; ids are random, no tokenizer is needed. Each round asks `stablelm
bench memory` too: decoding is judged by the bytes that it must read.
"""
import argparse
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

PACKAGES = ["llama-cpp-python", "numpy"]


def run_peer(path, ids, generate, threads):
    import llama_cpp as lib
    import numpy as np

    quiet = lib.llama_log_callback(lambda level, text, data: None)
    lib.llama_log_set(quiet, None)
    lib.llama_backend_init()
    start = time.perf_counter()
    model = lib.llama_model_load_from_file(str(path).encode(), lib.llama_model_default_params())
    params = lib.llama_context_default_params()
    params.n_ctx = len(ids) + generate + 8
    params.n_batch = params.n_ubatch = max(512, len(ids))
    params.n_threads = params.n_threads_batch = threads
    context = lib.llama_init_from_model(model, params)
    load = time.perf_counter() - start
    vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))

    def forward(tokens):
        array = (lib.llama_token * len(tokens))(*tokens)
        if lib.llama_decode(context, lib.llama_batch_get_one(array, len(tokens))) != 0:
            sys.exit("llama_decode failed")
        return int(np.argmax(np.ctypeslib.as_array(lib.llama_get_logits_ith(context, -1), (vocab,))))

    start = time.perf_counter()
    out = [forward(ids)]
    prefill = time.perf_counter() - start
    start = time.perf_counter()
    while len(out) < generate:
        out.append(forward([out[-1]]))
    decode = time.perf_counter() - start
    print(json.dumps({"ids": out, "seconds": {"load": load, "prefill": prefill, "decode": decode}}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--stablelm", default="build/release/stablelm")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--generate", type=int, default=16)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--python", help="a Python that has " + ", ".join(PACKAGES))
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    args = parser.parse_args()
    config = json.loads((args.model / "config.json").read_text())
    picks = random.Random(1)
    ids = [picks.randrange(1, config["vocab_size"]) for _ in range(args.prompt)]
    file = args.model.with_name(args.model.name + ".gguf")
    if args.peer == "run":
        return run_peer(file, ids, args.generate, args.threads)

    python = args.python
    if not python:
        environment = tempfile.mkdtemp(prefix="stablelm-peer-")
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        python = environment + "/bin/python"
        print("building llama.cpp, some minutes ...", file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    peer = [python, __file__, str(args.model), "--prompt", str(args.prompt), "--generate", str(args.generate),
            "--threads", str(args.threads)]
    if not file.exists():
        subprocess.run([args.stablelm, "convert", str(args.model), str(file)], check=True)
    ours = [args.stablelm, "generate", "-m", str(args.model), "--ids", " ".join(map(str, ids)), "--max-new-tokens",
            str(args.generate), "--ignore-eos", "--allow-padding-ids", "--greedy", "--activation", "gelu_tanh",
            "--json", "--quiet", "--threads", str(args.threads)]
    probe = [args.stablelm, "bench", "memory", "--json", "--threads", str(args.threads)]

    def ask(command):
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])

    c, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    matrix_bytes = 2 * (layers * (4 * c * c + 2 * c * f) + c * config["vocab_size"])
    kv_bytes = 2 * layers * c * 4 * (args.prompt + args.generate / 2)
    rows = []
    for run in range(args.runs):
        memory, mine, theirs = ask(probe), ask(ours), ask([*peer, "--peer", "run"])
        row = {"memory_gbs": memory["best"]["gb_per_s"], "same_ids": mine["ids"] == theirs["ids"]}
        for name, result in (("stablelm", mine), ("llama.cpp", theirs)):
            step = result["seconds"]["decode"] / (args.generate - 1)
            row[name] = {"prefill_tps": args.prompt / result["seconds"]["prefill"], "decode_tps": 1 / step,
                         "decode_gbs": (matrix_bytes + kv_bytes) / step / 1e9}
        rows.append(row)
        print(json.dumps(row), flush=True)

    def median(*keys):
        def value(row):
            for key in keys:
                row = row[key]
            return row
        return statistics.median(value(row) for row in rows)

    memory = median("memory_gbs")
    print(f"memory {memory:.1f} GB/s; medians of {args.runs} rounds, {args.threads} threads, prompt {args.prompt}:")
    for name in ("stablelm", "llama.cpp"):
        decode = median(name, "decode_gbs")
        print(f"{name:10} prompt {median(name, 'prefill_tps'):7.2f} tokens/s   decode {median(name, 'decode_tps'):6.2f} "
              f"tokens/s = {decode:5.1f} GB/s = {100 * decode / memory:3.0f} % of memory")
    prefill = statistics.median(r["stablelm"]["prefill_tps"] / r["llama.cpp"]["prefill_tps"] for r in rows)
    decode = statistics.median(r["stablelm"]["decode_tps"] / r["llama.cpp"]["decode_tps"] for r in rows)
    print(f"ratio      prompt {prefill:7.2f}            decode {decode:6.2f}      (medians of the rounds' ratios)")


if __name__ == "__main__":
    main()
