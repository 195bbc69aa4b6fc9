#!/usr/bin/env python3
"""Records what a stablelm program computes, bit for bit, as a list of SHA-256: proof that a change moved nothing.

Needs Python alone. Usage: record_bits.py --program PROGRAM --data tests/data --out NEW [--compare OLD] [--quick]
Run it with the program before the change, then with the one after it and --compare: every difference is printed, and the
exit code is 1 when there is one. Lists can be compared when they come from one kind of processor.

Each line of the list is NAME and SHA-256 of one result:
  score     logits, hidden states and log-probabilities of every golden model, on every SIMD target of this machine; with
            all types of keys and values, exact and fast, other weight types, quantized while loading; in several chunks
  engine    many prompts at once, with every kind of sampler; other batches, a small cache, several samples
  generate  one prompt: greedy, drawn, several samples, beams, a context that is shifted
  chat      a conversation through a pipe, whose cache is kept and cut
  files     the bytes of init, convert (there and back), quantize and imatrix, and the numbers of the quality gate
  gguf      score and engine with those files
  texts     tokens of a text, and replies of a model with a tokenizer
  refusals  the texts of errors; warnings of all the others are results too (.../warnings)
Times, memory and paths are no results. The number of threads differs from run to run, since no result depends on it.
--quick takes one golden model, two targets and fewer types. Exit code 2: a run of the program failed.
"""
import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Keys of JSON whose values differ from run to run, or from build to build.
NO_RESULTS = frozenset(["seconds", "load_s", "peak_bytes", "path", "output", "version", "commit", "compiler", "build_type"])
LONG = 1024  # context that short models get: prompts are computed in chunks of 256
THREADS = "1111223"  # one of them for each run, by its name: most runs are too small for more
LENGTHS = [1, 2, 3, 5, 8, 11, 17, 33, 64, 300, 513]  # of scored sequences
SLOW = ["sse4", "scalar"]  # SIMD targets that get less to do
# The golden models with all settings; the others differ in their files or their activation.
MAIN = ["parallel", "sequential", "head128_fp16", "bf16_newconfig", "odd_width", "long_context"]
# Options, as options_of reads them: for all models, for the main ones, and for those that are wide enough for K types.
FEW = ["exact", "fast", "kv=q8", "quantize=Q8_0"]
ORDINARY = ["exact", "fast", "kv=fp16", "kv=q8", "fast,kv=q8", "dtype=fp16", "dtype=bf16", "activation=gelu_tanh"]
QUANTIZED = ["quantize=Q8_0", "quantize=Q4_K_M", "quantize=Q4_K_M,kv=q8", "quantize=Q4_0,kv=fp16"]
WIDE = ["dtype=fp32", "dtype=fp32,fast", "quantize=Q6_K", "quantize=Q5_K_M", "quantize=Q5_K", "quantize=Q4_K,fast"]
TYPES = ["Q8_0", "Q6_K", "Q5_K_M", "Q5_K", "Q4_K_M", "Q4_K", "Q4_0"]
SAMPLERS = [  # each for a prompt of the engine
    {"temperature": 0},
    {"temperature": 1},
    {"temperature": 0.8, "top_k": 40},
    {"temperature": 0.9, "top_p": 0.9},
    {"temperature": 1.2, "min_p": 0.05},
    {"temperature": 1, "typical_p": 0.8},
    {"temperature": 1, "epsilon_cutoff": 0.001, "eta_cutoff": 0.002},
    {"temperature": 1, "top_n_sigma": 1.5},
    {"temperature": 1, "xtc_probability": 0.5, "xtc_threshold": 0.01},
    {"temperature": 1, "dynatemp_range": 0.5, "dynatemp_exponent": 1.5},
    {"temperature": 1, "mirostat": 2, "mirostat_tau": 4, "mirostat_eta": 0.2},
    {"temperature": 0, "repetition_penalty": 1.3, "presence_penalty": 0.5, "frequency_penalty": 0.2},
    {"temperature": 0, "dry_multiplier": 0.8, "dry_allowed_length": 1},
    {"temperature": 0, "no_repeat_ngram_size": 2, "min_new_tokens": 8},
    {"temperature": 0.7, "logit_bias": {"5": 3, "7": "-inf"}, "suppress_tokens": [8, 9], "bad_words_ids": [[10, 11], [12]]},
    {"temperature": 0.7, "top_k": 20, "top_p": 0.8, "sampler_order": "llama"},
    {"temperature": 0, "length_decay_start": 2, "length_decay_factor": 1.2},
    {"temperature": 0.7, "seed": 12, "stop_id": [5, 6, 7], "max_new_tokens": 40},
]


class Failure(Exception):
    """What ends the script with a message."""


def numbers(seed: int, count: int, below: int) -> list[int]:
    """Pseudo-random numbers from 1 to below - 1, the same in every version of Python."""
    found, state = [], seed
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        found.append(1 + (state >> 33) % (below - 1))
    return found


def words(seed: int, count: int) -> str:
    """A text of made-up words."""
    letters = numbers(seed, 6 * count, 27)
    lengths = numbers(seed + 1, count, 7)
    picks = [letters[6 * i:6 * i + n] for i, n in enumerate(lengths)]
    return " ".join("".join(chr(96 + letter) for letter in pick) for pick in picks)


def without_facts(value: object) -> object:
    """A JSON value without what differs from run to run."""
    if isinstance(value, dict):
        return {key: without_facts(inner) for key, inner in value.items() if key not in NO_RESULTS}
    return [without_facts(inner) for inner in value] if isinstance(value, list) else value


def results_of(lines: bytes) -> bytes:
    """Lines of JSON, as their results alone."""
    found = [json.dumps(without_facts(json.loads(line)), sort_keys=True) for line in lines.splitlines()]
    if not found:
        raise Failure("no line of JSON where results were expected")
    return "\n".join(found).encode()


@dataclass(frozen=True)
class Plan:
    """What is left out of a quick run."""

    targets: list[str]  # of SIMD
    types: list[str]  # of files of quantize


class Recorder:
    """Runs the program in a folder of its own, with relative paths, and keeps the hashes of its results."""

    def __init__(self, program: Path, folder: Path):
        self.program, self.folder = program.resolve(), folder
        self.hashes: dict[str, str] = {}

    def add(self, name: str, data: bytes) -> None:
        if name in self.hashes or " " in name:
            raise Failure(f"{name}: recorded twice, or not a name")
        self.hashes[name] = hashlib.sha256(data).hexdigest()

    def add_file(self, name: str, path: str) -> None:
        """Of a file that is not needed afterwards."""
        file = self.folder / path
        self.add(name, file.read_bytes())
        file.unlink()

    def start(self, name: str, arguments: list[str], target: str, text: str) -> subprocess.CompletedProcess[bytes]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("STABLELM_")}
        environment |= {"STABLELM_SIMD": target} if target else {}
        if arguments[0] not in ("--version", "tokenize"):
            arguments = [*arguments, "--threads", THREADS[zlib.crc32(name.encode()) % len(THREADS)]]
        return subprocess.run([str(self.program), *arguments], cwd=self.folder, env=environment, input=text.encode(),
                              capture_output=True, timeout=900, check=False)

    def run(self, name: str, *arguments: str, target: str = "", text: str = "") -> bytes:
        """Standard output of a run that has to succeed."""
        done = self.start(name, list(arguments), target, text)
        if done.returncode != 0:
            raise Failure(f"{name}: {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr.decode()}")
        if done.stderr:
            self.add(f"{name}/warnings", done.stderr)
        return done.stdout

    def refuse(self, name: str, *arguments: str) -> None:
        """A run that has to be refused; its message is the result."""
        done = self.start(name, list(arguments), "", "")
        if done.returncode not in (1, 2) or not done.stderr:
            raise Failure(f"{name}: {' '.join(arguments)}: exit code {done.returncode}, expected a refusal")
        self.add(name, b"%d\n" % done.returncode + done.stderr)


def lengths_of(target: str) -> list[int]:
    return [n for n in LENGTHS if n <= 300] if target in SLOW else LENGTHS


def options_of(setting: str) -> list[str]:
    """The options of a setting such as "fast,kv=q8"."""
    options = []
    for word in setting.split(","):
        name, _, value = word.partition("=")
        options += [f"--{name}", value] if value else ["--compute", name]
    return options


class Models:
    """The golden models in the working folder: as they are (golden/), and with a longer context (long/)."""

    def __init__(self, data: Path, folder: Path, quick: bool):
        self.folder = folder
        self.names: list[str] = []
        golden = data / "golden"
        for config in sorted(golden.rglob("config.json")):
            weights = [file for file in config.parent.iterdir() if file.name.startswith(("model", "pytorch_model"))]
            name = "_".join(config.parent.relative_to(golden).parts)
            if not weights or (quick and name != "head128_fp16"):
                continue
            for place in ("golden", "long"):
                (folder / place / name).mkdir(parents=True)
                for file in [config, *weights]:
                    shutil.copy(file, folder / place / name)
            self.lengthen(f"long/{name}")
            self.names.append(name)
        if not self.names:
            raise Failure(f"{golden}: no model folder")
        shutil.copy(data / "tokenizer/tokenizer.json", folder)
        shutil.copytree(folder / "long/head128_fp16", folder / "speaking")
        shutil.copy(folder / "tokenizer.json", folder / "speaking")

    def config(self, model: str) -> dict:
        return json.loads((self.folder / model / "config.json").read_text())

    def context(self, model: str) -> int:
        return self.config(model)["max_position_embeddings"]

    def settings(self, name: str) -> list[str]:
        """Of score."""
        if name not in MAIN:
            return FEW
        return ORDINARY + QUANTIZED + (WIDE if self.config(f"long/{name}")["hidden_size"] % 256 == 0 else [])

    def lengthen(self, model: str) -> None:
        """No weight depends on the context."""
        longer = {"max_position_embeddings": max(LONG, self.context(model))}
        (self.folder / model / "config.json").write_text(json.dumps(self.config(model) | longer))

    def ids_file(self, model: str, lengths: list[int]) -> str:
        """A file for score, of sequences that fit the model's context."""
        fit = [n for n in lengths if n <= self.context(model)]
        path = f"{model.replace('/', '_')}_{max(fit)}.json"
        lists = [numbers(n, n, self.config(model)["vocab_size"]) for n in fit]
        (self.folder / path).write_text(json.dumps(lists))
        return path

    def prompts_file(self, model: str, drawn: bool = False) -> str:
        """A file for generate: a prompt for each sampler, some with a common beginning; or only for those that draw."""
        config = self.config(model)
        lengths = [1, 2, 3, 7, 16, 31, 33, 64, 65, 100, 127, 200, 255, 256, 257, 300, 400, 520]
        shared = numbers(99, 150, config["vocab_size"])
        lines = []
        for i, (length, sampler) in enumerate(zip(lengths, SAMPLERS, strict=True)):
            if drawn and sampler["temperature"] == 0:
                continue
            ids = numbers(i, length, config["vocab_size"])
            if length > len(shared) and i % 3 != 0:
                ids[:len(shared)] = shared
            lines.append({"ids": ids, "max_new_tokens": 12} | sampler)
        if config["max_position_embeddings"] > 2 * LONG and not drawn:
            lines.append({"ids": numbers(98, 2 * LONG, config["vocab_size"]), "max_new_tokens": 12, "temperature": 0})
        path = f"{model.replace('/', '_')}{'_drawn' if drawn else ''}.jsonl"
        (self.folder / path).write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path


def score(rec: Recorder, name: str, model: str, ids: str, target: str, *options: str) -> None:
    """Log-probabilities, logits and hidden states."""
    out = rec.run(name, "score", "-m", model, "--ids-file", ids, "--json", "--quiet", "--save-logits", "logits.tmp",
                  "--save-hidden", "hidden.tmp", *options, target=target)
    rec.add(f"{name}/logprobs", results_of(out))
    rec.add_file(f"{name}/logits", "logits.tmp")
    rec.add_file(f"{name}/hidden", "hidden.tmp")


def score_plain(rec: Recorder, name: str, model: str, ids: str, target: str, *options: str) -> None:
    """Log-probabilities alone, whose way through the program is another one."""
    out = rec.run(name, "score", "-m", model, "--ids-file", ids, "--json", "--quiet", *options, target=target)
    rec.add(f"{name}/logprobs", results_of(out))


def engine(rec: Recorder, name: str, model: str, prompts: str, target: str, *options: str) -> None:
    """Ids, log-probabilities and ends of the replies to a file of prompts."""
    rec.run(name, "generate", "-m", model, "--input", prompts, "--output", "out.tmp", "--seed", "5", "--logprobs",
            "--quiet", *options, target=target)
    output = rec.folder / "out.tmp"
    rec.add(f"{name}/replies", results_of(output.read_bytes()))
    output.unlink()
    (rec.folder / "out.tmp.run.json").unlink()


def generate(rec: Recorder, name: str, model: str, ids: list[int], target: str, *options: str) -> None:
    """The same of one prompt."""
    out = rec.run(name, "generate", "-m", model, "--ids", " ".join(map(str, ids)), "--seed", "7", "--json", "--quiet",
                  *options, target=target)
    rec.add(f"{name}/reply", results_of(out))


def record_scores(rec: Recorder, models: Models, plan: Plan, target: str) -> None:
    for name in models.names:
        model, head = f"long/{name}", f"score/{target}/{name}"
        ids = models.ids_file(model, lengths_of(target))
        for setting in models.settings(name):
            score(rec, f"{head}/{setting}", model, ids, target, *options_of(setting))
        short = models.ids_file(f"golden/{name}", lengths_of(target))
        score_plain(rec, f"{head}/as_it_is", f"golden/{name}", short, target)
        if models.context(model) > LONG:
            ids = models.ids_file(model, [4000 if target not in SLOW else 1500, 257])
            for setting in ["kv=fp32", "kv=fp16", "kv=q8", "fast,quantize=Q8_0"]:
                score(rec, f"{head}/far,{setting}", model, ids, target, *options_of(setting))


def record_engine(rec: Recorder, models: Models, plan: Plan, target: str) -> None:
    """The ways to share the work are the same on all targets: the first one is enough for them."""
    for name in models.names:
        model, head = f"long/{name}", f"engine/{target}/{name}"
        prompts = models.prompts_file(model)
        more = ["kv=fp16", "fast", "quantize=Q4_K_M,kv=q8"] if name in MAIN and target not in SLOW else []
        for setting in ["exact", "kv=q8", *more]:
            engine(rec, f"{head}/{setting}", model, prompts, target, *options_of(setting))
        if target != plan.targets[0] or name not in MAIN:
            continue
        context = str(models.context(model))
        engine(rec, f"{head}/one_by_one", model, prompts, target, "--parallel", "1")
        engine(rec, f"{head}/small_cache", model, prompts, target, "--parallel", "5", "--cache-tokens", context)
        engine(rec, f"{head}/details", model, prompts, target, "--prompt-logprobs", "--top-logprobs", "3")
        engine(rec, f"{head}/samples", model, models.prompts_file(model, drawn=True), target, "--n", "2")


def record_generate(rec: Recorder, models: Models, plan: Plan, target: str) -> None:
    for name in models.names:
        if target == plan.targets[0] or name in MAIN:
            record_single_prompts(rec, models, name, target)


def record_single_prompts(rec: Recorder, models: Models, name: str, target: str) -> None:
    model, head = f"long/{name}", f"generate/{target}/{name}"
    ids = numbers(4, 300, models.config(model)["vocab_size"])
    draw = ["--temperature", "0.9", "--top-p", "0.95", "--ignore-eos"]
    for setting in ["kv=fp32", "kv=fp16", "kv=q8", "fast", "quantize=Q8_0"]:
        options = [*options_of(setting), "--max-new-tokens", "20"]
        generate(rec, f"{head}/{setting},greedy", model, ids, target, *options, "--greedy", "--ignore-eos")
        generate(rec, f"{head}/{setting},drawn", model, ids[:20], target, *options, *draw, "--top-logprobs", "3")
    for kv in ["fp32", "q8"]:
        options = ["--kv", kv, "--max-new-tokens", "20"]
        generate(rec, f"{head}/kv={kv},beams", model, ids, target, *options, "--beams", "4", "--num-return", "4")
        generate(rec, f"{head}/kv={kv},samples", model, ids, target, *options, *draw, "--n", "3", "--prompt-logprobs")
    ends = ["--beams", "3", "--max-new-tokens", "20", "--stop-id", " ".join(map(str, range(1, 80)))]
    ends += ["--length-penalty", "0.5", "--early-stopping", "never"]
    generate(rec, f"{head}/beams,ends", model, ids[:9], target, *ends)
    context = models.context(f"golden/{name}")
    if context <= 256:
        shift = ["--context-policy", "shift", "--max-new-tokens", str(context), "--greedy", "--ignore-eos"]
        for kv in ["fp32", "fp16", "q8"]:
            generate(rec, f"{head}/shift,kv={kv}", f"golden/{name}", ids[:context - 9], target, *shift, "--kv", kv)


def record_chat(rec: Recorder, models: Models, plan: Plan, target: str) -> None:
    """The replies are letters by chance; the context is soon full."""
    lines = f"{words(1, 20)}\n{words(2, 4)}\n/regen\n/undo\n{words(3, 30)}\n{words(4, 9)}\n"
    for policy, kv, most in [("drop-oldest-turns", "fp32", 70), ("shift", "fp32", 200), ("shift", "q8", 200)]:
        name = f"chat/{target}/{policy},kv={kv}"
        out = rec.run(name, "chat", "-m", "speaking", "--template", "stablelm-tuned", "--no-system", "--seed", "3",
                      "--context", "256", "--reserve", "64", "--max-new-tokens", str(most), "--temperature", "0.8",
                      "--ignore-eos", "--context-policy", policy, "--kv", kv, "--json", "--quiet", target=target, text=lines)
        rec.add(f"{name}/replies", results_of(out))


def record_gguf(rec: Recorder, models: Models, plan: Plan, target: str) -> None:
    ids, prompts = models.ids_file("drawn_fp16", lengths_of(target)), models.prompts_file("drawn_fp16")
    for kind in plan.types:
        for setting in ["exact", "kv=q8"]:
            score(rec, f"gguf/{target}/{kind}/{setting}", f"{kind}.gguf", ids, target, *options_of(setting))
        score_plain(rec, f"gguf/{target}/{kind}/dtype=fp16", f"{kind}.gguf", ids, target, "--dtype", "fp16")
        if target not in SLOW or kind == "Q4_K_M":
            engine(rec, f"gguf/{target}/{kind}/engine", f"{kind}.gguf", prompts, target)
    for name in models.names:
        ids = models.ids_file(f"long/{name}", lengths_of(target))
        for setting in ["exact"] + (["fast,kv=q8", "quantize=Q4_K_M"] if name in MAIN else []):
            score(rec, f"gguf/{target}/{name}/{setting}", f"{name}.gguf", ids, target, *options_of(setting))


def record_drawn(rec: Recorder, models: Models, plan: Plan, target: str) -> None:
    """Wider models than the golden ones."""
    drawn = {"drawn_fp32": ["exact", "fast", "quantize=Q5_K_M"],
             "drawn_bf16": ["exact", "fast", "quantize=Q5_K_M"],
             "tied_fp16": ["exact", "fast", "quantize=Q4_K_M"],
             "large_fp16": ["exact", "fast,kv=q8", "quantize=Q4_K_M", "quantize=Q8_0,kv=fp16"]}
    for name, settings in drawn.items():
        if name == "large_fp16" and target in SLOW:
            continue
        ids, prompts = models.ids_file(name, lengths_of(target)), models.prompts_file(name)
        for setting in settings:
            score(rec, f"score/{target}/{name}/{setting}", name, ids, target, *options_of(setting))
        if target not in SLOW:
            for setting in settings[::2]:
                engine(rec, f"engine/{target}/{name}/{setting}", name, prompts, target, *options_of(setting))


def make_drawn_models(rec: Recorder, models: Models) -> None:
    """Models of init: wide enough for K types, with a tokenizer, of every weight type."""
    shape = models.config("long/head128_fp16")
    large = {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 4, "use_parallel_residual": False}
    for name, config in [("wide", shape), ("large", shape | large), ("tied", shape | {"tie_word_embeddings": True})]:
        (rec.folder / f"{name}.json").write_text(json.dumps(config))
    for name, of, dtype in [("drawn_fp16", "wide", "fp16"), ("drawn_fp32", "wide", "fp32"), ("drawn_bf16", "wide", "bf16"),
                            ("tied_fp16", "tied", "fp16"), ("large_fp16", "large", "fp16")]:
        rec.run(f"files/init/{name}", "init", "--shape", f"{of}.json", "--dtype", dtype, "--seed", "11",
                "--tokenizer", "tokenizer.json", name, "--quiet")
        rec.add(f"files/init/{name}/weights", (rec.folder / name / "model.safetensors").read_bytes())


def convert_to_folder(rec: Recorder, name: str, file: str, target: str, *options: str) -> None:
    """Every file of a folder that is made of a GGUF file."""
    rec.run(name, "convert", file, "back", "--quiet", *options, target=target)
    for made in sorted((rec.folder / "back").iterdir()):
        rec.add(f"{name}/{made.name}", made.read_bytes())
    shutil.rmtree(rec.folder / "back")


def record_conversions(rec: Recorder, models: Models, plan: Plan) -> None:
    """The GGUF files stay."""
    for name in models.names:
        head, file = f"files/convert/{name}", f"{name}.gguf"
        rec.run(head, "convert", f"long/{name}", file, "--quiet")
        rec.add(f"{head}/gguf", (rec.folder / file).read_bytes())
        convert_to_folder(rec, f"{head}/back", file, "")
        for target in plan.targets if name in MAIN else []:
            for dtype in ["fp32", "fp16", "bf16"]:
                convert_to_folder(rec, f"{head}/{dtype}/{target}", file, target, "--dtype", dtype)
        for kind in plan.types:  # what does not fit becomes another type, with a warning
            head = f"files/quantize/{name}/{kind}"
            rec.run(head, "quantize", "-m", f"long/{name}", "--type", kind, "small.gguf", "--quiet")
            rec.add_file(f"{head}/gguf", "small.gguf")


def record_quantized_files(rec: Recorder, models: Models, plan: Plan) -> None:
    """The last target's files stay."""
    (rec.folder / "text.txt").write_text(words(7, 500))
    for target in plan.targets:
        for of in ["drawn_fp16", "large_fp16"][:1 if target in SLOW else 2]:
            head = f"files/imatrix/{target}/{of}"
            rec.run(head, "imatrix", "-m", of, "--file", "text.txt", "-o", "im.gguf", "--quiet", target=target)
            rec.run(f"{head}/use", "quantize", "-m", of, "--type", "Q4_K", "--imatrix", "im.gguf", "small.gguf",
                    "--check", "text.txt", "--check-tokens", "600", "--quiet", target=target)
            rec.add_file(f"{head}/gguf", "im.gguf")
            rec.add_file(f"{head}/checked", "small.gguf")
        for kind in plan.types:
            head = f"files/quantize/drawn_fp16/{kind}/{target}"
            (rec.folder / f"{kind}.gguf").unlink(missing_ok=True)
            rec.run(head, "quantize", "-m", "drawn_fp16", "--type", kind, f"{kind}.gguf", "--quiet", target=target)
            rec.add(f"{head}/gguf", (rec.folder / f"{kind}.gguf").read_bytes())
            convert_to_folder(rec, f"{head}/decoded", f"{kind}.gguf", target)


def record_texts(rec: Recorder) -> None:
    text = words(8, 300) + "  caf\u00e9 na\u00efve 12345 \U0001F600\n\n\tdon't  <|USER|> x"
    rec.add("texts/tokenize", rec.run("texts", "tokenize", "--tokenizer", "tokenizer.json", "--json", text=text))
    lines = [{"prompt": text[-60:], "temperature": 0}, {"prompt": "Once upon", "stop": ["e", "an"]},
             {"messages": [{"role": "user", "content": "What is next?"}]}, {"prompt": "x", "temprature": 1}]
    good, bad = "".join(json.dumps(line) + "\n" for line in lines[:3]), json.dumps(lines[3]) + "\n"
    (rec.folder / "texts.jsonl").write_text(good)
    (rec.folder / "bad.jsonl").write_text(bad)
    engine(rec, "texts/generate", "speaking", "texts.jsonl", "", "--max-new-tokens", "40", "--echo")


def record_refusals(rec: Recorder, models: Models) -> None:
    ids, name = models.ids_file("drawn_fp16", LENGTHS), models.names[0]
    score_it = ["score", "--ids-file", ids, "-m"]
    rec.refuse("refusals/quantized_already", *score_it, "Q8_0.gguf", "--quantize", "Q4_K_M")
    rec.refuse("refusals/quantize_and_dtype", *score_it, "drawn_fp16", "--quantize", "Q4_K_M", "--dtype", "fp16")
    rec.refuse("refusals/quantize_to_floats", *score_it, "drawn_fp16", "--quantize", "F16")
    rec.refuse("refusals/too_long", *score_it, f"golden/{name}")
    rec.refuse("refusals/no_tokenizer", "score", "-m", f"golden/{name}", "--file", "text.txt")
    rec.refuse("refusals/bad_line", "generate", "-m", "drawn_fp16", "--input", "bad.jsonl", "--output", "bad.out")
    rec.add_file("refusals/bad_line/out", "bad.out")
    rec.refuse("refusals/bad_id", "generate", "-m", "drawn_fp16", "--ids", "1 99999")
    rec.refuse("refusals/small_cache", "generate", "-m", "drawn_fp16", "--ids", "1", "--n", "2", "--cache-tokens", "8")
    for narrow in models.names:
        if models.config(f"golden/{narrow}")["hidden_size"] % 256 != 0:
            rec.refuse(f"refusals/strict/{narrow}", "quantize", "-m", f"golden/{narrow}", "--type", "Q4_K", "--strict",
                       "strict.gguf")


def plan_of(rec: Recorder, quick: bool) -> Plan:
    """The SIMD targets are those that this machine can run, best first."""
    targets = json.loads(rec.run("version", "--version", "--json"))["simd"]["usable"]
    if not targets:
        raise Failure("the program names no SIMD target")
    if quick:
        return Plan(targets=list(dict.fromkeys([targets[0], targets[len(targets) // 2]])), types=["Q8_0", "Q4_K_M"])
    return Plan(targets=targets, types=TYPES)


def groups(rec: Recorder, models: Models, plan: Plan, quick: bool) -> Iterator[str]:
    """Does all the work; gives the name of what was done, to be shown."""
    make_drawn_models(rec, models)
    yield "init"
    record_conversions(rec, models, plan)
    yield "convert"
    record_quantized_files(rec, models, plan)
    yield "quantize, imatrix"
    of_targets = [record_scores, record_engine, record_generate, record_chat, record_gguf, record_drawn]
    for target in plan.targets:
        for group in of_targets[:-1] if quick else of_targets:
            group(rec, models, plan, target)
            yield f"{group.__name__.removeprefix('record_')}, {target}"
    record_texts(rec)
    record_refusals(rec, models)
    yield "texts, refusals"


def record(program: Path, data: Path, quick: bool) -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="record_bits.") as temp:
        rec = Recorder(program, Path(temp))
        models = Models(data, rec.folder, quick)
        begun = time.monotonic()
        for done in groups(rec, models, plan_of(rec, quick), quick):
            print(f"{time.monotonic() - begun:6.1f} s  {len(rec.hashes):5} results  {done}", file=sys.stderr, flush=True)
        return rec.hashes


def read_list(path: Path) -> dict[str, str]:
    lines = [line.split() for line in path.read_text().splitlines()]
    if not lines or any(len(line) != 2 for line in lines):
        raise Failure(f"{path}: not a list of names and SHA-256")
    return {name: value for name, value in lines}


def differences(old: dict[str, str], new: dict[str, str]) -> list[str]:
    found = []
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            found.append(f"missing  {name}")
        elif name not in old:
            found.append(f"added    {name}")
        elif old[name] != new[name]:
            found.append(f"differs  {name}  {old[name]} -> {new[name]}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True, help="the stablelm program")
    parser.add_argument("--data", type=Path, required=True, help="tests/data of the repository")
    parser.add_argument("--out", type=Path, required=True, help="the list to write")
    parser.add_argument("--compare", type=Path, help="a list to compare with")
    parser.add_argument("--quick", action="store_true", help="one golden model and two SIMD targets")
    args = parser.parse_args()
    try:
        old = read_list(args.compare) if args.compare else None  # before the long work
        new = record(args.program, args.data, args.quick)
        if not new:
            raise Failure("nothing was recorded")
    except (Failure, OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
        print(f"error: {error!r}" if isinstance(error, KeyError) else f"error: {error}", file=sys.stderr)
        return 2
    args.out.write_text("".join(f"{name} {value}\n" for name, value in sorted(new.items())))
    print(f"{args.out}: {len(new)} results")
    if old is None:
        return 0
    found = differences(old, new)
    print("\n".join(found + [f"{len(found)} of {len(old.keys() | new.keys())} results differ"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
