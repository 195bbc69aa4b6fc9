#!/usr/bin/env python3
"""stablelm beside llama.cpp on one model: same files, threads and lengths, in turns within one run.

    cmake --preset release && cmake --build --preset release --target stablelm
    build/release/stablelm init --shape 3b --dtype fp16 --seed 1 MODEL
    bench/compare_llama_cpp.py MODEL [--types F16,Q8_0,Q4_K] [--prompts 128,512] [--batches 1,16] [--rounds 3] [--json]

MODEL is an fp16 folder; each type is written once as a GGUF file beside it (MODEL-TYPE.gguf, by `stablelm convert` or
`stablelm quantize`; delete them afterwards) and read by both. The peer is llama-cpp-python from PyPI, built here into a
temporary environment; a Python that has it already is used instead (--python). On a processor with AMX a native build by
g++ 12 dies with quantized models: build it with CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX512=ON -DGGML_AVX512_VNNI=ON".

Each round runs `stablelm bench model` and the same cases through llama.cpp: prompts with the logits of their last row,
and sequences that decode together behind 128 positions of their own (the better of the peer's two tries). Random ids, no
tokenizer. Speeds are medians of the rounds, ratios the medians of the rounds' ratios. Decoding of one sequence is judged
by the best of `stablelm bench memory` and the bytes that a step reads (matrices and cache).
"""
import json
import random
import statistics
import subprocess
import sys
import time

from model_peers import DEPTH, STEPS, bench_model, case_options, cases, last_json, options, peer_python

PACKAGES = ["llama-cpp-python", "numpy"]
DTYPES = {"F16": "fp16", "BF16": "bf16", "F32": "fp32"}


class Peer:
    def __init__(self, path, args):
        import llama_cpp as lib
        self.lib = lib
        self.quiet = lib.llama_log_callback(lambda level, text, data: None)
        lib.llama_log_set(self.quiet, None)
        lib.llama_backend_init()
        self.model = lib.llama_model_load_from_file(str(path).encode(), lib.llama_model_default_params())
        self.vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self.model))
        params = lib.llama_context_default_params()
        sequences = max([n for kind, n in cases(args) if kind == "decode"], default=1)
        longest = max([n for kind, n in cases(args) if kind == "prompt"], default=1)
        params.n_seq_max = sequences
        params.n_ctx = sequences * max(DEPTH + STEPS + 32, longest + 32)
        params.n_batch = params.n_ubatch = max(512, longest)
        params.n_threads = params.n_threads_batch = args.threads
        self.context = lib.llama_init_from_model(self.model, params)
        self.memory = lib.llama_get_memory(self.context)
        self.batch = lib.llama_batch_init(params.n_batch, 0, 1)
        picks = random.Random(1)
        self.ids = [picks.randrange(1, self.vocab) for _ in range(longest + DEPTH + STEPS)]

    def forward(self, rows):
        """rows: (id, position, sequence, wants logits)"""
        batch = self.batch
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, logits) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, position, 1
            batch.seq_id[i][0], batch.logits[i] = sequence, logits
        if self.lib.llama_decode(self.context, batch) != 0:
            sys.exit("llama_decode failed")
        self.lib.llama_synchronize(self.context)

    def prompt(self, n):
        self.forward([(self.ids[i], i, 0, i + 1 == n) for i in range(n)])

    def tokens_per_second(self, kind, n):
        self.lib.llama_memory_clear(self.memory, True)
        if kind == "prompt":
            start = time.perf_counter()
            self.prompt(n)
            return n / (time.perf_counter() - start)
        self.prompt(DEPTH)
        for sequence in range(1, n):
            self.lib.llama_memory_seq_cp(self.memory, 0, sequence, -1, -1)
        start = time.perf_counter()
        for step in range(STEPS):
            self.forward([(self.ids[step + s], DEPTH + step, s, True) for s in range(n)])
        return n * STEPS / (time.perf_counter() - start)


def run_peer(args):
    peer = Peer(args.peer, args)
    speeds = {}
    for kind, n in cases(args):
        if kind == "decode" or n <= 128:
            peer.tokens_per_second(kind, n)  # warms up
        speeds[f"{kind} {n}"] = max(peer.tokens_per_second(kind, n) for _ in range(2 if n <= 128 else 1))
    print(json.dumps(speeds))


def main():
    parser = options(__doc__, PACKAGES)
    parser.add_argument("--types", default="F16,Q8_0,Q6_K,Q5_K,Q4_K,Q4_0")
    parser.add_argument("--json", action="store_true", help="one object a type and case instead of a table")
    args = parser.parse_args()
    if args.peer:
        return run_peer(args)

    python = peer_python(args, PACKAGES)
    if not args.json:
        print("| type | test | stablelm tokens/s | llama.cpp tokens/s | ratio | stablelm GB/s | of memory |")
        print("|---|---|---|---|---|---|---|")
    for kind in args.types.split(","):
        file = args.model.with_name(f"{args.model.name}-{kind}.gguf")
        if not file.exists():
            how = ["convert", str(args.model), str(file), "--dtype", DTYPES[kind]] if kind in DTYPES else [
                "quantize", "-m", str(args.model), "--type", kind, str(file)]
            subprocess.run([args.stablelm, *how, "--quiet"], check=True)
        rounds = []
        for _ in range(args.rounds):
            mine = bench_model(args, file)
            theirs = last_json([python, __file__, str(args.model), "--peer", str(file), *case_options(args)])
            row = {"memory": mine["memory_gb_per_s"]}
            for test, result in mine["results"].items():
                row[test] = (result["tokens_per_s"], theirs[test], result["gb_per_s"])
            rounds.append(row)
        for test in (f"{case} {n}" for case, n in cases(args)):
            ours, peer, rate = (statistics.median(row[test][i] for row in rounds) for i in range(3))
            ratio = statistics.median(row[test][0] / row[test][1] for row in rounds)
            share = statistics.median(row[test][2] / row["memory"] for row in rounds)
            one = test == "decode 1"
            if args.json:
                print(json.dumps({"type": kind, "test": test, "stablelm": ours, "llama.cpp": peer, "ratio": ratio,
                                  "gb_per_s": rate if one else None, "of_memory": share if one else None}), flush=True)
            else:
                print(f"| {kind} | {test} | {ours:.2f} | {peer:.2f} | {ratio:.2f} | " +
                      (f"{rate:.1f} | {100 * share:.0f} % |" if one else " | |"), flush=True)


if __name__ == "__main__":
    main()
