"""A row of tiny/pool before its source has written it down, and what a source is."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tamis.tiny.world import Scene

TEXT_FAULTS = ("wrong answer", "vague text", "cut short")


@dataclass(frozen=True)
class Drawn:
    """What the row's picture shows, what its text tells of, what is wrong with it."""

    shown: Scene
    told: Scene
    defect: str
    draw: random.Random

    @property
    def fault(self) -> str:
        """The defect, if it is one of the text."""
        return self.defect if self.defect in TEXT_FAULTS else "none"

    def answers_rightly(self, question: str) -> bool:
        """Whether the text of another scene would be right about this picture: both show as many things."""
        return self.defect == "mismatch" and "how many" in question


@dataclass(frozen=True)
class Source:
    """Its columns, how it writes a row down by number, and which defects can be told in that form."""

    columns: dict[str, tuple[str, str]]
    row: Callable[[int, Drawn], dict[str, Any]]
    defects: tuple[str, ...] = (*TEXT_FAULTS, "blur", "mismatch")


def truths(
    drawn: Drawn, task: str, informativeness: int, complexity: int | None, completeness: int, clarity: int
) -> dict[str, Any]:
    return {
        "truth_strength": drawn.shown.strength,
        "truth_task": task,
        "truth_informativeness": informativeness,
        "truth_complexity": complexity,
        "truth_completeness": completeness,
        "truth_clarity": clarity,
    }
