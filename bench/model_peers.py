"""What the scripts that time a model beside a peer share: options, cases, `stablelm bench model`, a Python with the peer.

A script runs itself once more, with --peer, in a Python that has the peer's packages; both sides print one object with
the tokens/s of each case.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

DEPTH, STEPS = 128, 16  # context tokens before decoding, and timed steps


def numbers(text):
    return [int(part) for part in text.split(",") if part]


def options(description, packages):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--prompts", default="128,512")
    parser.add_argument("--batches", default="1,16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--stablelm", default="build/release/stablelm")
    parser.add_argument("--python", help="a Python that has " + ", ".join(packages))
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    return parser


def cases(args):
    return [("prompt", n) for n in numbers(args.prompts)] + [("decode", n) for n in numbers(args.batches)]


def case_options(args):
    return ["--prompts", args.prompts, "--batches", args.batches, "--threads", str(args.threads)]


def peer_python(args, packages):
    """--python, or a temporary environment with the packages."""
    if args.python:
        return args.python
    environment = tempfile.mkdtemp(prefix="stablelm-peer-")
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment + "/bin/python"
    print(f"installing {packages[0]}, some minutes ...", file=sys.stderr)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def last_json(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def bench_model(args, model, *more):
    """What `stablelm bench model` says, its results by case."""
    said = last_json([args.stablelm, "bench", "model", "-m", str(model), "-p", args.prompts, "-b", args.batches, "-n",
                      str(STEPS), "--depth", str(DEPTH), "--threads", str(args.threads), "--json", "--quiet", *more])
    said["results"] = {f"{r['test']} {r['tokens'] if r['test'] == 'prompt' else r['sequences']}": r
                       for r in said["results"]}
    return said
