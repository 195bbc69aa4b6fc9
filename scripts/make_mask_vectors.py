#!/usr/bin/env python3
"""Makes tests/data/dataset/masks.json: transcripts of every template with their targets, by Hugging Face's tokenizers.

The strings are the templates' published formats (the first lines of src/prompt/prompt_builder.cc name the sources), with
the spans that the loss covers between the marks below. A token is a target when it begins in such a span. This shares no
code and no idea with dataset/targets.h, which knows parts of a prompt and no text.

Usage: scripts/make_mask_vectors.py   (needs `tokenizers` from PyPI)
"""
import json
import pathlib

from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END, BORDER = "\x01", "\x02", "\x03"  # of a target span; BORDER: the text after it is encoded by itself

CONVERSATIONS = [
    {"system": None, "turns": ["What is 2+2?", "4"]},
    {"system": "Be brief.\n", "turns": ["Hello!", "Hi. How are you?", "  fine,\n\nthanks ", "Good\n"]},
    {"system": "# A system text\n- with a list\n", "turns": ["caf\u00e9 \u732b \U0001f600", "na\u00efve \u2014 ok", "x", "y", "z", "the end"]},
]
RENAMED = {
    "stablelm-tuned": {},
    "dolly-v2": {"<|SYSTEM|>": "### End", "<|USER|>": "### Instruction:", "<|ASSISTANT|>": "### Response:\n"},
    "oasst-neox": {"<|SYSTEM|>": "<|system|>", "<|USER|>": "<|prompter|>", "<|ASSISTANT|>": "<|assistant|>"},
    "alpaca": {"<|SYSTEM|>": "<|a|>", "<|USER|>": "<|b|>", "<|ASSISTANT|>": "<|c|>"},
    "none": {"<|SYSTEM|>": "<|a|>", "<|USER|>": "<|b|>", "<|ASSISTANT|>": "<|c|>"},
}


def tokenizer_for(template):
    data = json.loads((ROOT / "tests/data/tokenizer/tokenizer.json").read_text())
    for token in data["added_tokens"]:
        token["content"] = RENAMED[template].get(token["content"], token["content"])
    data["post_processor"]["trim_offsets"] = False  # else a token's span would leave its spaces out
    return Tokenizer.from_str(json.dumps(data))


def marked_text(template, conversation):
    """The whole document with its marks, ended by <|endoftext|> where the template ends no answer itself."""
    system, turns = conversation["system"], conversation["turns"]
    text = ""
    for i in range(0, len(turns), 2):
        user, answer, last = turns[i], turns[i + 1], i + 2 == len(turns)
        first = i == 0
        if template == "stablelm-tuned":
            if first and system is not None:
                text += "<|SYSTEM|>" + system
            opening = "<|USER|>"
            text += (opening if first else opening + END) + user + "<|ASSISTANT|>" + BORDER + BEGIN + answer
            text += "<|endoftext|>" + END if last else ""
        elif template == "dolly-v2":
            if first and system is not None:
                text += system + "\n\n"
            text += ("" if first else "\n\n") + "### Instruction:\n" + user + "\n\n### Response:\n"
            text += BEGIN + answer + "\n\n### End" + END
        elif template == "oasst-neox":
            if first and system is not None:
                text += "<|system|>" + system + "<|endoftext|>"
            text += "<|prompter|>" + user + "<|endoftext|><|assistant|>" + BEGIN + answer + "<|endoftext|>" + END
        elif template == "alpaca":
            if first and system is not None:
                text += system + "\n\n"
            text += "### Instruction:\n" + user + "\n\n### Response:" + BORDER + BEGIN + answer + "<|endoftext|>" + END
        else:
            if first and system is not None:
                text += system + BORDER
            text += user + BORDER + BEGIN + answer + ("<|endoftext|>" if last else "") + END + BORDER
    return text


def encode(tokenizer, marked):
    ids, targets, inside = [], [], False
    for chunk in marked.split(BORDER):
        plain, spans = "", []
        for c in chunk:
            if c == BEGIN:
                inside = True
            elif c == END:
                inside = False
            else:
                plain += c
                spans.append(inside)
        encoding = tokenizer.encode(plain, add_special_tokens=False)
        # The small tokenizer normalizes to NFC, and so is every text above: offsets are those of the text.
        assert tokenizer.normalizer is None or tokenizer.normalizer.normalize_str(plain) == plain
        ids += encoding.ids
        targets += [1 if spans[begin] else 0 for begin, _ in encoding.offsets]
    targets[0] = 0
    return ids, targets


def main():
    vectors = []
    for template in RENAMED:
        tokenizer = tokenizer_for(template)
        for conversation in CONVERSATIONS:
            ids, targets = encode(tokenizer, marked_text(template, conversation))
            vectors.append({"template": template, **conversation, "ids": ids, "targets": targets})
    lines = ",\n".join(json.dumps(vector) for vector in vectors)
    (ROOT / "tests/data/dataset/masks.json").write_text("[\n" + lines + "\n]\n")


if __name__ == "__main__":
    main()
