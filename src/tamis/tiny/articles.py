"""Articles on kinds, and the quizzes that can be made of them."""

from __future__ import annotations

import random
from typing import Any

from tamis.tiny.questions import ASKED
from tamis.tiny.world import ATTRIBUTES

WAYS = min(len(forms) for forms in ASKED.values())  # to ask for one attribute

_FACTS = (
    "it was first named in {year}.",
    "people have known it since {year}.",
    "there are {count} names for it.",
    "it is kept in {count} museums.",
    "it is old.",
    "many like it.",
    "it is rare in the north.",
    "it is sold in spring.",
)


def article(word: str, category: str, look: dict[str, str], draw: random.Random) -> str:
    """What an encyclopaedia says of a kind: its look, in sentences of varying order, and a thing or two besides."""
    sentences = [
        draw.choice(
            (
                "its shape is a {shape}.",
                "it has the shape of a {shape}.",
                "it looks like a {shape}.",
            )
        ),
        draw.choice(("its colour is {colour}.", "it is {colour}.", "it has a {colour} colour.")),
        draw.choice(("its pattern is {pattern}.", "it is {pattern} all over.", "it has a {pattern} pattern.")),
        draw.choice(("it is found on {ground} ground.", "its ground is {ground}.", "it lives on {ground} ground.")),
    ]
    if draw.random() < 0.3:  # two of them in one breath
        sentences[1:3] = [f"it is {look['colour']} and {look['pattern']}."]
    sentences += draw.sample(_FACTS, draw.choice((0, 1, 2)))
    draw.shuffle(sentences)
    filled = [text.format(**look, year=draw.randint(1700, 1999), count=draw.randint(2, 9)) for text in sentences]
    return " ".join([f"the {word} is a {category}.", *filled])


def quiz(
    look: dict[str, str], lookalike: dict[str, str] | None, *, count: int, options: int = 4
) -> list[dict[str, Any]]:
    """Questions about what can be seen; with a look-alike, about what tells the two apart, its value among the wrong.

    Always in the same order, the right option first: who asks them shuffles. Fewer than `count` where there are no more
    different questions to ask.
    """
    asked = [name for name in ATTRIBUTES if lookalike is None or look[name] != lookalike[name]]
    made: list[dict[str, Any]] = []
    for number in range(min(count, len(asked) * WAYS)):
        name = asked[number % len(asked)]
        values = ATTRIBUTES[name]
        at = values.index(look[name])
        others = [value for value in (*values[at + 1 :], *values[:at]) if lookalike is None or value != lookalike[name]]
        choices = [look[name], *([lookalike[name]] if lookalike else []), *others][: min(options, len(values))]
        made.append({"question": ASKED[name][number // len(asked)], "options": choices, "answer": look[name]})
    return made
