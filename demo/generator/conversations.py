"""Conversations for training: exchanges of all skills in several turns, with and without system text."""

import re

from .skills import Exchange
from .texts import TEST, TRAIN, first_upper, fix_articles

# Share of each skill among the exchanges of training.
SKILL_WEIGHTS = [("a", 14), ("b", 9), ("memory", 5), ("c", 20), ("d", 30), ("e", 18), ("g", 7), ("i", 10)]
TURNS = [(1, 600), (2, 440), (3, 320), (4, 260), (5, 200), (6, 160), (12, 14), (40, 6)]
# Of long conversations, so that no position of the context is unknown: 60 exchanges have about 1,500 tokens.
LONG_TURNS = [(40, 1), (60, 2), (80, 3), (100, 1)]
OWN_SYSTEM = ["be_named", "know_user", "greet_language", "one_word", "end_with", "begin_with", "secret", "capitals"]
DEFAULT = object()  # the system text of the model's chat record


def vary(rng, user, percent=60):
    """The text as people type it: without its last mark, in lower case, without capitals or with too many marks."""
    if not rng.chance(percent):
        return user
    way = rng.below(10)
    if way < 4:
        user = re.sub(r"[.?!]$", "", user)
    if way in (0, 1, 4, 5, 6, 7):
        user = user.lower()
    if way == 8:
        user = re.sub(r"([.?!])$", r" \1", user)
    if way == 9:
        user = re.sub(r"([?!])$", r"\1\1", user)
    return user.strip() or "?"


def mistype(rng, user):
    """Two letters swapped, or one left out or doubled."""
    at = rng.below(max(1, len(user) - 1))
    if not user[at:at + 2].isalpha():
        return user
    return user[:at] + rng.choice([user[at + 1:at + 2] + user[at:at + 1], user[at:at + 1], user[at:at + 1] + user[at:at + 2]]
                                  ) + user[at + 2:]


def as_typed(rng, exchange):
    """The exchange with its question as people type it. Words of tasks and names stay as they are."""
    user = (vary_first if exchange.skill == "i" else vary)(rng, exchange.user)
    if exchange.skill in "aegi" and len(user) > 12 and rng.chance(8):
        user = mistype(rng, user)
    return exchange._replace(user=user)


def vary_first(rng, user):
    """Spellings of a first prompt."""
    user = vary(rng, user, 70)
    return user.upper() if rng.chance(6) and user.isascii() else user


class SystemText:
    """A system text that asks for something, and what it does to exchanges."""

    def __init__(self, skills, rng, split, kind=None):
        self.skills, self.split = skills, split
        self.kind = kind or rng.choice(OWN_SYSTEM)
        self.topic = skills.tasks[self.kind]
        self.value = self._value(rng)
        self.text = first_upper(skills.fill(rng, rng.choice(self.topic.get("system", split)), {"v": self.value}))

    def _value(self, rng):
        skills = self.skills
        if self.kind in ("be_named", "know_user"):
            return skills.some_name(rng, self.split)
        if self.kind == "greet_language":
            self.greeting = rng.choice(skills.greetings)
            return self.greeting[0]
        if self.kind == "secret":
            return skills.some_word(rng, self.split, "repeat")
        if self.kind in ("end_with", "begin_with"):
            words = [skills.some_word(rng, self.split, "repeat") for _ in range(rng.between(1, 3))]
            return first_upper(" ".join(words)) + rng.choice(["!", ".", ""])
        return ""

    def own_exchange(self, rng):
        """What the system text is about; None where it changes all exchanges alike."""
        asks = self.topic.get("ask", self.split)
        if not asks:
            return None
        user = rng.choice(asks)
        reply, expects = rng.choice(self.topic.get("reply")), self.value
        if self.kind == "greet_language":
            reply = expects = self.greeting[1]
        reply = self.skills.fill(rng, reply, {"v": self.value, "r": reply})
        if self.kind == "know_user" and re.search(r"\b(my|I)\b", user):
            reply = f"You are {self.value}."
        return Exchange("f", self.kind, user, reply, {"regex": r"(?<!\w)" + re.escape(expects.rstrip("!"))})

    def fits(self, exchange):
        """Whether the exchange may stand under this text."""
        if self.kind == "one_word":
            return exchange.bare is not None
        if self.kind == "be_named":
            return exchange.subtask not in ("who", "name", "maker", "human", "chatgpt", "stablelm")
        if self.kind in ("know_user", "greet_language"):
            return exchange.subtask not in ("hello", "told", "remember", "hola", "hallo", "bonjour", "ciao", "ola")
        if self.kind == "capitals" and exchange.reply.upper() == exchange.reply:
            return False
        if self.kind in ("end_with", "begin_with", "capitals"):
            return exchange.skill in "bce" and len(exchange.reply) < 80
        return exchange.subtask != "remember"

    def apply(self, exchange):
        """The exchange as the system text wants it, with the check of that alone."""
        value, reply = self.value, exchange.reply
        if self.kind == "one_word":
            return exchange._replace(reply=exchange.bare, check={"regex": "^" + re.escape(exchange.bare) + r"\.?$"})
        if self.kind == "end_with":
            return exchange._replace(reply=f"{reply} {value}", check={"regex": re.escape(value) + r"\W*$"})
        if self.kind == "begin_with":
            return exchange._replace(reply=f"{value} {reply}", check={"regex": r"^\W*" + re.escape(value)})
        if self.kind == "capitals":
            return exchange._replace(reply=reply.upper(), check={"regex": "^(?-i:[^a-z]+)$"})
        return exchange


def draw(skills, rng, split, skill, system=None):
    """Exchanges of a skill, usually one; [told, asked] of "memory"."""
    while True:
        if skill == "a":
            found = [skills.about_exchange(rng, split)]
        elif skill == "b":
            found = [skills.smalltalk_exchange(rng, split)]
        elif skill == "memory":
            found = list(skills.memory(rng, split))
        elif skill == "c":
            found = [skills.numbers_exchange(rng, split)]
        elif skill == "d":
            found = [skills.words_exchange(rng, split)]
        elif skill == "e":
            found = skills.fact_exchanges(rng, split, rng.chance(25))
        elif skill == "g":
            found = [skills.unknown_exchange(rng, split)]
        else:
            found = [skills.any_first(rng)]
        if system is None or all(system.fits(each) for each in found):
            return [system.apply(each) for each in found] if system else found


def training_conversation(skills, rng, only="", turns_of=TURNS):
    """(system text, DEFAULT or None; list of exchanges). `only`: letters of skills, for trials; one exchange each."""
    if only:
        return (None if rng.chance(50) else DEFAULT), draw(skills, rng, TRAIN, rng.choice(only))[:1]
    kind = rng.weighted([("none", 34), ("default", 38), ("own", 28)])
    turns = rng.weighted(turns_of)
    if kind == "own":
        return own_system_conversation(skills, rng, turns)
    exchanges, pending = [], []  # pending: what the user may ask back
    while len(exchanges) < turns or pending:
        if pending and (len(exchanges) >= turns or rng.chance(40)):
            exchanges.append(pending.pop(0))
            continue
        skill = rng.weighted(SKILL_WEIGHTS)
        if skill == "memory":
            if not pending and turns > 1:
                told, asked = skills.memory(rng, TRAIN)
                exchanges.append(told)
                pending.append(asked)
            continue
        exchanges.extend(draw(skills, rng, TRAIN, skill))
    return (None if kind == "none" else DEFAULT), [as_typed(rng, each) for each in exchanges]


def own_system_conversation(skills, rng, turns):
    system = SystemText(skills, rng, TRAIN)
    exchanges = []
    while len(exchanges) < turns:
        own = system.own_exchange(rng) if not exchanges or rng.chance(25) else None
        if own:
            exchanges.append(own)
        elif system.kind in ("one_word", "end_with", "begin_with", "capitals"):
            skills_here = [("c", 3), ("e", 5), ("b", 3)] if system.kind != "one_word" else [("c", 3), ("e", 6)]
            exchanges.extend(draw(skills, rng, TRAIN, rng.weighted(skills_here), system))
        else:
            exchanges.extend(draw(skills, rng, TRAIN, rng.weighted([w for w in SKILL_WEIGHTS if w[0] != "memory"]), system))
    if rng.chance(50) and not any(each.subtask == "follow_up" for each in exchanges):
        rng.shuffle(exchanges)  # what the system text is about is not always the first question
    return system.text, [as_typed(rng, each) for each in exchanges]


def messages_of(system, exchanges):
    messages = [] if system is None or system is DEFAULT else [{"role": "system", "content": system}]
    for each in exchanges:
        messages.append({"role": "user", "content": each.user})
        messages.append({"role": "assistant", "content": each.reply})
    return messages
