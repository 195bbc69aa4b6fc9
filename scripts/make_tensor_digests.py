#!/usr/bin/env python3
"""Writes digests of the golden model folders' tensors as PyTorch and safetensors read them, for tests of our readers.

Needs torch and safetensors (PyPI). Usage: make_tensor_digests.py GOLDEN OUT.json
For every folder with weights and every tensor: type, shape, and the SHA-256 of its values as little-endian fp32 in C
order (fp16 and bf16 widen exactly).
"""
import hashlib, json, sys
from pathlib import Path

import torch
from safetensors.torch import load_file

golden, out = Path(sys.argv[1]), Path(sys.argv[2])
result = {}
for config in sorted(golden.rglob("config.json")):
    folder, tensors = config.parent, {}
    for path in sorted(folder.glob("*.safetensors")):
        if path.name != "expected.safetensors":
            tensors.update(load_file(path))
    for path in sorted(folder.glob("*.bin")):
        tensors.update(torch.load(path, weights_only=True))
    result[folder.relative_to(golden).as_posix()] = {
        name: {"dtype": str(t.dtype).removeprefix("torch."), "shape": list(t.shape),
               "sha256": hashlib.sha256(t.float().contiguous().numpy().tobytes()).hexdigest()}
        for name, t in sorted(tensors.items())}
out.write_text(json.dumps(result, indent=1) + "\n")
