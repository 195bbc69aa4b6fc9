"""Single exchanges of every skill: what the user says, the reply, and a machine check of it."""

import re
from typing import NamedTuple, Optional

from .rng import hash_of
from .texts import (DEV, TEST, TRAIN, first_lower, first_upper, fix_articles, read_lists, read_names, read_topics,
                    read_words)


class Exchange(NamedTuple):
    skill: str
    subtask: str
    user: str
    reply: str
    check: dict  # "regex" (any case), "exact" (a list), "not" (a regular expression), "or_honest"
    bare: Optional[str] = None  # the reply in one word


def split_of(key, share=10):
    """Where a number pair, word or name belongs: one in `share` to the test set, one to the development set."""
    at = hash_of(key) % share
    return TEST if at == 0 else DEV if at == 1 else TRAIN


def last(text):
    """Expression of a reply that ends in `text`, after no other digit or letter of the same number or word."""
    return r"(?<![\w,.-])" + re.escape(text) + r"\.?$"


def sum_steps(a, b):
    """What follows "a + b = ": the tens of b first, then its ones. Small models add digit by digit with such steps."""
    if a < 10 <= b:
        return [f"{b} + {a}"] + sum_steps(b, a)
    if b < 10 or b % 10 == 0:
        return [str(a + b)]
    return [f"{a + b - b % 10} + {b % 10}", str(a + b)]


def difference_steps(a, b):
    """What follows "a - b = "."""
    if a < b:
        return [f"-({step})" for step in [f"{b} - {a}"] + difference_steps(b, a)[:-1]] + [str(a - b)]
    if b < 10 or b % 10 == 0:
        return [str(a - b)]
    return [f"{a - b + b % 10} - {b % 10}", str(a - b)]


def times_steps(a, b):
    """What follows "a x b = ": the smaller number first, as in the table."""
    return [f"{b} x {a}", str(a * b)] if a > b else [str(a * b)]


def sort_steps(words):
    """"ra pr th > pr ra th: project, range, through": beginnings as they come, beginnings in order, words in order."""
    in_order = sorted(words)
    return f"{' '.join(word[:2] for word in words)} > {' '.join(word[:2] for word in in_order)}: {', '.join(in_order)}"


def reverse_steps(word):
    """"c-a-t, t-a-c: tac": a letter at a time, so that none is lost."""
    return f"{'-'.join(word)}, {'-'.join(word[::-1])}: {word[::-1]}"


class Skills:
    """Draws exchanges for a split. All state is read-only: the texts."""

    def __init__(self):
        self.about, self.about_frames = read_topics("about.txt")
        self.smalltalk, self.smalltalk_frames = read_topics("smalltalk.txt")
        self.facts, self.facts_frames = read_topics("facts.txt")
        self.unknown, self.unknown_frames = read_topics("unknown.txt")
        self.unknown_lists = read_lists("unknown.txt")
        self.tasks, self.task_frames = read_topics("tasks.txt")
        self.first, _ = read_topics("first.txt")
        self.lists = read_lists("lists.txt")
        self.names, self.held_out_names = read_names()
        words = [word for word in read_words() if 3 <= len(word) <= 12]
        self.words = {}  # (task, split) -> words
        for task in ("reverse", "count_letters", "count_letter", "spell", "first_letter", "last_letter", "upper", "repeat",
                     "sort"):
            for split in (TRAIN, DEV, TEST):
                self.words[task, split] = [word for word in words if split_of(task + " " + word, 12) == split]
        self.units = []
        for entry in self.lists["unit"]:
            match = re.fullmatch(r"(\w+)=(\w+) (\d+)", entry)
            self.units.append((match[1], match[2], int(match[3])))
        self.greetings = [tuple(entry.split("=")) for entry in self.lists["greeting"]]

    # ---- wording

    def frame(self, rng, frames, split, text, percent=18):
        """The text behind one of the split's beginnings, or alone."""
        if not rng.chance(percent if split == TRAIN else 30):
            return text
        start = rng.choice(frames[split])
        keep = re.match(r"(I|I'm|StableLM|GPT|[A-Z]{2,})\b", text)
        return start + (first_lower(text) if start.rstrip()[-1] in ",:" and not keep else text)

    def fill(self, rng, text, slots):
        return re.sub(r"\{(\w+)\}", lambda match: slots[match[1]], text)

    # ---- a, b, g: questions with ready answers

    def topic_of(self, name):
        file, _, topic = name.partition(".")
        return getattr(self, file)[topic]

    def about_exchange(self, rng, split, topic=None):
        topic = topic or rng.choice(list(self.about.values()))
        user = rng.choice(topic.get("ask", split))
        kinds = [kind for kind in ("to_do", "thing", "indirect") if topic.get(kind)]
        if split == TRAIN and kinds and rng.chance(60):
            kind = rng.weighted([(kind, len(topic.get(kind))) for kind in kinds])
            user = first_upper(rng.choice(self.about_frames[kind]).replace("{p}", rng.choice(topic.get(kind))))
        user = self.frame(rng, self.about_frames, split, user)
        return Exchange("a", topic.name, user, rng.choice(topic.get("reply")), {"regex": topic.expects})

    def smalltalk_exchange(self, rng, split, topic=None):
        topic = topic or rng.choice(list(self.smalltalk.values()))
        slots = {name: rng.choice(self.lists[name]) for name in ("thing", "pet", "city", "day")}
        user = self.fill(rng, rng.choice(topic.get("ask", split)), slots)
        user = self.frame(rng, self.smalltalk_frames, split, first_upper(user), 10)
        reply = first_upper(self.fill(rng, rng.choice(topic.get("reply")), slots))
        expects = self.fill(rng, topic.expects, {key: re.escape(value) for key, value in slots.items()})
        return Exchange("b", topic.name, user, reply, {"regex": expects})

    def unknown_exchange(self, rng, split, topic=None):
        topic = topic or rng.choice([t for t in self.unknown.values() if t.name not in ("all", "can")])
        slots = {name: rng.choice(items) for name, items in self.unknown_lists.items()}
        user = first_upper(self.fill(rng, rng.choice(topic.get("ask", split)), slots))
        user = self.frame(rng, self.unknown_frames, split, user)
        return Exchange("g", topic.name, user, self.honest_reply(rng), {"or_honest": True})

    def honest_reply(self, rng):
        can = rng.choice(self.unknown["can"].get("reply"))
        return self.fill(rng, rng.choice(self.unknown["all"].get("reply")), {"can": can})

    # ---- memory of b

    def memory_value(self, rng, name):
        if name == "my_name":
            return self.some_name(rng, TRAIN)
        return rng.choice(self.lists[{"my_city": "city", "my_colour": "colour", "my_job": "job", "my_food": "food"}[name]])

    def memory(self, rng, split, name=None):
        """(what the user tells, what the user asks later)."""
        name = name or rng.choice(["my_name", "my_name", "my_city", "my_colour", "my_job", "my_food"])
        topic, slots = self.tasks[name], {"v": self.memory_value(rng, name)}
        say = lambda text: fix_articles(first_upper(self.fill(rng, text, slots)))
        told = Exchange("b", "told", say(rng.choice(topic.get("ask", split))), say(rng.choice(topic.get("reply"))),
                        {"regex": re.escape(slots["v"])})
        asked = Exchange("b", "remember", say(rng.choice(topic.get("recall", split))),
                         say(rng.choice(topic.get("recall_reply"))), {"regex": r"\b" + re.escape(slots["v"]) + r"\b"})
        return told, asked

    def some_name(self, rng, split):
        """A given name; in training often an invented one, so that names are copied and not known."""
        if split != TRAIN:
            return rng.choice(self.held_out_names[0 if split == TEST else 1::2])
        return self.invented_name(rng) if rng.chance(40) else rng.choice(self.names)

    def invented_name(self, rng):
        while True:
            name = "".join(rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") for _ in range(rng.between(1, 3)))
            name = first_upper(name + rng.choice(["", "n", "r", "l", "s", "x", "th"]))
            if len(name) > 2 and name not in self.held_out_names:
                return name

    # ---- c: numbers

    def number(self, rng):
        return rng.below(10) if rng.chance(30) else rng.between(10, 99)

    def number_pair(self, rng, split, name):
        while True:
            if name == "times":
                a, b = rng.between(1, 10), rng.between(1, 10)
                # Held out: one order of a pair whose other order is trained; the table has too few pairs otherwise.
                low, high = min(a, b), max(a, b)
                held = split_of(f"times {low} {high}", 4) if a != b else TRAIN
                where = held if (a < b) == (hash_of(f"order {low} {high}") % 2 == 0) else TRAIN
            else:
                a, b = self.number(rng), self.number(rng)
                if name == "difference" and a < b and not rng.chance(20):
                    a, b = b, a
                where = split_of(f"{name} {min(a, b)} {max(a, b)}")
            if where == split:
                return a, b

    def task(self, rng, split, name, slots, reply, check, skill, bare=None):
        topic = self.tasks[name]
        user = self.fill(rng, rng.choice(topic.get("ask", split)), slots)
        text = self.fill(rng, topic.get("reply")[0], slots | {"r": reply})
        user = self.frame(rng, self.task_frames, split, user, 12)
        return Exchange(skill, name, user, text, check, bare=bare)

    def numbers_exchange(self, rng, split, name=None):
        name = name or rng.weighted([("sum", 9), ("difference", 8), ("times", 4), ("convert", 3)])
        if name == "convert":
            return self.convert_exchange(rng, split)
        a, b = self.number_pair(rng, split, name)
        result = {"sum": a + b, "difference": a - b, "times": a * b}[name]
        steps = {"sum": sum_steps, "difference": difference_steps, "times": times_steps}[name](a, b)
        # In one word only what needs no steps.
        bare = steps[0] if len(steps) == 1 else None
        return self.task(rng, split, name, {"a": str(a), "b": str(b)}, " = ".join(steps), {"regex": last(str(result))},
                         "c", bare=bare)

    def convert_exchange(self, rng, split):
        while True:
            source, to, factor = rng.choice(self.units)
            n = rng.between(2, 12)
            # Amounts are held out where the result is written and not computed; of the others the wording is.
            if factor in (10, 100, 1000) and split_of(f"convert {n} {source}", 6) != split:
                continue
            slots = {"n": str(n), "from": source, "to": to}
            result = f"{n * factor:,}"
            return self.task(rng, split, "convert", slots, result, {"regex": last(f"{result} {to}").replace(",", ",?")},
                             "c", bare=result)

    # ---- d: words and letters

    def some_word(self, rng, split, name):
        """A word of the split; in training sometimes letters in a row, so that the rule is learned and not the words."""
        if split == TRAIN and rng.chance(35):
            while True:
                word = "".join(rng.choice("etaoinshrdlucmfwygpbvkxqjz"[:rng.choice([14, 26])])
                               for _ in range(rng.between(3, 11)))
                if split_of(name + " " + word, 12) == TRAIN:
                    return word
        return rng.choice(self.words[name, split])

    def words_exchange(self, rng, split, name=None):
        name = name or rng.weighted([("reverse", 6), ("count_letters", 4), ("count_letter", 4), ("sort", 4), ("upper", 3),
                                     ("repeat", 3), ("spell", 2), ("first_letter", 1), ("last_letter", 1)])
        if name in ("upper", "repeat"):
            text = " ".join(self.some_word(rng, split, name) for _ in range(rng.between(1, 4)))
            reply = text.upper() if name == "upper" else text
            case = "(?-i:%s)" if name == "upper" else "%s"
            check = {"regex": "^" + case % re.escape(reply) + r"\.?$"}
            return self.task(rng, split, name, {"text": text}, reply, check, "d")
        if name == "sort":
            words = []
            while len(words) < rng.between(3, 5):
                word = rng.choice(self.words[name, split])
                if word not in words:
                    words.append(word)
            rng.shuffle(words)
            joined = rng.choice([", ".join(words), ", ".join(words[:-1]) + " and " + words[-1], " ".join(words)])
            expects = re.escape(", ".join(sorted(words)))
            return self.task(rng, split, name, {"list": joined}, sort_steps(words), {"regex": rf"(^|: ){expects}\.?$"}, "d")
        word = self.some_word(rng, split, name)
        slots = {"w": word}
        if name == "reverse":
            return self.task(rng, split, name, slots, reverse_steps(word), {"regex": last(word[::-1])}, "d")
        if name == "count_letters":
            count = str(len(word))
            reply = " ".join(f"{letter}{i}" for i, letter in enumerate(word, 1)) + f": {count} letters"
            return self.task(rng, split, name, slots, reply, {"regex": r"(?<!\w)" + count + r" letters\.?$"}, "d")
        if name == "count_letter":
            letter = rng.choice(word) if rng.chance(85) else rng.choice("abcdefghijklmnoprstuvwxyz")
            count, parts = 0, []
            for each in word:
                count += each == letter
                parts.append(each + (str(count) if each == letter else ""))
            reply = f"{' '.join(parts)}: {count}"
            return self.task(rng, split, name, slots | {"letter": letter}, reply, {"regex": last(str(count))}, "d")
        reply = {"spell": "-".join(word), "first_letter": word[0], "last_letter": word[-1]}[name]
        return self.task(rng, split, name, slots, reply, {"regex": "^" + re.escape(reply) + r"\.?$"}, "d")

    # ---- e: facts

    def fact_exchanges(self, rng, split, follow):
        """One exchange about a fact, or two of which the second follows the first."""
        # More questions about relations with more facts.
        topic = rng.weighted([(topic, 4 + len(topic.facts)) for topic in self.facts.values()])
        if topic.name == "single":
            question, answer, expects = rng.choice(topic.facts)
            ask = rng.choice(topic.get("ask", split))
            if question.startswith(("Say ", "Count ", "Name ")):
                ask = ask.replace("?", ".")
            if not ask.startswith("{x}"):
                question = first_lower(question)
            user = ask.replace("{x}", question)
            return [Exchange("e", topic.name, self.frame(rng, self.facts_frames, split, user, 8), answer,
                             {"regex": expects})]
        facts = rng.sample(topic.facts, 2 if follow else 1)
        return [self.fact(rng, split, topic, fact, "follow" if i else "ask") for i, fact in enumerate(facts)]

    def fact(self, rng, split, topic, fact, what):
        slots = {"x": fact[0], "y": fact[1]}
        say = lambda text: fix_articles(first_upper(self.fill(rng, text, slots)))
        user = say(rng.choice(topic.get(what, split)))
        if what == "ask":
            user = self.frame(rng, self.facts_frames, split, user, 12)
        name = topic.name if what == "ask" else "follow_up"
        bare = fact[1] if " " not in fact[1] else None
        return Exchange("e", name, user, say(rng.choice(topic.get("reply"))),
                        {"regex": r"\b" + re.escape(fact[1]) + (r"\b" if fact[1][-1].isalnum() else "")},
                        bare=bare and first_upper(bare))

    # ---- i: first prompts

    def first_topic(self, topic):
        """(replies, expression) of a topic of first.txt."""
        same = topic.get("same_as")
        if not same:
            return topic.get("reply"), {"regex": topic.expects} if topic.expects != "sum" else None
        name, _, fact = same[0].partition(" ")
        if name == "unknown.all":
            return None, {"or_honest": True}
        other = self.topic_of(name)
        if fact:
            y = dict(other.facts)[fact]
            return [self.fill(None, text, {"x": fact, "y": y}) for text in other.get("reply")], {"regex": y}
        return other.get("reply"), {"regex": other.expects}

    def first_exchange(self, rng, topic, user):
        if topic.name == "two":
            a, b = re.findall(r"\d+", user)[:2]
            total = str(int(a) + int(b))
            return Exchange("i", topic.name, user, f"{a} + {b} = {total}", {"regex": last(total)})
        replies, check = self.first_topic(topic)
        reply = rng.choice(replies) if replies else self.honest_reply(rng)
        return Exchange("i", topic.name, user, reply, check)

    def any_first(self, rng):
        topic = rng.weighted([(topic, len(topic.get("ask"))) for topic in self.first.values()])
        return self.first_exchange(rng, topic, rng.choice(topic.get("ask")))
