"""Development and test sets: prompts with machine checks, in the wording and with the words that training lacks."""

from .conversations import OWN_SYSTEM, SystemText, draw, messages_of, vary
from .rng import Rng
from .texts import DEV, TEST, words_of

SIZES = {DEV: 200, TEST: 220, "turns": 200}
HISTORY_WORDS = 12  # of a reply before the question: a 13-gram would be one of training


def _item(skill, exchange, history, system, no_system):
    messages = messages_of(system, history) + [{"role": "user", "content": exchange.user}]
    item = {"subtask": exchange.subtask, "messages": messages, "check": exchange.check}
    if no_system:
        item["no_system"] = True
    return item


def _history(skills, rng, skill, count, system):
    """Earlier exchanges of other skills."""
    others = [name for name in "bcde" if name != skill]
    if system is not None and system.kind == "one_word":
        others = ["c", "e"]
    elif system is not None and system.kind in ("end_with", "begin_with", "capitals"):
        others = ["b", "c", "e"]
    history = []
    while len(history) < count:
        found = draw(skills, rng, TEST, rng.choice(others), system)
        if all(len(words_of(each.reply)) <= HISTORY_WORDS for each in found):
            history.extend(found[:1])
    return [each._replace(user=vary(rng, each.user, 30)) for each in history]


def _target(skills, rng, skill, split, system):
    """(exchanges that must come before, the exchange that is checked)."""
    if skill == "f":
        own = system.own_exchange(rng)
        if own:
            return [], own
        names = ["c", "e", "e", "b"] if system.kind != "one_word" else ["c", "e"]
        return [], draw(skills, rng, split, rng.choice(names), system)[0]._replace(skill="f", subtask=system.kind)
    if skill == "b" and rng.chance(20):
        told, asked = skills.memory(rng, split)
        return [told], asked
    found = draw(skills, rng, split, skill)
    return found[:-1], found[-1]


def make_set(skills, seed, skill, kind):
    """Items of demo/sets/SKILL.KIND.jsonl; kind: dev, test or turns, of which the question is turn 3 to 6."""
    rng = Rng(seed)
    split = DEV if kind == DEV else TEST
    items, seen, tries = [], set(), 0
    while len(items) < SIZES[kind]:
        tries += 1
        if tries > 50000:
            raise ValueError(f"{skill}.{kind}: only {len(items)} different prompts")
        system = SystemText(skills, rng, split, OWN_SYSTEM[tries % len(OWN_SYSTEM)]) if skill == "f" else None
        before, target = _target(skills, rng, skill, split, system)
        target = target._replace(user=vary(rng, target.user, 40))
        if kind == "turns":
            count = rng.between(2, 5) - len(before)
            history = _history(skills, rng, skill, count, system)
            # What the user told comes first; a follow-up stays behind its question.
            before = before + history if target.subtask == "remember" else history + before
        key = tuple(word for each in [*before, target] for word in words_of(each.user) + ["/"])
        key += tuple(words_of(system.text)) if system else ()
        if key in seen:
            continue
        seen.add(key)
        items.append(_item(skill, target, before, system.text if system else None, len(items) % 3 == 2 and not system))
    return items


def first_prompts(skills):
    rng = Rng(3)
    items = []
    for topic in skills.first.values():
        for user in topic.get("ask"):
            exchange = skills.first_exchange(rng, topic, user)
            items.append({"subtask": topic.name, "messages": [{"role": "user", "content": user}],
                          "check": exchange.check})
    return items
