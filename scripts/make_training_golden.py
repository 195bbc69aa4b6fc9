#!/usr/bin/env python3
"""Writes references of training with PyTorch for small models of several shapes, for train.golden_test.

Each folder of OUT has the layout of tests/data/golden/training: start/ (config.json, model.safetensors), batches.safetensors
(tokens, labels: the label of a position is the token there, or -100), grads_step0.safetensors (gradients of the first step
before clipping), after12.safetensors (weights after 12 steps of AdamW), and expected.json (options, and by step the rate,
the loss and the norm of the gradient). Everything is computed in float64, the loss too; transformers keeps the cosines and
sines of the rotary embedding in fp32.

Usage: make_training_golden.py OUT      needs torch, transformers and safetensors from PyPI
"""
import json
import math
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file

STEPS = 12
SHAPES = {
    # name: config, then [documents, tokens] of a batch, and options of the optimizer
    "sequential": (dict(vocab_size=67, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=56,
                        use_parallel_residual=False), 0.5, (3, 19), dict(weight_decay=0.1, betas=[0.9, 0.95], clip=1.0)),
    "tied_tanh": (dict(vocab_size=83, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
                       tie_word_embeddings=True, hidden_act="gelu_new"), 1.0, (2, 33),
                  dict(weight_decay=0.01, betas=[0.8, 0.99], clip=0.0)),
    "odd_sizes": (dict(vocab_size=35, hidden_size=20, num_hidden_layers=3, num_attention_heads=1, intermediate_size=50),
                  0.3, (5, 7), dict(weight_decay=0.01, betas=[0.9, 0.99], clip=0.5)),
}


def random_model(config, rotary, seed):
    """A model whose every parameter is random and matters: fp32 numbers in float64."""
    torch.manual_seed(seed)
    rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": rotary}
    model = transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(
        attention_dropout=0.0, hidden_dropout=0.0, layer_norm_eps=1e-5, max_position_embeddings=64, bos_token_id=0,
        eos_token_id=0, attn_implementation="eager", rope_parameters=rope, **{"tie_word_embeddings": False, **config}))
    model.double().train()
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn_like(p)
            if "norm" in name and name.endswith("weight"):
                noise = 1 + 0.3 * noise
            elif name.endswith("bias"):
                noise = 0.2 * noise
            else:
                noise = noise * (1.2 / math.sqrt(p.shape[1]))
            p.copy_(noise.float())
    return model


def classic_config(config, rotary):
    return {"architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "bos_token_id": 0, "eos_token_id": 0,
            "hidden_act": "gelu", "layer_norm_eps": 1e-5, "max_position_embeddings": 64, "rotary_emb_base": 10000,
            "rotary_pct": rotary, "tie_word_embeddings": False, "use_parallel_residual": True, "torch_dtype": "float32",
            **config}


def tensors(model, of):
    """By the names of files: the output matrix is embed_out there."""
    return {name.replace("lm_head.", "embed_out."): of(p).detach().float().clone()
            for name, p in model.named_parameters()}


def write(out, config, rotary, shape, options, seed):
    model = random_model(config, rotary, seed)
    (out / "start").mkdir(parents=True, exist_ok=True)
    (out / "start" / "config.json").write_text(json.dumps(classic_config(config, rotary), indent=1) + "\n")
    save_file(tensors(model, lambda p: p), out / "start" / "model.safetensors", metadata={"format": "pt"})
    tokens = torch.randint(0, config["vocab_size"], (STEPS, *shape))
    labels = torch.where(torch.rand(tokens.shape) < 0.3, -100, tokens)
    save_file({"tokens": tokens.int(), "labels": labels.int()}, out / "batches.safetensors")
    groups = [{"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": options["weight_decay"]},
              {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=options["betas"], eps=1e-8)
    rates, losses, norms = [], [], []
    for step in range(STEPS):
        rates.append(2e-3 * min((step + 1) / 4, 1.3 - 0.1 * step))
        for group in optimizer.param_groups:
            group["lr"] = rates[-1]
        optimizer.zero_grad()
        logits = model(tokens[step], use_cache=False).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[step][:, 1:].flatten(), ignore_index=-100)
        loss.backward()
        if step == 0:
            save_file(tensors(model, lambda p: p.grad), out / "grads_step0.safetensors")
        limit = options["clip"] if options["clip"] > 0 else math.inf
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), limit).item())
        optimizer.step()
        losses.append(loss.item())
    save_file(tensors(model, lambda p: p), out / "after12.safetensors")
    expected = {"versions": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__},
                "optimizer": "AdamW", "betas": options["betas"], "eps": 1e-8, "weight_decay": options["weight_decay"],
                "decayed": "parameters with 2 dimensions", "clip_grad_norm": options["clip"], "lr": rates,
                "loss": losses, "grad_norm_before_clip": norms}
    (out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def main():
    out = pathlib.Path(sys.argv[1])
    torch.set_num_threads(1)
    for i, (name, (config, rotary, shape, options)) in enumerate(SHAPES.items()):
        write(out / name, config, rotary, shape, options, 20230419 + i)


if __name__ == "__main__":
    main()
