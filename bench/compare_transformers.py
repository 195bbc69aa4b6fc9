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
import json
import statistics
import time

from model_peers import DEPTH, STEPS, bench_model, case_options, cases, last_json, options, peer_python

PACKAGES = ["torch", "transformers"]


def run_peer(args):
    import torch
    import transformers
    torch.set_num_threads(args.threads)
    kind = {"bf16": torch.bfloat16, "fp32": torch.float32}[args.dtype]
    model = transformers.GPTNeoXForCausalLM.from_pretrained(args.peer, dtype=kind).eval()
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
    for test, n in cases(args):
        tokens_per_second(test, n)
        speeds[f"{test} {n}"] = max(tokens_per_second(test, n) for _ in range(2))
    print(json.dumps(speeds))


def main():
    parser = options(__doc__, PACKAGES)
    parser.add_argument("--dtype", choices=["bf16", "fp32"], default="bf16")
    args = parser.parse_args()
    if args.peer:
        return run_peer(args)

    python = peer_python(args, PACKAGES)
    rounds = []
    for _ in range(args.rounds):
        row = {"transformers": last_json([python, __file__, str(args.model), "--peer", str(args.model), "--dtype", args.dtype,
                                          *case_options(args)])}
        for mode in ("exact", "fast"):
            ours = bench_model(args, args.model, "--dtype", args.dtype, "--compute", mode)
            row[mode] = {test: result["tokens_per_s"] for test, result in ours["results"].items()}
        rounds.append(row)
    print(f"| {args.dtype} | exact tokens/s | fast tokens/s | transformers tokens/s | exact ratio | fast ratio |")
    print("|---|---|---|---|---|---|")
    for test in (f"{kind} {n}" for kind, n in cases(args)):
        speed = {name: statistics.median(row[name][test] for row in rounds) for name in rounds[0]}
        ratio = {name: statistics.median(row[name][test] / row["transformers"][test] for row in rounds)
                 for name in ("exact", "fast")}
        print(f"| {test} | {speed['exact']:.2f} | {speed['fast']:.2f} | {speed['transformers']:.2f} | {ratio['exact']:.2f} | "
              f"{ratio['fast']:.2f} |")


if __name__ == "__main__":
    main()
