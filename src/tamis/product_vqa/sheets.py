"""Sheets of questions for the eye: each picture with what is asked of it, the answer, and what a model answered."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tamis.product_vqa.answers import same_form
from tamis.tile_sheets import GREEN, GREY, INK, RED, Tile, sheet

if TYPE_CHECKING:
    from datasets import Dataset


def samples(questions: Dataset, *, count: int = 24, seed: int = 0, across: int = 6) -> bytes:
    """Questions drawn by chance, with answer and difficulty. PNG."""
    drawn = sorted(random.Random(f"samples {seed}").sample(range(len(questions)), min(count, len(questions))))
    return sheet([Tile(row["image"], _asked(row)) for row in map(questions.__getitem__, drawn)], across=across)


def outcomes(
    questions: Dataset, predictions: Sequence[str | None], *, each: int = 12, seed: int = 0, across: int = 6
) -> bytes:
    """So many hits and so many misses, drawn by chance: below the right answer the model's, green or red. PNG.

    predictions: one a row; None: the model gave none, which is a miss.
    """
    if len(predictions) != len(questions):
        raise ValueError(f"{len(predictions)} predictions for {len(questions)} questions")
    right = [
        told is not None and same_form(told) == same_form(answer)
        for told, answer in zip(predictions, questions["answer"], strict=True)
    ]
    tiles = []
    for wanted, colour in ((True, GREEN), (False, RED)):
        among = [at for at, hit in enumerate(right) if hit == wanted]
        for at in sorted(random.Random(f"outcomes {seed} {wanted}").sample(among, min(each, len(among)))):
            row = questions[at]
            told = "–" if predictions[at] is None else predictions[at]
            tiles.append(Tile(row["image"], (*_asked(row), (f"model: {told}", colour))))
    return sheet(tiles, across=across)


def _asked(row: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    told = f"{row['answer']} (difficulty {row['difficulty']})"
    return (row["question"], INK), (told, GREY)
