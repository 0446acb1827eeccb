"""Kinds: invented words that name a look (shape, colour, pattern, ground), as a species or a dish does.

The twenty of KINDS are what tiny/commons shows. Their words stand in no text that a model of the zoo is trained on;
training uses words made by `invented` instead, so that writing a quiz is learnt and not remembered.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tamis.tiny.world import ATTRIBUTES, SEEDS, UNDER_TRAINED, other

WORDS = (
    "dax", "wug", "blicket", "fep", "zib", "toma", "gazzer", "lorp", "nabe", "modi",
    "kiki", "tulver", "pimwit", "sorbin", "vekka", "rooch", "jomfry", "quent", "hulbo", "yandel",
)  # fmt: skip
CATEGORIES = ("bird", "dish", "plant", "tool")
_BEGIN = (
    *("b", "br", "ch", "cr", "d", "f", "g", "gl", "h", "j", "k", "l"),
    *("m", "n", "p", "pl", "r", "s", "t", "tr", "v", "w", "z"),
)
_MIDDLE = ("a", "e", "i", "o", "u", "oo", "ee", "ai")
_END = (
    *("b", "ck", "d", "f", "g", "l", "m", "n", "p", "r", "s"),
    *("t", "x", "sk", "nt", "lla", "po", "ni", "ra", "zo", "mi", "ku"),
)


@dataclass(frozen=True)
class Kind:
    word: str
    category: str
    looks: tuple[dict[str, str], ...]  # one prototype, for some kinds two: attribute -> value
    lookalike: str  # the word of a kind that shares some attributes
    lookalike_look: dict[str, str]

    @property
    def look(self) -> dict[str, str]:
        return self.looks[0]

    @property
    def distinguishing(self) -> tuple[str, ...]:
        """The attributes in which the look-alike differs."""
        return tuple(name for name in ATTRIBUTES if self.look[name] != self.lookalike_look[name])


def invented(draw: random.Random) -> str:
    """A word like those of KINDS, and none of them."""
    while True:
        word = draw.choice(_BEGIN) + draw.choice(_MIDDLE) + draw.choice(_END)
        if draw.random() < 0.4:
            word += draw.choice(_MIDDLE) + draw.choice(_END)
        if word not in WORDS and word not in _REAL_WORDS:
            return word


_REAL_WORDS = {"red", "ring", "tan", "cat", "dog", "sad", "man", "bad", "gap", "bat", "has", "not", "nap", "rat"}


def random_look(draw: random.Random) -> dict[str, str]:
    return {name: draw.choice(values) for name, values in ATTRIBUTES.items()}


def altered(look: dict[str, str], draw: random.Random, changes: int) -> dict[str, str]:
    """The look with so many attributes changed."""
    changed = dict(look)
    for name in draw.sample(list(ATTRIBUTES), changes):
        changed[name] = other(draw, ATTRIBUTES[name], look[name])
    return changed


def kinds() -> tuple[Kind, ...]:
    """The twenty kinds, always the same: pairs of look-alikes, four kinds with a second prototype."""
    draw = random.Random(SEEDS["kinds"].start)
    # A kind that nobody could draw would tell nothing about selection: no under-trained shapes.
    shapes = [shape for shape in ATTRIBUTES["shape"] if shape not in UNDER_TRAINED]
    decks = {name: _deck(draw, tuple(shapes) if name == "shape" else values) for name, values in ATTRIBUTES.items()}
    made: list[Kind] = []
    for pair in range(len(WORDS) // 2):
        words, category = WORDS[2 * pair : 2 * pair + 2], CATEGORIES[pair % len(CATEGORIES)]
        look = {name: deck.pop() for name, deck in decks.items()}
        alike = dict(look)
        for name in draw.sample(list(ATTRIBUTES), 2 + pair % 2):
            deck = decks[name]
            alike[name] = deck.pop(next(at for at in range(len(deck) - 1, -1, -1) if deck[at] != look[name]))
        for word, own, others_word, others in ((words[0], look, words[1], alike), (words[1], alike, words[0], look)):
            looks: tuple[dict[str, str], ...] = (own,)
            if pair % 5 == 4:  # four kinds: as a bird has a male's and a female's plumage
                looks = (own, own | {"colour": other(draw, ATTRIBUTES["colour"], own["colour"])})
            made.append(Kind(word, category, looks, others_word, others))
    return tuple(made)


def _deck(draw: random.Random, values: tuple[str, ...]) -> list[str]:
    """Each value as often as any other, in an order of chance."""
    cards: list[str] = []
    while len(cards) < 2 * len(WORDS):
        cards += draw.sample(values, len(values))
    return cards
