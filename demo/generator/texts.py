"""Reads demo/texts. The head of each file describes its format."""

import pathlib
import re

TEXTS = pathlib.Path(__file__).resolve().parent.parent / "texts"
TRAIN, DEV, TEST = "train", "dev", "test"
# Tags of a line: (what, split).
_TAGS = {"~": ("frame", TRAIN), "!": ("reply", TRAIN), "=": ("expects", TRAIN), "&": ("same_as", TRAIN)}
for _letter, _what in (("", "ask"), ("f", "follow"), ("s", "system"), ("q", "recall"), ("~", "frame")):
    _TAGS[_letter + "d"] = (_what, DEV)
    _TAGS[_letter + "t"] = (_what, TEST)
_TAGS.update({"?": ("ask", TRAIN), "f": ("follow", TRAIN), "s": ("system", TRAIN), "q": ("recall", TRAIN),
              "a": ("recall_reply", TRAIN), "v": ("to_do", TRAIN), "n": ("thing", TRAIN), "i": ("indirect", TRAIN)})
_SENTENCES = {"v+": "to_do", "n+": "thing", "i+": "indirect"}


class Topic:
    """The lines of one topic by what they are: ask, follow, system, recall as split -> list, the others as lists."""

    def __init__(self, name):
        self.name = name
        self.facts = []  # of facts.txt: (x, y) or, of "single", (question, answer, expression)
        self.lines = {}

    def add(self, what, split, text):
        self.lines.setdefault((what, split), []).append(text)

    def get(self, what, split=TRAIN):
        return self.lines.get((what, split), [])

    @property
    def expects(self):
        return self.get("expects")[0]


def _read(name):
    return (TEXTS / name).read_text(encoding="utf-8").split("\n")


def read_topics(name):
    """name -> Topic, in the order of the file, and the frames: split -> list of beginnings, "to_do", "thing" and "indirect"
    -> list of sentences."""
    topics, topic = {}, None
    frames = {TRAIN: [], DEV: [], TEST: [], "to_do": [], "thing": [], "indirect": []}
    for number, line in enumerate(_read(name), 1):
        if not line or line.startswith("#"):
            continue
        if line.startswith("@"):
            topic = topics.setdefault(line[1:], Topic(line[1:]))
            continue
        tag, _, text = line.partition(" ")
        if tag in _SENTENCES:
            frames[_SENTENCES[tag]].append(text)
        elif tag in _TAGS:
            what, split = _TAGS[tag]
            if what == "frame":
                frames[split].append(text)
            else:
                topic.add(what, split, text.replace("\\n", "\n"))
        elif topic is not None and topic.name == "single":
            match = re.fullmatch(r"(.+?): (.+) = (.+)", line)
            topic.facts.append((match[1], match[2], match[3]))
        elif topic is not None and ": " in line:
            for fact in line.split(" | "):
                x, _, y = fact.partition(": ")
                topic.facts.append((x, y))
        else:
            raise ValueError(f"{name}:{number}: no such tag: {line}")
    return topics, frames


def read_lists(name):
    """Lines "name: item, item"."""
    lists = {}
    for line in _read(name):
        match = re.fullmatch(r"(\w+): (.+)", line)
        if match and not line.startswith(("#", "~")):
            lists[match[1]] = [item.strip() for item in match[2].split(",")]
    return lists


def read_names():
    """(names of training, names that are held out)."""
    text = "\n".join(line for line in _read("names.txt") if not line.startswith("#"))
    train, held_out = text.split("held out:")
    return re.findall(r"\w+", train), re.findall(r"\w+", held_out)


def read_words():
    return [word for line in _read("words.txt") if not line.startswith("#") for word in line.split()]


def first_upper(text):
    return text[:1].upper() + text[1:]


def first_lower(text):
    return text[:1].lower() + text[1:]


def fix_articles(text):
    """"a apple" -> "an apple"."""
    return re.sub(r"\b([Aa]) (?=[aeiou])(?!uni|use|eu|one)", r"\1n ", text)


def words_of(text):
    """Words for comparisons: letters and digits in lower case, as `prepare` compares them."""
    return re.findall(r"[^\W_]+", text.lower())
