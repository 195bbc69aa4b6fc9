#!/usr/bin/env python3
"""Writes tests/data/quant/decode_only_vectors.json: blocks of the quantized types that this program only decodes, and
the values that the Python package `gguf` of ggml's authors decodes them to.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install gguf==0.19.0
    /tmp/venv/bin/python scripts/make_decode_only_vectors.py

Three blocks of each type: random bytes with ordinary scales, all bits set, and negative or tiny scales. The values do
not depend on the machine: every product is exact in fp32, and at most one sum rounds.
"""
import json
import pathlib

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

# Where a block has its fp16 scales.
SCALES = {"Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), "Q2_K": (80, 82), "Q3_K": (108,), "IQ4_NL": (0,), "IQ4_XS": (0,)}


def blocks_of(size, places, rng):
    """One block a row."""
    blocks = np.stack([rng.integers(0, 256, size, dtype=np.uint8), np.full(size, 255, np.uint8),
                       rng.integers(0, 256, size, dtype=np.uint8)])
    scales = [(0.0213, 0.171), (0.5, 1.25), (-1.3e-6, -0.09)]
    for block, values in zip(blocks, scales):
        for place, value in zip(places, values):
            block[place:place + 2] = np.frombuffer(np.float16(value).tobytes(), np.uint8)
    return blocks


def main():
    rng = np.random.default_rng(5)
    vectors = []
    for name, places in SCALES.items():
        kind = GGMLQuantizationType[name]
        values, size = GGML_QUANT_SIZES[kind]
        for block in blocks_of(size, places, rng):
            decoded = dequantize(block, kind).astype("<f4")
            assert decoded.size == values and np.isfinite(decoded).all()
            vectors.append({"type": name, "block_bytes": size, "block_values": values, "block_hex": block.tobytes().hex(),
                            "decoded_f32_hex": decoded.tobytes().hex(), "first4": [float(v) for v in decoded[:4]]})
    path = pathlib.Path(__file__).parent.parent / "tests/data/quant/decode_only_vectors.json"
    path.write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
