#!/usr/bin/env python3
"""Loads a model folder with Hugging Face transformers and checks it.

Needs torch and transformers (PyPI; versions 4 and 5 both). Usage: check_hf_load.py FOLDER [REFERENCE]
Prints the configuration as transformers reads it. Fails if a tensor is missing, surplus or not finite, or if the rotary
settings differ from config.json. REFERENCE is another folder of the same model: the logits of both on a fixed sequence
must be equal bit for bit.
"""
import json, sys
from pathlib import Path

import torch
import transformers
from transformers import GPTNeoXForCausalLM


def load(folder):
    model, info = GPTNeoXForCausalLM.from_pretrained(folder, output_loading_info=True, local_files_only=True,
                                                     attn_implementation="eager")
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not info[kind], f"{kind}: {info[kind]}"
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter).all(), f"{name} has values that are not finite"
    return model.float().eval()


def rotary(config):
    """Rotary share and base, by their names in transformers 5 or 4."""
    v5 = getattr(config, "rope_parameters", None)
    if int(transformers.__version__.split(".")[0]) >= 5:
        return v5["partial_rotary_factor"], v5["rope_theta"]
    return config.rotary_pct, config.rotary_emb_base


torch.manual_seed(0)
folder = Path(sys.argv[1])
model = load(folder)
written = json.loads((folder / "config.json").read_text())
share, base = rotary(model.config)
print("transformers", transformers.__version__, "parameters", sum(p.numel() for p in model.parameters()))
print("rotary", share, base, "parallel", model.config.use_parallel_residual, "act", model.config.hidden_act,
      "eps", model.config.layer_norm_eps, "eos", model.config.eos_token_id)
settings = written.get("rope_parameters") or {}
assert share == written.get("rotary_pct", settings.get("partial_rotary_factor")), "rotary share"
assert base == written.get("rotary_emb_base", settings.get("rope_theta")), "rotary base"
for key in ("use_parallel_residual", "hidden_act", "layer_norm_eps", "eos_token_id", "tie_word_embeddings"):
    assert getattr(model.config, key) == written[key], key
tokens = torch.arange(1, 33)[None] % model.config.vocab_size
with torch.no_grad():
    logits = model(tokens).logits
assert torch.isfinite(logits).all(), "logits that are not finite"
if len(sys.argv) > 2:
    with torch.no_grad():
        assert torch.equal(logits, load(Path(sys.argv[2]))(tokens).logits), "logits differ from the reference folder's"
    print("logits equal to", sys.argv[2])
print("ok")
