#!/usr/bin/env python3
"""Reads the event files of a training run with TensorBoard's own reader and compares them with log.jsonl.

    pip install tensorboard
    scripts/check_tensorboard.py RUN

Fails when a scalar of a step is missing, there twice, or not the value of the log rounded to fp32.
"""
import json
import math
import struct
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

STEP_TAGS = {
    "train/loss": "loss",
    "train/smoothed_loss": "smoothed_loss",
    "train/gradient_norm": "gradient_norm",
    "train/rate": "rate",
    "train/loss_scale": "loss_scale",
    "train/epoch": "epoch",
    "speed/tokens_per_s": "tokens_per_s",
}


def rounded(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def wanted_scalars(log):
    """{tag: {step: value}} of the lines of the log."""
    wanted = {}

    def add(tag, step, value):
        wanted.setdefault(tag, {})[step] = rounded(value)

    for line in log:
        step = line["step"]
        if line["event"] == "step":
            for tag, key in STEP_TAGS.items():
                if line[key] is not None and not ("overflow" in line and key in ("loss", "smoothed_loss", "gradient_norm")):
                    add(tag, step, line[key])
        elif line["event"] == "validation":
            add("validation/loss", step, line["loss"])
            for source, one in line["sources"].items():
                if len(line["sources"]) > 1:
                    add("validation/loss of " + source, step, one["loss"])
        elif line["event"] == "samples":
            add("samples/stop_rate", step, line["stop_rate"])
            add("samples/self_dialogue_rate", step, line["self_dialogue_rate"])
    return wanted


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    run = Path(sys.argv[1])
    lines = (run / "log.jsonl").read_text().splitlines(keepends=True)
    wanted = wanted_scalars([json.loads(line) for line in lines if line.endswith("\n")])
    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    found = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
    bad = 0
    for tag in sorted(wanted.keys() | found.keys()):
        steps = [event.step for event in found.get(tag, [])]
        values = {event.step: event.value for event in found.get(tag, [])}
        if len(steps) != len(values):
            bad += 1
            print(f"{tag}: a step is there twice")
        if values != wanted.get(tag, {}):
            bad += 1
            differing = sorted(set(values.items()) ^ set(wanted.get(tag, {}).items()))
            print(f"{tag}: {len(differing)} differ, the first: {differing[0]}")
        elif not all(math.isfinite(value) for value in values.values()):
            bad += 1
            print(f"{tag}: a value is not finite")
    if bad or not found:
        sys.exit(f"{run}: {bad} faults, {len(found)} scalars found")
    print(f"{run}: {len(found)} scalars, {sum(map(len, found.values()))} values, those of the log")


if __name__ == "__main__":
    main()
