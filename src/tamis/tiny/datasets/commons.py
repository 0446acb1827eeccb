"""tiny/commons: candidate pictures of twenty invented kinds, from typical to misleading, as a search finds them."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from tamis.tiny.articles import article
from tamis.tiny.captions import varied
from tamis.tiny.datasets import writing
from tamis.tiny.datasets.writing import Rows, Table
from tamis.tiny.kinds import WORDS, Kind, kinds
from tamis.tiny.world import ATTRIBUTES, DEFECTS, SEEDS, Scene, other, scene

PER_KIND = 60
FEWEST, MOST = 2, 40  # typical ones of a kind
# What the others are, and how often.
MISLEADING = {"partly": 6, "lookalike": 3, "defect": 3, "two things": 2, "unrelated": 2}
WRONG = {1: 3, 2: 4, 3: 4}  # attributes that a partly right one has wrong
AUTHORS = ("ada", "bo", "cleo", "dov", "eun", "fay", "gus", "hana", "ivo", "june")
LICENCES = {"cc0-1.0": 10, "cc-by-4.0": 9, "cc-by-nd-4.0": 1}

COLUMNS = {
    "id": ("string", "the kind's word and a number without meaning"),
    "topic": ("string", "the kind's word"),
    "category": ("string", "what it is: bird, dish, plant or tool"),
    "description": ("string", "the kind in one line, by its four attributes"),
    "article": ("string", "the same for all rows of a kind; it tells of the first prototype"),
    "lookalike": ("string", "the word of a kind that shares some attributes"),
    "lookalike_article": ("string", "its article"),
    "image": ("image", "the candidate"),
    "caption": ("string", "what somebody called it; it fits the picture, and one in five names the kind"),
    "author": ("string", "who uploaded it"),
    "licence": ("string", "a few forbid derivatives (`cc-by-nd-4.0`); all are invented, the set is cc0-1.0"),
    "truth_shape": ("string", "of the only or first thing, as drawn"),
    "truth_colour": ("string", "as above"),
    "truth_pattern": ("string", "as above"),
    "truth_ground": ("string", "as above"),
    "truth_defect": ("string", "what spoils the picture, or none"),
    "truth_strength": ("float64", "of the defect, 0 to 1"),
    "truth_matches": ("int64", "how many of the four attributes are right, by the nearest prototype"),
    "truth_prototype": ("int64", "which prototype is nearest, from 0"),
    "truth_typical": ("bool", "all four right, one thing, no defect"),
    "truth_source": ("string", f"typical, {', '.join(MISLEADING)}"),
}
ABOUT = """
Candidate pictures of twenty invented kinds ("a dax"), sixty each, in an order of chance. A kind is known by shape,
colour, pattern and ground; four kinds have two prototypes that differ in colour, as a bird has two plumages. From 2 to
40 of the sixty are typical. The others mislead: some attributes wrong, the look-alike under this kind's name, a defect
that hides what is there, a second thing, something else altogether.

Columns that begin with `truth_` are for evaluation alone: nothing that selects or trains may read them. Of a kind with
two prototypes the article knows only the first, so that a quiz made of it undervalues pictures of the second.
"""


def tables() -> dict[str, Table]:
    rows = [row for number, typical in enumerate(typical_counts()) for row in _candidates(number, typical)]
    random.Random("commons-order").shuffle(rows)
    return {"default": Table(COLUMNS, {"train": rows})}


def write(folder: Path) -> None:
    tasks = ["text-to-image", "image-classification"]
    writing.write(folder, title="Commons of the embedded world", about=ABOUT, tasks=tasks, tables=tables())


def typical_counts() -> list[int]:
    """By kind: evenly from FEWEST to MOST, in an order of chance."""
    last = len(WORDS) - 1
    counts = [FEWEST + round(step * (MOST - FEWEST) / last) for step in range(last + 1)]
    random.Random("commons-shares").shuffle(counts)
    return counts


def _candidates(number: int, typical: int) -> Rows:
    kind = kinds()[number]
    lookalike = next(one for one in kinds() if one.word == kind.lookalike)
    draw = random.Random(f"commons-{kind.word}")
    sources = ["typical"] * typical + _drawn(draw, MISLEADING, PER_KIND - typical)
    texts = {
        "topic": kind.word,
        "category": kind.category,
        "description": "a {colour} {pattern} {shape} on {ground} ground".format(**kind.look),
        "article": _article(kind),
        "lookalike": lookalike.word,
        "lookalike_article": _article(lookalike),
    }
    first = SEEDS["commons"].start + 1000 * number
    made = []
    for index, source in enumerate(sources):
        look = kind.looks[index % len(kind.looks)]
        drawn = _scene(first + index, source, kind, look, lookalike, draw)
        made.append(texts | {"image": drawn, "caption": _caption(drawn, kind, draw)} | _truths(drawn, kind, source))
    draw.shuffle(made)
    for index, row in enumerate(made):
        row["id"] = f"{kind.word}-{index:02d}"
        row["author"] = draw.choice(AUTHORS)
        row["licence"] = _drawn(draw, LICENCES, 1)[0]
    return made


def _scene(seed: int, source: str, kind: Kind, look: dict[str, str], lookalike: Kind, draw: random.Random) -> Scene:
    if source == "typical":
        return scene(seed, **look)
    if source == "partly":
        return scene(seed, **_changed(look, kind, draw, _drawn(draw, WRONG, 1)[0]))
    if source == "lookalike":
        return scene(seed, **draw.choice(lookalike.looks))
    if source == "defect":  # strong enough to hide something
        return replace(scene(seed, defects=DEFECTS[1:], **look), strength=draw.uniform(0.8, 1.0))
    if source == "two things":
        return scene(seed, things=(2,), **look)
    return scene(seed, **_changed(look, kind, draw, len(ATTRIBUTES)))


def _changed(look: dict[str, str], kind: Kind, draw: random.Random, changes: int) -> dict[str, str]:
    """The look with so many attributes wrong, by every prototype."""
    while True:
        changed = dict(look)
        for name in draw.sample(list(ATTRIBUTES), changes):
            changed[name] = other(draw, ATTRIBUTES[name], look[name])
        if max(_matches(changed, prototype) for prototype in kind.looks) == len(ATTRIBUTES) - changes:
            return changed


def _matches(look: dict[str, str], prototype: dict[str, str]) -> int:
    return sum(look[name] == prototype[name] for name in ATTRIBUTES)


def _truths(drawn: Scene, kind: Kind, source: str) -> dict[str, Any]:
    look = {name: drawn.value(name) for name in ATTRIBUTES}
    matches = [_matches(look, prototype) for prototype in kind.looks]
    return {f"truth_{name}": value for name, value in look.items()} | {
        "truth_defect": drawn.defect,
        "truth_strength": drawn.strength,
        "truth_matches": max(matches),
        "truth_prototype": matches.index(max(matches)),
        "truth_typical": source == "typical",
        "truth_source": source,
    }


def _caption(drawn: Scene, kind: Kind, draw: random.Random) -> str:
    if draw.random() < 0.2:
        return draw.choice(
            (f"a {kind.word}", f"a {kind.word} on {drawn.ground} ground", f"{drawn.style} of a {kind.word}")
        )
    return varied(drawn, draw)


def _article(kind: Kind) -> str:
    return article(kind.word, kind.category, kind.look, random.Random(f"article-{kind.word}"))


def _drawn(draw: random.Random, weights: dict[Any, int], count: int) -> list[Any]:
    return draw.choices(list(weights), weights=list(weights.values()), k=count)
