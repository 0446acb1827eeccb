"""tiny/prompts: class-conditional prompts for text-to-image, a class a shape, some of them held out."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

from tamis.tiny.datasets import writing
from tamis.tiny.datasets.writing import Rows, Table
from tamis.tiny.questions import RELATIONS
from tamis.tiny.world import COLOURS, GROUNDS, PATTERNS, SEEDS, SHAPES, UNDER_TRAINED, other

# By split: plain and complex ones of each class.
COUNTS = {"train": (24, 6), "heldout": (12, 12)}
PLAIN = (
    "a {look} on {ground} ground",
    "a photo of a {look} on {ground} ground",
    "a drawing of a {look} on {ground} ground",
    "a picture of a {look} on {ground} ground",
    "{ground} ground with a {look}",
    "one {look}, {ground} ground",
)
COMPLEX = "a {look} {relation} a {other} on {ground} ground"

COLUMNS = {
    "id": ("string", "class, complexity and a number"),
    "class": ("string", "the shape that the prompt is about"),
    "prompt": ("string", "what to draw: all four attributes of the class's thing"),
    "complexity": ("string", "plain: one thing; complex: two things and where one stands from the other"),
    "truth_shape": ("string", "asked of the class's thing: the class"),
    "truth_colour": ("string", "asked of the class's thing"),
    "truth_pattern": ("string", "asked of the class's thing"),
    "truth_ground": ("string", "asked of the picture"),
    "truth_relation": ("string", "where it stands from the other thing; null if plain"),
    "truth_other": ("string", "the other thing: colour, pattern and shape; null if plain"),
}
ABOUT = f"""
Prompts for drawn scenes, a class a shape. Two classes ({" and ".join(UNDER_TRAINED)}) are rare in what the embedded
world's diffusion model was trained on. No text of `heldout` stands in `train`, and no class has the same colour,
pattern and ground in both. That model was taught single things: complex prompts are beyond it, and there to see that.
"""


def tables() -> dict[str, Table]:
    splits: dict[str, Rows] = {split: [] for split in COUNTS}
    for number, shape in enumerate(SHAPES):
        draw = random.Random(SEEDS["prompts"].start + number)
        looks = list(itertools.product(COLOURS, PATTERNS, GROUNDS))
        draw.shuffle(looks)
        for split, (plain, involved) in COUNTS.items():
            for index in range(plain + involved):
                splits[split].append(_prompt(shape, *looks.pop(), index >= plain, draw, f"{split}-{index:02d}"))
    return {"default": Table(COLUMNS, splits)}


def write(folder: Path) -> None:
    title = "Prompts of the embedded world"
    writing.write(folder, title=title, about=ABOUT, tasks=["text-to-image"], tables=tables())


def _prompt(
    shape: str, colour: str, pattern: str, ground: str, involved: bool, draw: random.Random, number: str
) -> dict[str, Any]:
    row = {
        "id": f"{shape}-{number}",
        "class": shape,
        "complexity": "complex" if involved else "plain",
        "truth_shape": shape,
        "truth_colour": colour,
        "truth_pattern": pattern,
        "truth_ground": ground,
    }
    look = f"{colour} {pattern} {shape}"
    if not involved:
        return row | {"prompt": draw.choice(PLAIN).format(look=look, ground=ground)}
    second = f"{draw.choice(COLOURS)} {draw.choice(PATTERNS)} {other(draw, SHAPES, shape)}"
    relation = draw.choice(RELATIONS)
    prompt = COMPLEX.format(look=look, relation=relation, other=second, ground=ground)
    return row | {"prompt": prompt, "truth_relation": relation, "truth_other": second}
