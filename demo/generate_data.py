#!/usr/bin/env python3
"""Writes the training data and the test sets of the demo model. Python's standard library, no network; the same bytes
from the same seed on every machine.

  demo/generate_data.py OUT                      chats.jsonl and plain.jsonl, which `stablelm prepare demo/data.yaml` reads,
                                                 long_chats.jsonl and long_plain.jsonl, for demo/long_data.yaml
  demo/generate_data.py OUT --conversations 500  less of it
  demo/generate_data.py OUT --only cd            single questions of these skills, for trials
  demo/generate_data.py --sets                   writes demo/sets anew
  demo/generate_data.py --check                  compares demo/sets with what would be written, and their words with those of training
"""

import argparse
import json
import pathlib
import sys

from generator.conversations import LONG_TURNS, TURNS, messages_of, training_conversation
from generator.rng import Rng
from generator.sets import first_prompts, make_set
from generator.skills import Skills
from generator.texts import words_of

SETS = pathlib.Path(__file__).resolve().parent / "sets"
SEED = 20230419  # the day on which StableLM-Alpha was released
CONVERSATIONS = 165000  # about 24 million tokens
LONG_CONVERSATIONS = 400  # about 1.4 million tokens
CHECKED = 40000  # conversations in which the words of the test sets must occur
RUN_WORDS = 13  # as in `prepare`


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def all_sets(skills):
    """Name of the file -> its text."""
    files = {}
    for number, skill in enumerate("abcdefg"):
        for other, kind in enumerate(("dev", "test", "turns")):
            files[f"{skill}.{kind}.jsonl"] = lines(make_set(skills, 1000 + 10 * number + other, skill, kind))
    files["first_prompts.jsonl"] = lines(first_prompts(skills))
    return files


class HeldOut:
    """The user texts and runs of 13 words of the test sets; training avoids them."""

    def __init__(self):
        self.users, self.runs = set(), set()
        for path in sorted(SETS.glob("?.*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                for message in json.loads(line)["messages"]:
                    words = words_of(message["content"])
                    if message["role"] == "user":
                        self.users.add(tuple(words))
                    self.runs.update(self._runs(words))

    @staticmethod
    def _runs(words):
        return (tuple(words[i:i + RUN_WORDS]) for i in range(len(words) - RUN_WORDS + 1))

    def meets(self, messages):
        for message in messages:
            words = words_of(message["content"])
            if message["role"] == "user" and words and tuple(words) in self.users:
                return True
            if any(run in self.runs for run in self._runs(words)):
                return True
        return False


def training_rows(skills, conversations, only="", turns=TURNS, seed=SEED):
    """(system text, messages, exchanges) of each conversation, none of which meets the test sets."""
    held_out = HeldOut()
    rng = Rng(seed)
    made = 0
    while made < conversations:
        system, exchanges = training_conversation(skills, rng, only, turns)
        if turns is LONG_TURNS:  # nearly every one has an exchange that meets them
            exchanges = [each for each in exchanges if not held_out.meets(messages_of(None, [each]))]
        messages = messages_of(system, exchanges)
        if held_out.meets(messages):
            continue
        made += 1
        yield system, messages, exchanges


def write_training(out, prefix, rows):
    """PREFIXchats.jsonl and PREFIXplain.jsonl in the folder `out`."""
    counts = {}
    with open(out / f"{prefix}chats.jsonl", "w", encoding="utf-8", newline="\n") as chats, \
         open(out / f"{prefix}plain.jsonl", "w", encoding="utf-8", newline="\n") as plain:
        for system, messages, exchanges in rows:
            (plain if system is None else chats).write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
            for each in exchanges:
                counts[each.skill] = counts.get(each.skill, 0) + 1
    print(f"{out}: {prefix}chats.jsonl and {prefix}plain.jsonl; exchanges:",
          ", ".join(f"{skill} {count}" for skill, count in sorted(counts.items())))


def check():
    """Problems, one a line."""
    skills = Skills()
    problems = []
    for name, text in all_sets(skills).items():
        path = SETS / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            problems.append(f"demo/sets/{name} is not what demo/generate_data.py --sets writes")
    known = set()
    for _, messages, _ in training_rows(skills, CHECKED):
        for message in messages:
            known.update(words_of(message["content"]))
    for skill in "abeg":
        for kind in ("dev", "test", "turns"):
            missing = []
            for line in (SETS / f"{skill}.{kind}.jsonl").read_text(encoding="utf-8").splitlines():
                for word in words_of(json.loads(line)["messages"][-1]["content"]):
                    if word not in known and word not in missing:
                        missing.append(word)
            problems += [f"{skill}.{kind}: the word \"{word}\" does not occur in training" for word in missing]
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=pathlib.Path)
    parser.add_argument("--conversations", type=int, default=CONVERSATIONS)
    parser.add_argument("--only", default="")
    parser.add_argument("--sets", action="store_true")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if arguments.sets:
        for name, text in all_sets(Skills()).items():
            (SETS / name).write_text(text, encoding="utf-8", newline="\n")
            print(f"demo/sets/{name}: {text.count(chr(10))} prompts")
    elif arguments.check:
        problems = check()
        print("\n".join(problems) or "the sets are as written, and training has their words")
        return 1 if problems else 0
    elif arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        skills = Skills()
        write_training(arguments.out, "", training_rows(skills, arguments.conversations, arguments.only))
        if not arguments.only:
            write_training(arguments.out, "long_",
                           training_rows(skills, LONG_CONVERSATIONS, turns=LONG_TURNS, seed=SEED + 1))
    else:
        parser.print_usage()
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
