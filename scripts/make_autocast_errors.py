#!/usr/bin/env python3
"""Measures how far the gradients of PyTorch's bf16 autocast are from the exact ones, for train.half_precision_test.

Loads a folder of the layout of tests/data/golden/training (start/, batches.safetensors), rounds its weights to bf16, and
computes the gradients of the first batch in float64 and under autocast with bfloat16 on the CPU. Writes into OUT:
  gradients.safetensors  the float64 gradients, rounded to fp32
  errors.json            the relative L2 error of autocast's gradient of each tensor, and the versions used

Usage: make_autocast_errors.py FOLDER OUT      needs torch, transformers and safetensors from PyPI
"""
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file


def gradients(folder, batch, labels, dtype, autocast):
    model = transformers.GPTNeoXForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.bfloat16().float())
    model.to(dtype).train()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        model(batch, labels=labels, use_cache=False).loss.backward()
    return {name: parameter.grad.double() for name, parameter in model.named_parameters()}


def main():
    folder, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    batches = load_file(folder / "batches.safetensors")
    batch, labels = batches["tokens"][0].long(), batches["labels"][0].long()
    exact = gradients(folder / "start", batch, labels, torch.float64, False)
    autocast = gradients(folder / "start", batch, labels, torch.float32, True)
    errors = {}
    for name, gradient in exact.items():
        errors[name.replace("lm_head", "embed_out")] = (autocast[name] - gradient).norm().item() / gradient.norm().item()
    out.mkdir(parents=True, exist_ok=True)
    save_file({name.replace("lm_head", "embed_out"): g.float().contiguous() for name, g in exact.items()},
              out / "gradients.safetensors")
    versions = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    (out / "errors.json").write_text(json.dumps({"versions": versions, "errors": errors}, indent=1) + "\n")
    for name, error in errors.items():
        print(f"{error:.2e}  {name}")


if __name__ == "__main__":
    main()
