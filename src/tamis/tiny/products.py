"""Products: a scene offered for sale, with a title, bullet points, and single-word questions from easy to hard."""

from __future__ import annotations

import random
from typing import Any

from tamis.tiny.questions import DIFFICULTIES
from tamis.tiny.world import Scene

TYPES = ("badge", "magnet", "sticker", "tile")
MATERIALS = ("wood", "steel", "felt", "clay", "glass")
ORIGINS = ("italy", "japan", "peru", "norway")


def product(scene: Scene, draw: random.Random) -> dict[str, Any]:
    """Facts, title and bullets. Material, origin and number in the pack stand in the text alone."""
    thing = scene.thing
    facts = {
        "type": draw.choice(TYPES),
        "shape": thing.shape,
        "colour": thing.colour,
        "pattern": thing.pattern,
        "size": thing.size,
        "ground": scene.ground,
        "material": draw.choice(MATERIALS),
        "origin": draw.choice(ORIGINS),
        "pack": draw.choice(("one", "two", "three")),
    }
    bullets = [
        "shape: {shape}".format(**facts),
        "colour: {colour}, {pattern}".format(**facts),
        "made of {material} in {origin}".format(**facts),
        "{size} {type}, {pack} in a pack".format(**facts),
    ]
    if draw.random() < 0.5:
        bullets.append("shown on {ground} ground".format(**facts))
    draw.shuffle(bullets)
    return {"facts": facts, "title": "{colour} {shape} {type}".format(**facts), "bullets": bullets}


def questions(
    facts: dict[str, str], draw: random.Random, difficulties: tuple[int, ...] = DIFFICULTIES
) -> list[dict[str, Any]]:
    """One question a difficulty: answers are single words. 0 and 1 are seen, 3 and 5 may need the text."""
    bank = {
        0: [("what shape is it?", "shape"), ("what colour is it?", "colour")],
        1: [("what pattern is on it?", "pattern"), ("what type is it?", "type")],
        2: [("how large is it?", "size"), ("what colour is the {shape}?", "colour")],
        3: [("what is it made of?", "material"), ("what pattern is on the {colour} {shape}?", "pattern")],
        5: [("where is it made?", "origin"), ("how many are in a pack?", "pack")],
    }
    made, used = [], set()
    for difficulty in difficulties:
        text, name = draw.choice([entry for entry in bank[difficulty] if entry[0] not in used])
        used.add(text)
        made.append({"question": text.format(**facts), "answer": facts[name], "difficulty": difficulty})
    return made
