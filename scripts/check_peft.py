#!/usr/bin/env python3
"""Compares a LoRA adapter in PEFT and here: the same logits beside its base and merged into it.

Needs torch, transformers and peft (PyPI). Usage: check_peft.py PROGRAM BASE ADAPTER
PROGRAM is the stablelm binary, BASE a model folder, ADAPTER the folder of an adapter of it, whoever wrote it. PEFT must
read the adapter without a missing or surplus tensor. Logits are compared in fp32: their largest difference must be below
3e-5 times the largest logit (at least 1). The merged folder must load in transformers, with PEFT's merged logits.
"""
import json, subprocess, sys, tempfile, warnings
from pathlib import Path

import peft
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import GPTNeoXForCausalLM

program, base, adapter = sys.argv[1:4]
warnings.filterwarnings("error", message=".*keys")  # PEFT warns of tensors that are missing or surplus


def load_base(folder):
    return GPTNeoXForCausalLM.from_pretrained(folder, local_files_only=True, attn_implementation="eager").float().eval()


def logits_here(work, model, more=()):
    (work / "ids.json").write_text(json.dumps([tokens[0].tolist()]))
    subprocess.run([program, "score", "-m", str(model), "--dtype", "fp32", "--ids-file", str(work / "ids.json"),
                    "--save-logits", str(work / "logits.safetensors"), "--quiet", *more], check=True,
                   stdout=subprocess.DEVNULL)
    return load_file(work / "logits.safetensors")["logits.0"]


def check(name, here, there):
    error, size = (here - there).abs().max().item(), max(1, there.abs().max().item())
    print(f"{name}: largest difference {error:.2e}, largest logit {size:.2f}")
    assert error <= 3e-5 * size, name


model = load_base(base)
tokens = (torch.arange(1, 49)[None] * 37) % model.config.vocab_size
with torch.no_grad():
    plain = model(tokens).logits[0]
    model = PeftModel.from_pretrained(model, adapter).float().eval()
    beside = model(tokens).logits[0]
    merged = model.merge_and_unload()(tokens).logits[0]
print("peft", peft.__version__, "rank", json.loads((Path(adapter) / "adapter_config.json").read_text())["r"])
assert not torch.equal(plain, beside), "the adapter changes nothing"
with tempfile.TemporaryDirectory() as folder:
    work = Path(folder)
    check("beside the base", logits_here(work, base, ["--lora", adapter]), beside)
    subprocess.run([program, "lora", "merge", "-m", base, "--lora", adapter, str(work / "merged"), "--dtype", "fp32",
                    "--quiet"], check=True, stdout=subprocess.DEVNULL)
    check("merged", logits_here(work, work / "merged"), merged)
    with torch.no_grad():
        check("merged, in transformers", load_base(work / "merged")(tokens).logits[0], merged)
print("ok")
