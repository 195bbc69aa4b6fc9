#!/usr/bin/env python3
"""stablelm beside Hugging Face transformers (PyTorch) on one model folder, on the CPU, in turns within one run.

    cmake --preset release && cmake --build --preset release --target stablelm
    build/release/stablelm init --shape 3b --dtype bf16 --seed 1 MODEL
    bench/compare_transformers.py MODEL [--dtype bf16|fp32] [--prompts 128,512] [--batches 1,16] [--rounds 3] [--python ENV]

Each round runs `stablelm bench model` with --compute exact and with --compute fast, and the same cases through
GPTNeoXForCausalLM in `--dtype`: prompts with the logits of their last row, and sequences that decode together behind 128
positions. Random ids, no tokenizer. Speeds in tokens/s are medians of the rounds, ratios the medians of the rounds'
ratios. The peer is torch and transformers from PyPI, installed into a temporary environment; a Python that has them
already is used instead (--python).
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

PACKAGES = ["torch", "transformers"]
DEPTH, STEPS = 128, 16


def numbers(text):
    return [int(part) for part in text.split(",") if part]


def run_peer(folder, dtype, cases, threads):
    import torch
    import transformers
    torch.set_num_threads(threads)
    kind = {"bf16": torch.bfloat16, "fp32": torch.float32}[dtype]
    model = transformers.GPTNeoXForCausalLM.from_pretrained(folder, dtype=kind).eval()
    ids = torch.randint(1, model.config.vocab_size, (1, 4096), generator=torch.Generator().manual_seed(1))

    def tokens_per_second(test, n):
        with torch.inference_mode():
            if test == "prompt":
                start = time.perf_counter()
                model(ids[:, :n], use_cache=True, logits_to_keep=1)
                return n / (time.perf_counter() - start)
            past = model(ids[:, :DEPTH].expand(n, -1), use_cache=True, logits_to_keep=1).past_key_values
            start = time.perf_counter()
            for step in range(STEPS):
                past = model(ids[:, step:step + 1].expand(n, -1), past_key_values=past, use_cache=True).past_key_values
            return n * STEPS / (time.perf_counter() - start)

    speeds = {}
    for test, n in cases:
        tokens_per_second(test, n)
        speeds[f"{test} {n}"] = max(tokens_per_second(test, n) for _ in range(2))
    print(json.dumps(speeds))


def last_json(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--dtype", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--prompts", default="128,512")
    parser.add_argument("--batches", default="1,16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--stablelm", default="build/release/stablelm")
    parser.add_argument("--python", help="a Python that has " + ", ".join(PACKAGES))
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    cases = [("prompt", n) for n in numbers(args.prompts)] + [("decode", n) for n in numbers(args.batches)]
    if args.peer:
        return run_peer(args.model, args.dtype, cases, args.threads)

    python = args.python
    if not python:
        environment = tempfile.mkdtemp(prefix="stablelm-peer-")
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        python = environment + "/bin/python"
        print("installing PyTorch, some minutes ...", file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    same = ["--prompts", args.prompts, "--batches", args.batches, "--threads", str(args.threads)]
    rounds = []
    for _ in range(args.rounds):
        row = {"transformers": last_json([python, __file__, str(args.model), "--peer", "--dtype", args.dtype, *same])}
        for mode in ("exact", "fast"):
            ours = last_json([args.stablelm, "bench", "model", "-m", str(args.model), "--dtype", args.dtype, "--compute", mode,
                              "-p", args.prompts, "-b", args.batches, "-n", str(STEPS), "--depth", str(DEPTH), "--threads",
                              str(args.threads), "--json", "--quiet"])
            row[mode] = {f"{r['test']} {r['tokens'] if r['test'] == 'prompt' else r['sequences']}": r["tokens_per_s"]
                         for r in ours["results"]}
        rounds.append(row)
    print(f"| {args.dtype} | exact tokens/s | fast tokens/s | transformers tokens/s | exact ratio | fast ratio |")
    print("|---|---|---|---|---|---|")
    for test in (f"{kind} {n}" for kind, n in cases):
        speed = {name: statistics.median(row[name][test] for row in rounds) for name in rounds[0]}
        ratio = {name: statistics.median(row[name][test] / row["transformers"][test] for row in rounds)
                 for name in ("exact", "fast")}
        print(f"| {test} | {speed['exact']:.2f} | {speed['fast']:.2f} | {speed['transformers']:.2f} | {ratio['exact']:.2f} | "
              f"{ratio['fast']:.2f} |")


if __name__ == "__main__":
    main()
