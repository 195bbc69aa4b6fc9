#!/usr/bin/env python3
"""Compares how `stablelm` and Hugging Face transformers open model folders as users have them.

Needs torch, transformers and safetensors (PyPI). Usage: check_folders.py STABLELM [--keep FOLDER] [--only TEXT]
Writes one small seeded GPT-NeoX model in some hundred variants: every key of config.json missing, null or with other
values, every layout of weight files and indices, other names, prefixes, buffers and types, damaged files beside the
weights. For each it compares the log-probabilities of a fixed sequence, and lets `stablelm generate` produce a token. What must not happen: transformers loads a folder whole and `stablelm` refuses it or
gives other numbers, unless the variant's name is in REFUSED, where docs/models.md says why. Exits with 1 if it does.
Folders that transformers refuses, or fills with random numbers, may load or not: those are listed, not judged.
"""
import argparse, copy, json, os, shutil, subprocess, sys, tempfile, warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPTNeoXConfig, GPTNeoXForCausalLM

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)
IDS = [[3, 60, 7, 7, 21, 0, 63, 14, 33, 5, 48, 2]]
CONTEXT = 16

# Variants that transformers loads and `stablelm` refuses on purpose; docs/models.md gives the reasons.
OTHER_ARITHMETIC = ["config: hidden_act \"" + name + "\"" for name in ("quick_gelu", "relu", "silu", "gelu_10", "tanh")] + [
    "config: rotary_pct 0.0", "config: rotary_pct 0.01", "config: attention_bias false", "config: head_dim 8",
    *("config: rope_scaling " + json.dumps(value) for value in (
        {"type": "linear", "factor": 2.0}, {"rope_type": "linear", "factor": 2.0}, {"rope_type": "dynamic", "factor": 2.0})),
    *("config: rope_parameters " + json.dumps(value) for value in (
        {"rope_type": "linear", "factor": 2.0}, {"rope_type": "yarn", "factor": 2.0}))]
# Versions of transformers, or its formats' readers, give different numbers for the same folder.
AMBIGUOUS = ["config: rotary_pct 0.99", "config: rotary_pct 0.2", "config: rotary_emb_base 0.0001", "config: a key twice, the same value", "config: a key twice, another value",
             'config: rope_parameters {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5}',
             'config: rope_parameters {"rope_theta": 500.0}', "config: tie_word_embeddings true",
             "names: tied, with another output matrix", "index: a tensor in two shards, other values",
             "names: another lm_head.weight beside embed_out.weight"]
# Not text that every reader takes, numbers whose scales lie elsewhere, files outside the folder, a flag as a number, no
# number.
UNSAFE = ["config: lone surrogate escape", "weights: float8", "weights: shards beside the folder",
          "weights: shards by an absolute path", "config: rotary_pct true", "config: rotary_emb_base true", "config: layer_norm_eps NaN"]
REFUSED = {*UNSAFE, *OTHER_ARITHMETIC, *AMBIGUOUS}


def base_model(**changes):
    torch.manual_seed(5)
    settings = dict(vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
                    max_position_embeddings=CONTEXT, bos_token_id=0, eos_token_id=0, hidden_act="gelu",
                    rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25})
    settings.update(changes)
    model = GPTNeoXForCausalLM(GPTNeoXConfig(**settings)).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name and name.endswith("weight"):
                p.copy_(1 + 0.3 * torch.randn_like(p))
            elif name.endswith("bias"):
                p.copy_(0.3 * torch.randn_like(p))
            else:
                p.copy_(torch.randn_like(p) * (1.5 / p.shape[-1] ** 0.5))
    return model


CONFIG = {"architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "vocab_size": 64, "hidden_size": 32,
          "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "max_position_embeddings": CONTEXT,
          "bos_token_id": 0, "eos_token_id": 0, "hidden_act": "gelu", "initializer_range": 0.02, "layer_norm_eps": 1e-05,
          "rotary_pct": 0.25, "rotary_emb_base": 10000, "tie_word_embeddings": False, "torch_dtype": "float32",
          "use_cache": True, "use_parallel_residual": True, "transformers_version": "4.28.1"}


class Variant:
    """A folder that is being written: config.json from self.config, files by the methods."""

    def __init__(self, folder, state):
        self.folder, self.config, self.state = folder, copy.deepcopy(CONFIG), dict(state)
        self.files = None  # called to write the weights; default: one safetensors file
        self.text = None   # of config.json, instead of the dictionary

    def safetensors(self, tensors=None, name="model.safetensors", metadata={"format": "pt"}):
        tensors = self.state if tensors is None else tensors
        save_file({k: v.clone().contiguous() for k, v in tensors.items()}, self.folder / name, metadata=metadata)

    def bin(self, tensors=None, name="pytorch_model.bin", **options):
        torch.save(self.state if tensors is None else tensors, self.folder / name, **options)

    def halves(self, tensors=None):
        items = sorted((tensors or self.state).items())
        return dict(items[: len(items) // 2]), dict(items[len(items) // 2:])

    def index(self, name, parts, more=None, drop=(), metadata={"total_size": 1}):
        weight_map = {t: file for file, part in parts.items() for t in part if t not in drop}
        weight_map.update(more or {})
        (self.folder / name).write_text(json.dumps({"metadata": metadata, "weight_map": weight_map}))

    def shards(self, kind="safetensors", write_index=True, **index):
        a, b = self.halves()
        if kind == "safetensors":
            names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
            self.safetensors(a, names[0]), self.safetensors(b, names[1])
            index_name = "model.safetensors.index.json"
        else:
            names = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
            self.bin(a, names[0]), self.bin(b, names[1])
            index_name = "pytorch_model.bin.index.json"
        if write_index:
            self.index(index_name, {names[0]: a, names[1]: b}, **index)
        return names

    def write(self):
        (self.folder / "config.json").write_text(self.text if self.text is not None else json.dumps(self.config, indent=2))
        (self.files or self.safetensors)()


VARIANTS = {}


def variant(name):
    def add(function):
        assert name not in VARIANTS, name
        VARIANTS[name] = function
        return function
    return add


def config_variant(name, changes=None, drop=()):
    def change(v):
        for key in drop:
            v.config.pop(key, None)
        v.config.update(changes or {})
    variant(name)(change)


def other(state, scale=0.5):
    return {name: tensor * scale + 0.1 for name, tensor in state.items()}


# ---- config.json ----
config_variant("as it is")
for key in CONFIG:
    config_variant(f"config: no {key}", drop=[key])
    config_variant(f"config: {key} null", {key: None})
for key, values in {
    "hidden_act": ["gelu_new", "gelu_fast", "gelu_pytorch_tanh", "quick_gelu", "relu", "silu", "gelu_10", "gelu_python",
                   "gelu_accurate", "tanh", "nonsense"],
    "layer_norm_eps": [1e-12, 1e-3, 0.5, 0, 1, 1000.5, 1e30, float("nan"), "1e-5"],
    "rotary_pct": [1.0, 0.5, 1, 0.3, 0.0, 2.0, 0.99, 0.2, 0.01],
    "rotary_emb_base": [500, 1e6, 1, 10000.5, 0.5, 0.001, 0.0001, 1e14, 1e30],
    "partial_rotary_factor": [0.5, 0.25], "rope_theta": [500, 10000.0],
    "use_parallel_residual": [False, 0, 1], "tie_word_embeddings": [True],
    "attention_bias": [True, False], "attention_dropout": [0.1, 0.9], "hidden_dropout": [0.5],
    "classifier_dropout": [0.3], "initializer_range": [1.0, 0, -1.0, float("nan"), float("inf"), float("-inf"), 1000.5], "use_cache": [False],
    "max_position_embeddings": [12, 1024, 1000000], "num_hidden_layers": [1, 3], "num_attention_heads": [4, 1],
    "vocab_size": [32, 70], "hidden_size": [16], "intermediate_size": [32],
    "bos_token_id": [5, 64, 100, -1, [1, 2]], "eos_token_id": [5, 64, 100, -1, [0, 5], [], [0, 0, 5, 100], 2**31],
    "pad_token_id": [None, 1, -1, 100], "sep_token_id": [3], "cls_token_id": [3], "unk_token_id": [3],
    "dtype": ["float32", "bfloat16", "float16", "auto", "torch.float32"],
    "torch_dtype": ["float16", "bfloat16", "float64", "float8_e4m3fn", "torch.float16", None],
    "architectures": [[], ["GPTNeoXModel"], ["GPTNeoXForSequenceClassification"], ["GPTNeoXForCausalLM", "Other"],
                      ["MyGPTNeoX"], "GPTNeoXForCausalLM"],
    "model_type": ["gpt-neox", "gpt_neox_japanese", "gptj"],
    "transformers_version": ["9.9.9", None, ""], "_name_or_path": ["/nowhere"], "name_or_path": ["x"],
    "is_decoder": [True, False], "is_encoder_decoder": [False, True], "add_cross_attention": [True],
    "output_attentions": [True], "output_hidden_states": [True], "return_dict": [False], "torchscript": [True],
    "use_bfloat16": [True], "pruned_heads": [{}, {"0": [1]}], "chunk_size_feed_forward": [0, 4],
    "problem_type": ["regression"], "id2label": [{"0": "A"}], "label2id": [{"A": 0}], "num_labels": [3],
    "quantization_config": [{"quant_method": "gptq", "bits": 4}, None],
    "auto_map": [{"AutoConfig": "configuration_x.XConfig"}], "custom_key": [1], "some_list": [[1, 2]],
    "task_specific_params": [{"text-generation": {"max_length": 5}}], "prefix": ["a"], "temperature": [0.5],
    "gradient_checkpointing": [True], "attn_implementation": ["eager"], "_attn_implementation": ["eager"],
    "rope_scaling": [None, {"type": "linear", "factor": 2.0}, {"rope_type": "linear", "factor": 2.0},
                     {"rope_type": "dynamic", "factor": 2.0}, {"rope_type": "default"}, {"type": "default"},
                     {"rope_type": "linear", "factor": 1.0}, {}],
    "rope_parameters": [None, {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25},
                        {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5},
                        {"rope_type": "default"}, {"rope_theta": 500.0}, {"rope_type": "linear", "factor": 2.0}, {},
                        {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25, "factor": 1.0},
                        {"rope_type": "yarn", "factor": 2.0}],
    "tokenizer_class": ["GPTNeoXTokenizer"], "sliding_window": [8], "head_dim": [16, 8], "num_key_value_heads": [2, 1],
    "layer_norm_epsilon": [0.5], "activation_function": ["relu"], "n_layer": [1], "n_embd": [16],
    "tie_encoder_decoder": [True], "cross_attention_hidden_size": [5], "finetuning_task": ["x"],
    "transformers_weights": ["model.safetensors"],
}.items():
    for value in values:
        name = f"config: {key} {json.dumps(value)}"
        if name not in VARIANTS:
            config_variant(name, {key: value})
config_variant("config: only new rotary names", {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0,
               "partial_rotary_factor": 0.5}}, drop=["rotary_pct", "rotary_emb_base"])
config_variant("config: only flat new rotary names", {"rope_theta": 500.0, "partial_rotary_factor": 0.5},
               drop=["rotary_pct", "rotary_emb_base"])
config_variant("config: rope_theta alone beside nothing", {"rope_parameters": {"rope_theta": 500.0}},
               drop=["rotary_pct", "rotary_emb_base"])
config_variant("config: rotary_pct in rope_parameters absent", {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
               drop=["rotary_emb_base"])
for key in sorted({*CONFIG, "dtype", "rope_scaling", "rope_parameters", "attention_bias", "pad_token_id", "auto_map"}):
    for value in (5, 1.5, "x", "", True, [], {}, [1], {"a": 1}):
        name = f"config: {key} {json.dumps(value)}"
        longer = key == "max_position_embeddings" and value == 5  # than this context is the compared sequence
        if name not in VARIANTS and CONFIG.get(key) != value and not longer:
            config_variant(name, {key: value})
config_variant("config: dtype beside another torch_dtype", {"dtype": "float32", "torch_dtype": "float16"})
config_variant("config: sizes as floats", {"hidden_size": 32.0, "vocab_size": 64.0})
config_variant("config: rotary_emb_base as float", {"rotary_emb_base": 10000.0})
config_variant("config: eps as integer string", {"layer_norm_eps": "0.00001"})


@variant("config: NaN in a key that is not used")
def _(v):
    v.config["some_metric"] = float("nan")


@variant("config: Infinity in a key that is not used")
def _(v):
    v.config["some_metric"] = float("-inf")


for key in ("some_metric", "initializer_range", "attention_dropout", "temperature"):
    for number in ("1e999", "-1e999", "1" + "0" * 400):
        @variant(f"config: {key} {number[:6]}")
        def _(v, key=key, number=number):
            v.config[key] = "NUMBER"
            v.text = json.dumps(v.config).replace('"NUMBER"', number)


@variant("config: byte order mark")
def _(v):
    v.text = "\ufeff" + json.dumps(v.config)


@variant("config: a key twice, the same value")
def _(v):
    v.text = json.dumps(v.config)[:-1] + ', "hidden_act": "gelu"}'


@variant("config: a key twice, another value")
def _(v):
    v.text = '{"layer_norm_eps": 0.5, ' + json.dumps(v.config)[1:]


@variant("config: CR LF, tabs")
def _(v):
    v.text = json.dumps(v.config, indent="\t").replace("\n", "\r\n")


@variant("config: trailing text")
def _(v):
    v.text = json.dumps(v.config) + "\n\n// end"


@variant("config: not ASCII")
def _(v):
    v.config["_name_or_path"] = "/home/jürgen/模型"
    v.text = json.dumps(v.config, ensure_ascii=False)


@variant("config: lone surrogate escape")
def _(v):
    v.text = json.dumps(v.config)[:-1] + ', "note": "\\ud800"}'


@variant("config: written by transformers")
def _(v):
    base_model().config.save_pretrained(v.folder)
    v.text = (v.folder / "config.json").read_text()


# ---- weights: layouts ----
@variant("weights: bin")
def _(v):
    v.files = v.bin


@variant("weights: legacy bin")
def _(v):
    v.files = lambda: v.bin(_use_new_zipfile_serialization=False)


@variant("weights: bin of parameters, not tensors")
def _(v):
    v.files = lambda: v.bin({k: torch.nn.Parameter(t) for k, t in v.state.items()})


@variant("weights: bin as a plain dict with metadata")
def _(v):
    def write():
        state = base_model().state_dict()
        v.bin(state)
    v.files = write


@variant("weights: bin of views of one storage")
def _(v):
    def write():
        flat = torch.cat([t.flatten() for t in v.state.values()])
        tensors, at = {}, 0
        for k, t in v.state.items():
            tensors[k] = flat[at: at + t.numel()].view(t.shape)
            at += t.numel()
        v.bin(tensors)
    v.files = write


@variant("weights: bin of transposed tensors")
def _(v):
    v.files = lambda: v.bin({k: (t.t().contiguous().t() if t.dim() == 2 else t) for k, t in v.state.items()})


@variant("weights: bin inside state_dict")
def _(v):
    v.files = lambda: v.bin({"state_dict": v.state})


@variant("weights: bin inside module")
def _(v):
    v.files = lambda: v.bin({"module": v.state})


@variant("weights: bin with other values")
def _(v):
    v.files = lambda: v.bin({**v.state, "epoch": 3, "args": {"lr": 1e-4}})


for dtype in ("float16", "bfloat16", "float64"):
    @variant(f"weights: {dtype}")
    def _(v, dtype=getattr(torch, dtype)):
        v.state = {k: t.to(dtype) for k, t in v.state.items()}

    @variant(f"weights: {dtype} bin")
    def _(v, dtype=getattr(torch, dtype)):
        v.state = {k: t.to(dtype) for k, t in v.state.items()}
        v.files = v.bin


@variant("weights: mixed types")
def _(v):
    v.state = {k: t.to([torch.float16, torch.float32, torch.bfloat16][i % 3]) for i, (k, t) in enumerate(v.state.items())}


@variant("weights: float8")
def _(v):
    v.state = {k: (t.to(torch.float8_e4m3fn) if t.dim() == 2 else t) for k, t in v.state.items()}


@variant("weights: safetensors without metadata")
def _(v):
    v.files = lambda: v.safetensors(metadata=None)


@variant("weights: safetensors of another framework")
def _(v):
    v.files = lambda: v.safetensors(metadata={"format": "np"})


def raw_safetensors(path, change):
    data = path.read_bytes()
    n = int.from_bytes(data[:8], "little")
    header = change(data[8:8 + n].decode())
    path.write_bytes(len(header.encode()).to_bytes(8, "little") + header.encode() + data[8 + n:])


@variant("weights: safetensors metadata null")
def _(v):
    def write():
        v.safetensors(metadata=None)
        raw_safetensors(v.folder / "model.safetensors", lambda h: '{"__metadata__":null,' + h.strip()[1:])
    v.files = write


@variant("weights: safetensors with an unknown field")
def _(v):
    def write():
        v.safetensors(metadata={"format": "pt"})
        raw_safetensors(v.folder / "model.safetensors", lambda h: h.replace('"dtype":', '"note":"x","dtype":', 1))
    v.files = write


@variant("weights: safetensors with a trailing byte")
def _(v):
    def write():
        v.safetensors()
        with open(v.folder / "model.safetensors", "ab") as f:
            f.write(b"\0")
    v.files = write


@variant("weights: shards")
def _(v):
    v.files = v.shards


@variant("weights: bin shards")
def _(v):
    v.files = lambda: v.shards("bin")


@variant("weights: shards without index")
def _(v):
    v.files = lambda: v.shards(write_index=False)


@variant("index: names a buffer that nobody uses")
def _(v):
    v.files = lambda: v.shards(more={"gpt_neox.layers.0.attention.bias": "model-00001-of-00002.safetensors"})


@variant("index: names a tensor that is not there")
def _(v):
    v.files = lambda: v.shards(more={"v_head.weight": "model-00001-of-00002.safetensors"})


@variant("index: leaves a tensor out")
def _(v):
    v.files = lambda: v.shards(drop=["gpt_neox.final_layer_norm.bias"])


@variant("index: another file for a tensor")
def _(v):
    v.files = lambda: v.shards(more={"embed_out.weight": "model-00002-of-00002.safetensors"})


@variant("index: no metadata")
def _(v):
    def write():
        v.shards()
        path = v.folder / "model.safetensors.index.json"
        path.write_text(json.dumps({"weight_map": json.loads(path.read_text())["weight_map"]}))
    v.files = write


@variant("index: byte order mark")
def _(v):
    def write():
        v.shards()
        path = v.folder / "model.safetensors.index.json"
        path.write_text("\ufeff" + path.read_text())
    v.files = write


@variant("index: of one file")
def _(v):
    def write():
        v.safetensors(name="weights.safetensors")
        v.index("model.safetensors.index.json", {"weights.safetensors": v.state})
    v.files = write


@variant("index: a tensor in two shards, the same")
def _(v):
    def write():
        a, b = v.halves()
        b.update(dict(list(a.items())[:2]))
        v.safetensors(a, "a.safetensors"), v.safetensors(b, "b.safetensors")
        v.index("model.safetensors.index.json", {"a.safetensors": a, "b.safetensors": b})
    v.files = write


@variant("index: a tensor in two shards, other values")
def _(v):
    def write():
        a, b = v.halves()
        b.update(other(dict(list(a.items())[:2])))
        v.safetensors(a, "a.safetensors"), v.safetensors(b, "b.safetensors")
        v.index("model.safetensors.index.json", {"b.safetensors": b, "a.safetensors": a})
    v.files = write


@variant("stale: an old index beside a new file")
def _(v):
    def write():
        new, v.state = v.state, other(v.state)
        v.shards()
        v.safetensors(new)
    v.files = write


@variant("stale: an index without its shards beside a file")
def _(v):
    def write():
        for name in v.shards():
            (v.folder / name).unlink()
        v.safetensors()
    v.files = write


@variant("stale: a bin beside safetensors")
def _(v):
    v.files = lambda: (v.bin(other(v.state)), v.safetensors())


@variant("stale: a bin file beside its old index")
def _(v):
    def write():
        new, v.state = v.state, other(v.state)
        v.shards("bin")
        v.bin(new)
    v.files = write


@variant("stale: safetensors shards beside a new bin")
def _(v):
    def write():
        new, v.state = v.state, other(v.state)
        v.shards()
        v.bin(new)
    v.files = write


@variant("stale: shards of another count")
def _(v):
    def write():
        v.shards()
        v.safetensors(other(v.state), "model-00003-of-00003.safetensors")
    v.files = write


# ---- weights: names ----
@variant("names: of the bare model, untied")
def _(v):
    v.state = {k.removeprefix("gpt_neox."): t for k, t in v.state.items() if k != "embed_out.weight"}


@variant("names: of the bare model, tied")
def _(v):
    v.config["tie_word_embeddings"] = True
    v.state = {k.removeprefix("gpt_neox."): t for k, t in v.state.items() if k != "embed_out.weight"}


@variant("names: bare, with the output matrix")
def _(v):
    v.state = {k.removeprefix("gpt_neox."): t for k, t in v.state.items()}


for prefix in ("module.", "model.", "_orig_mod.", "pretrained_model.", "base_model.model.", "transformer."):
    @variant(f"names: prefix {prefix}")
    def _(v, prefix=prefix):
        v.state = {prefix + k: t for k, t in v.state.items()}


@variant("names: lm_head.weight")
def _(v):
    v.state["lm_head.weight"] = v.state.pop("embed_out.weight")


@variant("names: lm_head.weight beside embed_out.weight")
def _(v):
    v.state["lm_head.weight"] = v.state["embed_out.weight"].clone()


@variant("names: another lm_head.weight beside embed_out.weight")
def _(v):
    v.state["lm_head.weight"] = v.state["embed_out.weight"] * 2


@variant("names: tied, without the output matrix")
def _(v):
    v.config["tie_word_embeddings"] = True
    v.state.pop("embed_out.weight")


@variant("names: tied, with a copy")
def _(v):
    v.config["tie_word_embeddings"] = True
    v.state["embed_out.weight"] = v.state["gpt_neox.embed_in.weight"].clone()


@variant("names: tied, with another output matrix")
def _(v):
    v.config["tie_word_embeddings"] = True


@variant("names: untied, without the output matrix")
def _(v):
    v.state.pop("embed_out.weight")


@variant("names: tied, without the embedding")
def _(v):
    v.config["tie_word_embeddings"] = True
    v.state.pop("gpt_neox.embed_in.weight")


@variant("names: value head")
def _(v):
    v.state["v_head.summary.weight"], v.state["v_head.summary.bias"] = torch.randn(1, 32), torch.randn(1)


@variant("names: value head in a bin")
def _(v):
    v.state["v_head.summary.weight"], v.state["v_head.summary.bias"] = torch.randn(1, 32), torch.randn(1)
    v.files = v.bin


@variant("names: a layer too many")
def _(v):
    v.state.update({k.replace("layers.1.", "layers.2."): t.clone() for k, t in v.state.items() if "layers.1." in k})


@variant("names: adapter tensors beside the model")
def _(v):
    v.state["gpt_neox.layers.0.attention.dense.lora_A.weight"] = torch.randn(4, 32)


@variant("names: output bias")
def _(v):
    v.state["embed_out.bias"] = torch.randn(64)


def buffers():
    mask = torch.tril(torch.ones(CONTEXT, CONTEXT)).view(1, 1, CONTEXT, CONTEXT)
    state = {}
    for layer in range(2):
        state[f"gpt_neox.layers.{layer}.attention.bias"] = mask.to(torch.uint8)
        state[f"gpt_neox.layers.{layer}.attention.masked_bias"] = torch.tensor(-1e9)
        state[f"gpt_neox.layers.{layer}.attention.rotary_emb.inv_freq"] = torch.randn(2)
    return state


@variant("buffers: of old versions")
def _(v):
    v.state.update(buffers())


@variant("buffers: masks of bool in a bin")
def _(v):
    v.state.update({k: (t.bool() if t.dim() == 4 else t) for k, t in buffers().items()})
    v.files = v.bin


@variant("buffers: of layers that are not there")
def _(v):
    v.state.update({k.replace("layers.0", "layers.7"): t for k, t in buffers().items()})


@variant("buffers: rotary table of the model")
def _(v):
    v.state["gpt_neox.rotary_emb.inv_freq"] = torch.randn(2)


@variant("buffers: in the bare model")
def _(v):
    v.config["tie_word_embeddings"] = True
    v.state.update(buffers())
    v.state = {k.removeprefix("gpt_neox."): t for k, t in v.state.items() if k != "embed_out.weight"}


@variant("shapes: embedding with more rows than vocab_size")
def _(v):
    for name in ("gpt_neox.embed_in.weight", "embed_out.weight"):
        v.state[name] = torch.cat([v.state[name], torch.randn(8, 32)])


@variant("shapes: a norm of one dimension too many")
def _(v):
    v.state["gpt_neox.final_layer_norm.bias"] = v.state["gpt_neox.final_layer_norm.bias"].view(1, 32)


@variant("files: tokenizer and generation config of nothing")
def _(v):
    (v.folder / "generation_config.json").write_text("{}")
    (v.folder / "special_tokens_map.json").write_text("{}")


@variant("files: a generation config of transformers")
def _(v):
    (v.folder / "generation_config.json").write_text(
        '{"_from_model_config": true, "bos_token_id": 0, "eos_token_id": [0, 5], "max_length": NaN}'.replace("NaN", "20"))


@variant("files: training leftovers")
def _(v):
    for name in ("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
        torch.save({"x": 1}, v.folder / name)
    (v.folder / "trainer_state.json").write_text('{"loss": NaN}')


def with_file(name, file, content):
    """A variant with one more file beside the model: its bytes, or what makes it."""
    @variant(name)
    def _(v):
        path = v.folder / file
        content(path) if callable(content) else path.write_bytes(content)


def broken_link(path):
    path.symlink_to("../../blobs/0123")


LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 137\n"
for what, content in {"empty": b"", "blank": b" \n", "cut off": b'{"temperature": 0.7,', "a list": b"[]", "a number": b"5",
                      "null": b"null", "HTML": b"<!DOCTYPE html>\n<html></html>", "not UTF-8": b'{"a": "\xff"}',
                      "a Git LFS pointer": LFS_POINTER, "a folder": Path.mkdir, "a broken link": broken_link,
                      "with a byte order mark": b"\xef\xbb\xbf{}", "a key twice": b'{"top_k": 5, "top_k": 5}',
                      "a text as a number": b'{"temperature": "0.7"}', "a list as a number": b'{"top_k": [5]}',
                      "a number out of range": b'{"temperature": -1, "do_sample": true}',
                      "a temperature of 0": b'{"temperature": 0, "do_sample": true}',
                      "a number as a flag": b'{"do_sample": 1}', "an id out of range": b'{"eos_token_id": 9999}',
                      "a text as an id": b'{"eos_token_id": "x"}', "NaN": b'{"temperature": NaN}',
                      "an unknown key": b'{"nonsense": 1}', "another family's key": b'{"num_beams": 4, "do_sample": false}',
                      "a fraction as a whole number": b'{"top_k": 5.5}', "bad lists": b'{"suppress_tokens": 5}'}.items():
    with_file(f"generation_config.json: {what}", "generation_config.json", content)
for what, content in {"empty": b"", "a folder": Path.mkdir, "a broken link": broken_link, "HTML": b"<html>",
                      "a Git LFS pointer": LFS_POINTER}.items():
    for file in ("tokenizer.json", "tokenizer_config.json", "README.md"):
        with_file(f"{file}: {what}", file, content)
for what, content in {"a folder": Path.mkdir, "a broken link": broken_link, "empty": b""}.items():
    for file in ("model.safetensors", "model.safetensors.index.json"):
        @variant(f"weights: bin beside {file}, {what}")
        def _(v, file=file, content=content):
            v.files = lambda: (v.bin(), content(v.folder / file) if callable(content)
                               else (v.folder / file).write_bytes(content))
    for file in ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.safetensors.index.json"):
        with_file(f"weights: safetensors beside {file}, {what}", file, content)


@variant("weights: shards in a folder below")
def _(v):
    def write():
        a, b = v.halves()
        (v.folder / "parts").mkdir()
        v.safetensors(a, "parts/1.safetensors"), v.safetensors(b, "2.safetensors")
        v.index("model.safetensors.index.json", {"parts/1.safetensors": a, "2.safetensors": b})
    v.files = write


@variant("weights: bin shards in folders below")
def _(v):
    def write():
        a, b = v.halves()
        (v.folder / "x/y").mkdir(parents=True)
        v.bin(a, "x/1.bin"), v.bin(b, "x/y/2.bin")
        v.index("pytorch_model.bin.index.json", {"x/1.bin": a, "./x/y/2.bin": b})
    v.files = write


@variant("weights: shards beside the folder")
def _(v):
    def write():
        beside = v.folder / "../beside"
        beside.mkdir(exist_ok=True)
        v.safetensors(name="../beside/all.safetensors")
        v.index("model.safetensors.index.json", {"../beside/all.safetensors": v.state})
    v.files = write


@variant("weights: shards by an absolute path")
def _(v):
    def write():
        v.safetensors(name="all.safetensors")
        v.index("model.safetensors.index.json", {str(v.folder / "all.safetensors"): v.state})
    v.files = write


@variant("files: links to blobs")
def _(v):
    def write():
        v.safetensors()
        blobs = v.folder / "blobs"
        blobs.mkdir()
        for name in ("config.json", "model.safetensors"):
            os.rename(v.folder / name, blobs / ("b" + name[:3]))
            os.symlink(Path("blobs") / ("b" + name[:3]), v.folder / name)
    v.files = write


# ---- the two programs ----
def by_transformers(folder):
    """Log-probabilities, or why there are none: ("refused" or "random", what)."""
    try:
        model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, local_files_only=True,
                                                           attn_implementation="eager", dtype=torch.float32)
    except Exception as e:  # whatever it throws is its refusal
        return "refused", f"{type(e).__name__}: {str(e).splitlines()[0][:100] if str(e) else ''}"
    if info["missing_keys"]:
        return "random", f"draws {len(info['missing_keys'])} tensors anew"
    if info.get("mismatched_keys"):
        return "random", "draws mismatched tensors anew"
    if type(model).__name__ != "GPTNeoXForCausalLM":
        return "refused", "another model: " + type(model).__name__
    try:
        with torch.no_grad():
            ids = torch.tensor(IDS)
            logits = model.double().eval()(input_ids=ids, use_cache=False, return_dict=True).logits
        return "loads", torch.log_softmax(logits, -1)[0, :-1].gather(1, ids[0, 1:, None])[:, 0].tolist()
    except Exception as e:
        return "refused", f"runs into {type(e).__name__}: {str(e).splitlines()[0][:100]}"


def by_stablelm(program, folder, ids_file):
    generate = [program, "generate", "-m", folder, "--ids", "3 60", "--max-new-tokens", "1", "--quiet"]
    score = [program, "score", "-m", folder, "--ids-file", ids_file, "--json"]
    for command in (generate, score):
        run = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if run.returncode != 0:
            return "refused", run.stderr.replace(str(folder), "FOLDER").replace("\n", " | ")[:300]
    return "loads", json.loads(run.stdout)["logprobs"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--keep", help="write the folders here instead of a temporary place")
    parser.add_argument("--only", default="", help="variants whose name has this text")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every variant")
    arguments = parser.parse_args()
    state = {k: v.detach().clone() for k, v in base_model().state_dict().items()}
    state["embed_out.weight"] = state.pop("lm_head.weight", state.get("embed_out.weight"))  # the name in transformers 5
    root = Path(arguments.keep or tempfile.mkdtemp(prefix="folders"))
    root.mkdir(parents=True, exist_ok=True)
    ids_file = root / "ids.json"
    ids_file.write_text(json.dumps(IDS))
    counts, bad = {}, []
    for number, (name, change) in enumerate((n, c) for n, c in VARIANTS.items() if arguments.only in n):
        folder = root / f"{number:03d}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        v = Variant(folder, state)
        change(v)
        v.write()
        theirs, what = by_transformers(str(folder))
        ours, mine = by_stablelm(arguments.program, str(folder), str(ids_file))
        verdict = f"{theirs} / {ours}"
        wrong = ""
        if theirs == "loads" and ours == "loads":
            worst = max(abs(a - b) for a, b in zip(what, mine)) if len(what) == len(mine) else float("inf")
            verdict += " the same" if worst < 2e-5 else ""  # the program's fp32 against fp64: 4e-6 at this size
            wrong = "" if worst < 2e-5 else f"log-probabilities differ by up to {worst:.2g}"
        elif theirs == "loads" and name not in REFUSED:
            wrong = mine
        counts[verdict] = counts.get(verdict, 0) + 1
        if wrong:
            bad.append(name)
        if wrong or arguments.verbose or (theirs != "loads" and ours == "loads"):
            print(f"{'BAD ' if wrong else ''}{name} ({folder.name}): {verdict}")
            for who, text in (("transformers", what), ("stablelm", mine)):
                if isinstance(text, str):
                    print(f"    {who}: {text}")
            if wrong and ours == "loads":
                print("    " + wrong)
    print(f"\n{sum(counts.values())} variants (transformers / stablelm): " +
          ", ".join(f"{k}: {n}" for k, n in sorted(counts.items())))
    print(f"{len(bad)} differences")
    if not arguments.keep:
        shutil.rmtree(root)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
