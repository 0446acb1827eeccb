"""Rows of drawn pictures whose every number is known."""

from __future__ import annotations

from itertools import product
from typing import Any

from datasets import Dataset

ARMS = {"none": 0.1, "random-2.1": 0.2, "random-2.2": 0.4, "top-2": 0.5}


def drawn(values: dict[tuple[str, str, str, int], float | None], **columns: Any) -> Dataset:
    """Pictures of (arm, topic, style, turn) and their quiz accuracy, turn by turn: arms and topics mixed."""
    rows = [
        {"arm": arm, "topic": topic, "style": style, "turn": turn, "seed": 0, "quiz_accuracy": value}
        for (arm, topic, style, turn), value in sorted(values.items(), key=lambda item: item[0][::-1])
    ]
    made = Dataset.from_list(rows)
    for name, told in columns.items():
        made = made.add_column(name, [told(row) for row in rows])
    return made


def grid(arms: dict[str, float], topics: int = 6, styles: tuple[str, ...] = ("photo",), turns: int = 2) -> dict:
    """An arm's mean, plus what topic, style and turn add to every arm alike."""
    return {
        (arm, f"t{topic}", style, turn): mean + 0.04 * topic + 0.02 * turn + (0.1 if style == "drawing" else 0)
        for arm, mean in arms.items()
        for topic, style, turn in product(range(topics), styles, range(turns))
    }
