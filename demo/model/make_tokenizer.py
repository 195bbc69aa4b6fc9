#!/usr/bin/env python3
"""Makes demo/model/tokenizer.json: byte-level BPE with the structure of StableLM's tokenizer, in which letters and digits
stay visible. Python's standard library; the same bytes on every machine.

  demo/model/make_tokenizer.py [OUT] [--merges N] [--letters N]

Ids are those of StableLM's structure: <|endoftext|> and <|padding|>, the 256 bytes, merges, runs of 24 to 2 spaces,
<|SYSTEM|>, <|USER|>, <|ASSISTANT|>. Merges are learned from the conversations of training that are no tasks with numbers
or words. Only beginnings of words are merged: every merge joins a space with a letter, or such a beginning with one more
letter. So each letter behind the beginning of a frequent word is a token, and so is every letter behind a quotation mark
or a hyphen. No merge contains a digit.
"""

import argparse
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from generate_data import training_rows  # noqa: E402
from generator.skills import Skills  # noqa: E402

CONVERSATIONS = 8000
MERGES = 128  # 412 ids; demo/README.md says why
LETTERS = 12  # of a beginning, at most
SPACE = "\u0120"  # how byte-level BPE writes a space


def byte_symbols():
    """The 256 symbols of byte-level BPE in the order of GPT-2 and StableLM: printable bytes, then the others."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


def word_counts():
    """Words that begin with a space, of exchanges that are no tasks with numbers or words; in the order of their text."""
    counts = {}
    for _, _, exchanges in training_rows(Skills(), CONVERSATIONS):
        for each in exchanges:
            if each.skill in "cd":
                continue
            for text in (each.user, each.reply):
                for word in re.findall(r"(?<= )[A-Za-z]+", text):
                    counts[word] = counts.get(word, 0) + 1
    return sorted(counts.items())


def learn_merges(count, letters):
    """Pairs (beginning, letter), most frequent first; of equals the first in the order of their text."""
    merges, known = [], {SPACE}
    words = word_counts()
    while len(merges) < count:
        gain = {}  # longer beginning -> how often it occurs
        for word, times in words:
            # The longest known beginning takes one more letter.
            end = 0
            while end < len(word) and SPACE + word[:end + 1] in known:
                end += 1
            if end < min(len(word), letters):
                longer = SPACE + word[:end + 1]
                gain[longer] = gain.get(longer, 0) + times
        if not gain:
            break
        best = max(gain, key=lambda piece: (gain[piece], [-ord(c) for c in piece]))
        known.add(best)
        merges.append((best[:-1], best[-1]))
    return merges


def added(token_id, content, special):
    return {"id": token_id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": not special, "special": special}


def tokenizer(merges):
    vocab = {"<|endoftext|>": 0, "<|padding|>": 1}
    for symbol in byte_symbols():
        vocab[symbol] = len(vocab)
    for left, right in merges:
        vocab[left + right] = len(vocab)
    tokens = [added(0, "<|endoftext|>", True), added(1, "<|padding|>", True)]
    next_id = len(vocab)
    for spaces in range(24, 1, -1):
        tokens.append(added(next_id, " " * spaces, False))
        next_id += 1
    for role in ("<|SYSTEM|>", "<|USER|>", "<|ASSISTANT|>"):
        tokens.append(added(next_id, role, True))
        next_id += 1
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens, "normalizer": {"type": "NFC"},
            "pre_tokenizer": byte_level, "post_processor": byte_level, "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "vocab": vocab,
                      "merges": [f"{left} {right}" for left, right in merges]}}, next_id


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=pathlib.Path, default=HERE / "tokenizer.json")
    parser.add_argument("--merges", type=int, default=MERGES)
    parser.add_argument("--letters", type=int, default=LETTERS)
    arguments = parser.parse_args()
    merges = learn_merges(arguments.merges, arguments.letters)
    content, ids = tokenizer(merges)
    arguments.out.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", newline="\n")
    print(f"{arguments.out}: {len(merges)} merges, {ids} ids")


if __name__ == "__main__":
    main()
