#!/usr/bin/env python3
"""Tests of demo/check and demo/generator: what a check accepts, what is held out, the random numbers."""

import importlib.machinery
import importlib.util
import json
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
DEMO = pathlib.Path(__file__).resolve().parents[2] / "demo"
sys.path.insert(0, str(DEMO))

from generator.conversations import SystemText, vary  # noqa: E402
from generator.rng import Rng  # noqa: E402
from generator.skills import Skills, difference_steps, last, split_of, sum_steps  # noqa: E402
from generator.texts import DEV, TEST, TRAIN, fix_articles, read_topics, words_of  # noqa: E402
from generate_data import SETS, HeldOut, training_rows  # noqa: E402

_loader = importlib.machinery.SourceFileLoader("check", str(DEMO / "check"))
check = importlib.util.module_from_spec(importlib.util.spec_from_loader("check", _loader))
_loader.exec_module(check)


class Checks(unittest.TestCase):
    def test_numbers_are_whole(self):
        for reply in ("12 + 30 = 42", "42", "It is 42."):
            self.assertTrue(check.passes({"regex": last("42")}, reply), reply)
        for reply in ("142", "-42", "4.42", "1,042", "42 or 43", "I don't know that."):
            self.assertFalse(check.passes({"regex": last("42")}, reply), reply)
        self.assertTrue(check.passes({"regex": last("-18")}, "12 - 30 = -18"))

    def test_honest_and_not(self):
        self.assertTrue(check.passes({"or_honest": True}, "Sorry, I don't know. Try a sum."))
        self.assertFalse(check.passes({"or_honest": True}, "The price is 7 euros."))
        self.assertTrue(check.passes({"or_honest": True, "regex": "7"}, "The price is 7 euros."))
        self.assertFalse(check.passes({"regex": "demo", "not": "^yes"}, "Yes, a demo."))

    def test_shortfalls(self):
        counts = {"a.test": {"subtasks": {"x": [9, 10], "y": [9, 10]}, "stopped": 20, "refused": 0, "all": 20}}
        self.assertEqual(check.shortfalls(counts, 90), [])
        self.assertEqual(check.shortfalls(counts, 90.1), ["a.test: 18 of 20 passed, expected at least 90.1 %"])
        counts["a.test"]["stopped"] = 19
        self.assertEqual(check.shortfalls(counts, 90), ["a.test: 1 replies did not stop by themselves"])

    def test_every_reply_of_training_passes_its_own_check(self):
        for _, _, exchanges in training_rows(Skills(), 3000):
            for each in exchanges:
                self.assertTrue(check.passes(each.check, each.reply), each)

    def test_every_set_has_its_size_and_checks(self):
        sizes = {"dev": 200, "test": 200, "turns": 200}
        for path in sorted(SETS.glob("*.jsonl")):
            items = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            least = sizes.get(path.stem.partition(".")[2], {"first_prompts": 120, "wild": 100}.get(path.stem))
            self.assertGreaterEqual(len(items), least, path)
            for item in items:
                self.assertEqual(item["messages"][-1]["role"], "user")
                self.assertTrue(set(item["check"]) <= {"regex", "not", "or_honest"} and item["check"], item)
                self.assertFalse(check.passes(item["check"], ""), item)
        for path in SETS.glob("*.turns.jsonl"):
            for line in path.read_text(encoding="utf-8").splitlines():
                users = sum(message["role"] == "user" for message in json.loads(line)["messages"])
                self.assertIn(users, (3, 4, 5, 6), path)


class HeldOutParts(unittest.TestCase):
    def test_pairs_words_and_names(self):
        skills = Skills()
        for seed in range(300):
            for split in (TRAIN, DEV, TEST):
                rng = Rng(seed)
                a, b = skills.number_pair(rng, split, "sum")
                self.assertEqual(split_of(f"sum {min(a, b)} {max(a, b)}"), split)
                self.assertEqual(split_of("reverse " + skills.some_word(rng, split, "reverse"), 12), split)
                name = skills.some_name(rng, split)
                self.assertEqual(name in skills.held_out_names, split != TRAIN)

    def test_wordings(self):
        for name in ("about.txt", "smalltalk.txt", "facts.txt", "unknown.txt", "tasks.txt"):
            topics, _ = read_topics(name)
            for topic in topics.values():
                for what in ("ask", "follow", "system", "recall"):
                    wordings = {split: [words_of(text) for text in topic.get(what, split)] for split in (TRAIN, DEV, TEST)}
                    for text in wordings[TEST]:
                        self.assertNotIn(text, wordings[TRAIN] + wordings[DEV], f"{name}: {topic.name}")
                    for text in wordings[DEV]:
                        self.assertNotIn(text, wordings[TRAIN], f"{name}: {topic.name}")

    def test_overlap_is_found(self):
        held_out = HeldOut()
        first = json.loads((SETS / "c.test.jsonl").read_text(encoding="utf-8").split("\n")[0])["messages"]
        question = first[-1]["content"]
        self.assertTrue(held_out.meets([{"role": "user", "content": question.upper() + "!!"}]))
        self.assertFalse(held_out.meets([{"role": "assistant", "content": question}]))


class Parts(unittest.TestCase):
    def test_random_numbers_are_those_of_splitmix64(self):
        rng = Rng(1234567)  # the published test vector
        self.assertEqual([rng.next() for _ in range(3)], [6457827717110365317, 3203168211198807973, 9817491932198370423])

    def test_steps_of_sums_are_right(self):
        for a in range(100):
            for b in range(100):
                for steps, result in ((sum_steps(a, b), a + b), (difference_steps(a, b), a - b)):
                    self.assertEqual(steps[-1], str(result))
                    for step in steps:
                        self.assertEqual(eval(step), result, step)
        self.assertEqual(sum_steps(47, 35), ["77 + 5", "82"])
        self.assertEqual(difference_steps(12, 35), ["-(35 - 12)", "-(25 - 2)", "-23"])

    def test_texts(self):
        self.assertEqual(fix_articles("A apple and a pear, a unit, a owl"), "An apple and a pear, a unit, an owl")
        for seed in range(200):
            self.assertTrue(vary(Rng(seed), "?"))

    def test_system_texts_are_obeyed_by_their_replies(self):
        skills, rng = Skills(), Rng(5)
        for kind in ("end_with", "begin_with", "capitals", "one_word"):
            system = SystemText(skills, rng, TRAIN, kind)
            exchange = next(e for e in iter(lambda: skills.fact_exchanges(rng, TRAIN, False)[0], None) if system.fits(e))
            obeyed = system.apply(exchange)
            self.assertTrue(check.passes(obeyed.check, obeyed.reply), obeyed)
            if kind != "one_word":
                self.assertNotEqual(obeyed.reply, exchange.reply)
            self.assertFalse(check.passes(obeyed.check, "Something else entirely, in many words"), obeyed)


if __name__ == "__main__":
    unittest.main()
