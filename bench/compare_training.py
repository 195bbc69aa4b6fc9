#!/usr/bin/env python3
"""A training step of stablelm beside PyTorch's, on the CPU, in turns within one run.

    cmake --preset release && cmake --build --preset release --target stablelm
    bench/compare_training.py [--shapes 162m,27m] [--precisions fp32,bf16] [--lora 16] [--targets 0.4] [--rounds 3]
                              [--threads 2] [--python ENV] [--json]

Shapes: 162m is pythia-160m's (C 768, 12 layers, vocabulary 50304), one document of 512 tokens; 27m is C 512, 6 layers,
vocabulary 8192, 8 documents of 256 tokens. Random weights and tokens, every parameter trained. Each round runs `stablelm
bench train` and the same step in PyTorch: GPTNeoXForCausalLM of transformers with its fastest attention (sdpa), AdamW
fused, gradients clipped to norm 1; bf16 is autocast over fp32 weights. With --lora R both train adapters of rank R on the
four matrices of every layer over a frozen base: the peer is PEFT, and in bf16 the base of both is bf16. --targets is the
share of the tokens that bear loss. Speeds in tokens/s are medians of the rounds,
ratios the medians of the rounds' ratios, memory the peak of the process
(PyTorch's includes its libraries, some 0.4 GB). The peer is torch, transformers and peft from PyPI,
installed into a temporary environment; a Python that has them already is used instead (--python).
"""
import argparse
import json
import pathlib
import resource
import statistics
import tempfile
import time

from model_peers import last_json, peer_python

PACKAGES = ["torch", "transformers", "peft"]
TARGETS = ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]
SHAPES = {
    "162m": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, vocab_size=50304,
                 batch=1, context=512),
    "27m": dict(hidden_size=512, num_hidden_layers=6, num_attention_heads=8, intermediate_size=2048, vocab_size=8192,
                batch=8, context=256),
}


def config_of(shape):
    sizes = {key: value for key, value in SHAPES[shape].items() if key not in ("batch", "context")}
    return dict(architectures=["GPTNeoXForCausalLM"], model_type="gpt_neox", max_position_embeddings=2048, rotary_pct=0.25,
                rotary_emb_base=10000, layer_norm_eps=1e-5, hidden_act="gelu", use_parallel_residual=True,
                tie_word_embeddings=False, bos_token_id=0, eos_token_id=0, torch_dtype="float32", **sizes)


def run_peer(args):
    import torch
    import transformers
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    shape = SHAPES[args.shapes]
    config = transformers.GPTNeoXConfig(**{k: v for k, v in config_of(args.shapes).items() if k != "architectures"})
    low = args.lora and args.precisions == "bf16"
    model = transformers.GPTNeoXForCausalLM._from_config(config, attn_implementation="sdpa",
                                                         dtype=torch.bfloat16 if low else torch.float32).train()
    if args.lora:
        import peft
        model = peft.get_peft_model(model, peft.LoraConfig(r=args.lora, lora_alpha=2 * args.lora, lora_dropout=0.0,
                                                           target_modules=TARGETS, task_type="CAUSAL_LM"))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    ids = torch.randint(0, config.vocab_size, (shape["batch"], shape["context"]))
    labels = torch.where(torch.rand(ids.shape) < args.targets, ids, -100)

    def step():
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.precisions == "bf16"):
            loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        return time.perf_counter() - start

    step()
    seconds = statistics.median(step() for _ in range(3))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"tokens_per_s": ids.numel() / seconds, "peak_bytes": peak}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default="162m,27m")
    parser.add_argument("--precisions", default="fp32,bf16")
    parser.add_argument("--lora", type=int, default=0, metavar="R", help="adapters of rank R beside a frozen base")
    parser.add_argument("--targets", type=float, default=1.0, help="share of the tokens that bear loss")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--stablelm", default="build/release/stablelm")
    parser.add_argument("--python", help="a Python that has " + ", ".join(PACKAGES))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return run_peer(args)

    python = peer_python(args, PACKAGES)
    if not args.json:
        print("| shape | precision | tokens/s | PyTorch | ratio | memory | PyTorch |\n|---|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name in args.shapes.split(","):
            file = pathlib.Path(folder) / f"{name}.json"
            file.write_text(json.dumps(config_of(name)))
            for precision in args.precisions.split(","):
                rounds = []
                for turn in range(args.rounds):
                    ours_command = [args.stablelm, "bench", "train", "--shape", str(file), "--precision", precision,
                                    "--batch", str(SHAPES[name]["batch"]), "--context", str(SHAPES[name]["context"]),
                                    "--threads", str(args.threads), "--targets", str(args.targets), "--no-machine",
                                    "--json", "--quiet"]
                    theirs_command = [python, __file__, "--peer", "--shapes", name, "--precisions", precision,
                                      "--threads", str(args.threads), "--targets", str(args.targets)]
                    if args.lora:
                        ours_command += ["--lora", str(args.lora)]
                        theirs_command += ["--lora", str(args.lora)]
                    if turn % 2 == 0:
                        ours = last_json(ours_command)
                    theirs = last_json(theirs_command)
                    if turn % 2 == 1:
                        ours = last_json(ours_command)
                    rounds.append((ours, theirs))
                median = {key: [statistics.median(r[side][key] for r in rounds) for side in (0, 1)]
                          for key in ("tokens_per_s", "peak_bytes")}
                ratio = statistics.median(a["tokens_per_s"] / b["tokens_per_s"] for a, b in rounds)
                if args.json:
                    print(json.dumps({"shape": name, "precision": precision, "lora": args.lora, "targets": args.targets,
                                      "ratio": ratio,
                                      "tokens_per_s": median["tokens_per_s"], "peak_bytes": median["peak_bytes"],
                                      "simd": rounds[0][0]["simd"], "cpu": rounds[0][0]["cpu"]}), flush=True)
                    continue
                speed, memory = median["tokens_per_s"], [f"{b / 1e9:.2f} GB" for b in median["peak_bytes"]]
                print(f"| {name} | {precision} | {speed[0]:.0f} | {speed[1]:.0f} | {ratio:.2f} | {memory[0]} | {memory[1]} |",
                      flush=True)


if __name__ == "__main__":
    main()
