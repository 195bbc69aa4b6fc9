#!/usr/bin/env python3
"""Looks whether others read the GGUF files from here, and whether theirs are read here.

Needs gguf, numpy and llama-cpp-python (PyPI), and the built program. Usage: check_gguf.py FOLDER [--stablelm PATH]
FOLDER is a Hugging Face folder of safetensors in one type of floats, with or without a tokenizer. Checks, each printed:
  1. FILE = convert FOLDER: gguf reads every key and tensor, with the values of the folder, QKV in its other order;
  2. FOLDER written by gguf as llama.cpp's converter would: tokens and log-probabilities are those of FOLDER, bit for bit;
  3. llama.cpp runs FILE; from the same as fp32 (with 16-bit weights it rounds activations to their type) it chooses the
     same tokens greedily, and its log-probabilities agree with those of --activation gelu_tanh;
  4. where there is a tokenizer, llama.cpp gives the same ids for some texts;
  5. quantize FOLDER to every type: gguf decodes its blocks to the bits that they have here, and llama.cpp runs it
     (it rounds activations to 8 bits: log-probabilities are near, not equal).
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import gguf
import numpy as np

MODULES = {
    "attention.query_key_value": "attn_qkv", "attention.dense": "attn_output", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm", "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down",
}
TOP = {"gpt_neox.embed_in.weight": "token_embd.weight", "embed_out.weight": "output.weight", "lm_head.weight": "output.weight",
       "gpt_neox.final_layer_norm.weight": "output_norm.weight", "gpt_neox.final_layer_norm.bias": "output_norm.bias"}
# Texts that exercise the pre-tokenizer: spaces, accents, emoji, code.
TEXTS = ["Hello  world", "I believe the meaning of life is", "don't  you'll\n\n\tx   y", "caf\u00e9 na\u00efve 12345 \U0001F600",
         "for (int i = 0; i < 10; ++i) {\n        sum += i;\n}"]


def gguf_name(name):
    if name in TOP:
        return TOP[name]
    layer, rest = name.removeprefix("gpt_neox.layers.").split(".", 1)
    module, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{MODULES[module]}.{kind}"


def bf16_to_f32(raw):
    return (raw.astype(np.uint32) << 16).view(np.float32)


def folder_tensors(folder):
    """(name, type, array) with the bits as stored; bf16 as uint16."""
    kinds = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
    for shard in sorted(folder.glob("model*.safetensors")):
        with shard.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
        header.pop("__metadata__", None)
        for name, entry in header.items():
            yield name, entry["dtype"], np.memmap(shard, kinds[entry["dtype"]], "r", 8 + size + entry["data_offsets"][0],
                                                  tuple(entry["shape"]))


def stacked(name, values, heads):
    """Reorders QKV rows from [H, 3, D] to [3, H, D]."""
    if "query_key_value" not in name:
        return values
    return np.swapaxes(values.reshape(heads, 3, -1, *values.shape[1:]), 0, 1).reshape(values.shape)


def check_reading(folder, file, config):
    reader = gguf.GGUFReader(file)
    names = {tensor.name: tensor for tensor in reader.tensors}
    count = 0
    for name, kind, values in folder_tensors(folder):
        tensor = names.pop(gguf_name(name))
        values = stacked(name, values, config["num_attention_heads"])
        got = np.asarray(tensor.data)
        if values.ndim == 1:
            values = bf16_to_f32(values) if kind == "BF16" else values.astype(np.float32)
        got = got.view(values.dtype).reshape(values.shape)
        assert np.array_equal(got.view(np.uint8), np.ascontiguousarray(values).view(np.uint8)), name
        count += 1
    assert not names, f"surplus: {sorted(names)}"
    field = reader.get_field("gptneox.block_count")
    assert field.contents() == config["num_hidden_layers"]
    print(f"1. gguf {reader.fields['GGUF.version'].contents()} reads {count} tensors and {len(reader.fields)} fields")


def write_with_gguf(folder, path, config):
    heads = config["num_attention_heads"]
    rope = config.get("rope_parameters") or {}
    share = config.get("rotary_pct", rope.get("partial_rotary_factor"))
    writer = gguf.GGUFWriter(path, "gptneox")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_rope_dimension_count(int(share * (config["hidden_size"] // heads)))
    writer.add_rope_freq_base(config.get("rotary_emb_base", rope.get("rope_theta", 10000)))
    writer.add_parallel_residual(config["use_parallel_residual"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")
    for name, kind, values in folder_tensors(folder):
        values = stacked(name, values, heads)
        if values.ndim == 1:
            writer.add_tensor(gguf_name(name), bf16_to_f32(values) if kind == "BF16" else values.astype(np.float32))
        elif kind == "BF16":
            writer.add_tensor(gguf_name(name), np.ascontiguousarray(values).view(np.uint8),
                              raw_dtype=gguf.GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(gguf_name(name), np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def run(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


def greedy(program, model, ids, *more):
    out = run(program, "generate", "-m", model, "--ids", " ".join(map(str, ids)), "--max-new-tokens", 16, "--greedy",
              "--ignore-eos", "--allow-padding-ids", "--json", "--quiet", *more)
    object_ = json.loads(out)
    return object_["ids"], object_["logprobs"]


def check_quantized(program, folder, config, ids, temp):
    for kind in ["Q8_0", "Q6_K", "Q5_K_M", "Q5_K", "Q4_K_M", "Q4_K", "Q4_0"]:
        file, back = temp / f"{kind}.gguf", temp / f"{kind}-back"
        run(program, "quantize", "-m", folder, "--type", kind, file, "--quiet")
        run(program, "convert", file, back, "--dtype", "fp32", "--quiet")
        tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
        for name, _, values in folder_tensors(back):
            tensor = tensors.pop(gguf_name(name))
            theirs = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(values.shape)
            ours = np.ascontiguousarray(stacked(name, values, config["num_attention_heads"]))
            assert np.array_equal(theirs.view(np.uint32), ours.view(np.uint32)), f"{kind}: {name}"
        assert not tensors, f"surplus: {sorted(tensors)}"
        types = sorted({tensor.tensor_type.name for tensor in gguf.GGUFReader(file).tensors})
        tokens, logprobs = greedy(program, file, ids, "--dtype", "fp32", "--activation", "gelu_tanh")
        gap = abs(Peer(file).logprobs(ids)[tokens[0]] - logprobs[0])
        assert gap < 0.1, (kind, gap)
        print(f"5. {kind} ({', '.join(types)}): gguf decodes the same bits, llama.cpp runs it, log-probability {gap:.1e} apart")


class Peer:
    def __init__(self, path):
        import llama_cpp as lib
        self.lib = lib
        self.quiet = lib.llama_log_callback(lambda level, text, data: None)
        lib.llama_log_set(self.quiet, None)
        lib.llama_backend_init()
        self.model = lib.llama_model_load_from_file(str(path).encode(), lib.llama_model_default_params())
        assert self.model, "llama.cpp does not load the file"
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.size = lib.llama_vocab_n_tokens(self.vocab)
        params = lib.llama_context_default_params()
        params.n_ctx, params.n_threads, params.n_threads_batch = 128, 1, 1
        params.type_k = params.type_v = 0  # fp32 keys and values, as here
        params.flash_attn_type = 0
        self.context = lib.llama_init_from_model(self.model, params)

    def logprobs(self, tokens):
        array = (self.lib.llama_token * len(tokens))(*tokens)
        assert self.lib.llama_decode(self.context, self.lib.llama_batch_get_one(array, len(tokens))) == 0
        logits = np.ctypeslib.as_array(self.lib.llama_get_logits_ith(self.context, -1), (self.size,)).astype(np.float64)
        logits -= logits.max()
        return logits - np.log(np.exp(logits).sum())

    def tokenize(self, text):
        raw = text.encode()
        array = (self.lib.llama_token * (len(raw) + 8))()
        n = self.lib.llama_tokenize(self.vocab, raw, len(raw), array, len(array), False, False)
        return list(array[:n])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--stablelm", default="build/release/stablelm")
    args = parser.parse_args()
    config = json.loads((args.folder / "config.json").read_text())
    picks = random.Random(1)
    ids = [picks.randrange(1, config["vocab_size"]) for _ in range(24)]
    with tempfile.TemporaryDirectory() as temp:
        file, theirs = pathlib.Path(temp) / "ours.gguf", pathlib.Path(temp) / "theirs.gguf"
        run(args.stablelm, "convert", args.folder, file)
        check_reading(args.folder, file, config)

        write_with_gguf(args.folder, theirs, config)
        # Without the key stablelm.config a file does not specify the activation.
        form = ["--activation", "gelu" if config.get("hidden_act", "gelu") == "gelu" else "gelu_tanh"]
        assert greedy(args.stablelm, theirs, ids, *form) == greedy(args.stablelm, args.folder, ids, *form)
        assert greedy(args.stablelm, file, ids) == greedy(args.stablelm, args.folder, ids)
        print("2. a file from gguf gives the tokens and log-probabilities of the folder")

        wide = pathlib.Path(temp) / "wide.gguf"
        run(args.stablelm, "convert", args.folder, wide, "--dtype", "fp32")
        tokens, logprobs = greedy(args.stablelm, wide, ids, "--activation", "gelu_tanh")
        narrow = Peer(file).logprobs(ids)[tokens[0]] - logprobs[0]
        peer, step, worst = Peer(wide), ids, 0.0
        for token, logprob in zip(tokens, logprobs):
            found = peer.logprobs(step)
            assert int(np.argmax(found)) == token, f"llama.cpp chooses {int(np.argmax(found))}, not {token}"
            worst = max(worst, abs(found[token] - logprob))
            step = [token]
        # llama.cpp's GELU is an fp16 table: relative error 2^-11 of each activation.
        assert worst < 5e-3 and abs(narrow) < 5e-2, (worst, narrow)
        print(f"3. llama.cpp chooses the same {len(tokens)} tokens; log-probabilities differ by at most {worst:.1e}, "
              f"in the file's own type by {abs(narrow):.1e} at the first")

        if (args.folder / "tokenizer.json").exists():
            for text in TEXTS:
                mine = json.loads(run(args.stablelm, "tokenize", "-m", file, "--json", "--", text))["ids"]
                assert peer.tokenize(text) == mine, f"{text!r}: llama.cpp {peer.tokenize(text)}, here {mine}"
            print(f"4. llama.cpp gives the same ids for {len(TEXTS)} texts")
        check_quantized(args.stablelm, args.folder, config, ids, pathlib.Path(temp))


if __name__ == "__main__":
    main()
