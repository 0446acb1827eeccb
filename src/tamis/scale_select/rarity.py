"""How rare a row's sub-task is, counted in the pool: the alternative to asking a judge, row by row, what is rare."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from tamis.prompts.scale import SUBTASKS

LEAST, MOST, BETWEEN = 1.0, 5.0, 2.0


def rarity(subtasks: Sequence[str | None]) -> list[float | None]:
    """1..5 for each row, higher is rarer; null where its sub-task is.

    min(5, 1 + 2 ln(1 / p) / ln 15), where p is the share of the row's sub-task among rows that have one: 1, every row
    has it; 3, as many have it as if all 15 were as common as one another; 5, one row in 225 has it, or fewer. It
    depends on the pool alone, and not on which other sub-tasks there are in it.
    """
    counts = Counter(subtask for subtask in subtasks if subtask is not None)
    rows = counts.total()
    of = {
        subtask: min(MOST, LEAST + BETWEEN * math.log(rows / count) / math.log(len(SUBTASKS)))
        for subtask, count in counts.items()
    }
    return [None if subtask is None else of[subtask] for subtask in subtasks]
