#!/usr/bin/env python3
"""Writes the small PyTorch files of tests/data/torch and their contents (expected.json).

Needs torch (PyPI). Usage: make_torch_fixtures.py OUT
Each file NAME.bin has a state dict; expected.json maps NAME to {tensor: {dtype, shape, values}}. Hostile files (hostile
names, compressed members, ...) are assembled byte by byte in the tests instead.
"""
import json, sys
from collections import OrderedDict
from pathlib import Path

import torch

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
expected = {}


def numbers(*shape, dtype=torch.float32):
    n = 1
    for s in shape:
        n *= s
    return ((torch.arange(n, dtype=torch.float32) - 3) / 4).reshape(shape).to(dtype)


def save(name, tensors, content=None, **options):
    torch.save(tensors if content is None else content, out / f"{name}.bin", **options)
    expected[name] = {k: {"dtype": str(t.dtype).removeprefix("torch."), "shape": list(t.shape),
                          "values": t.detach().flatten().tolist()} for k, t in tensors.items()}


def legacy(name, tensors):
    save(name, tensors, _use_new_zipfile_serialization=False)


save("fp32", {"a": numbers(3, 4)})
save("fp16", {"a": numbers(3, 4, dtype=torch.float16)})
save("types", {"bf16": numbers(5, dtype=torch.bfloat16), "fp64": numbers(2, 2, dtype=torch.float64),
               "int64": torch.tensor([1, -2, 3]), "uint8": torch.tensor([7, 255], dtype=torch.uint8),
               "bool": torch.tensor([[True, False]])})
save("transposed", {"a": numbers(3, 4).t()})
whole = numbers(6, 4)
save("shared", {"whole": whole, "rows": whole[2:4], "columns": whole[:, 1:3], "last": whole[5, 3]})
save("zero_size", {"a": torch.zeros(0, 5), "b": numbers(2)})
save("rank0", {"a": torch.tensor(-2.5)})
save("parameter", OrderedDict(a=torch.nn.Parameter(numbers(2, 3))))
module = torch.nn.Linear(2, 3)
with torch.no_grad():
    module.weight.copy_(numbers(3, 2))
    module.bias.copy_(numbers(3))
save("module", module.state_dict())  # an OrderedDict with _metadata
save("wrapped", {"a": numbers(2, 2)}, content={"step": 7, "state_dict": {"a": numbers(2, 2)}, "lr": 0.5})
legacy("legacy_fp32", {"a": numbers(3, 4)})
legacy("legacy_shared", {"whole": whole, "rows": whole[2:4], "transposed": whole.t()})
legacy("legacy_zero_size", {"a": torch.zeros(0, 5), "b": numbers(2, dtype=torch.float16), "c": torch.tensor(1.5)})
(out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
