"""In a few words, why a row was kept or dropped: which scores behind its ranking are low, or high, in the pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tamis import report
from tamis.arms import error_column
from tamis.columns import column_values, members

if TYPE_CHECKING:
    from datasets import Dataset

End = Literal["lowest", "highest"]
ENDS = (0.01, 0.05, 0.1, 0.25)  # shares of the scored rows: what is told as low, or high
TOLD = 2  # scores a row, the most telling first


def reasons(pool: Dataset, positions: Sequence[int], parts: Sequence[str], *, end: End) -> list[str]:
    """For each of these rows, such as: text_quality_completeness 1.3: in the lowest 5 %.

    parts: columns of numbers, those that a ranking weighs and what they are made of. Equal scores stand together: where
    all rows have the same one, nobody's is low. A row without a score is told by its scorer's own reason.
    """
    told: list[list[tuple[float, str]]] = [[] for _ in positions]
    for part in parts:
        scores = column_values(pool, part)
        shares = _shares(scores[~np.isnan(scores)], scores[list(positions)], end)
        for line, share, score in zip(told, shares, scores[list(positions)], strict=True):
            within = next((reach for reach in ENDS if share <= reach), None)
            if within is not None:
                line.append((share, f"{part} {score:.3g}: in the {end} {100 * within:.0f} %"))
        for at in np.flatnonzero(np.isnan(shares)):
            told[at].append((-1.0, f"no {part}: {_why_none(pool, int(positions[at]), part)}"))
    return [_joined(line) or f"none of its scores is in the {end} {100 * ENDS[-1]:.0f} %" for line in told]


def examples(
    pool: Dataset, kept: Dataset, by: str, parts: Sequence[str], *, seed: int, each: int = report.EXAMPLES
) -> dict[str, list[tuple[int, str]]]:
    """Rows worth a look by where they stand to the cut, as report.examples groups them: their positions, and why.

    Kept ones by what is high, dropped ones by what is low; and rows that could not be ranked at all.
    """
    inside = members(pool, kept)
    ids = pool["row_id"][:]
    found = report.examples(pool, {ids[at] for at in np.flatnonzero(inside)}, by, seed=seed, each=each)
    found["not ranked"] = np.flatnonzero(np.isnan(column_values(pool, by)))[:each].tolist()
    ends: dict[str, End] = {"best kept": "highest", "last kept": "highest"}
    return {
        group: list(zip(rows, reasons(pool, rows, parts, end=ends.get(group, "lowest")), strict=True))
        for group, rows in found.items()
    }


def lines(pool: Dataset, told: dict[str, list[tuple[int, str]]], shown: Sequence[str]) -> tuple[list[str], list[Any]]:
    """A table of them; shown: columns of the pool, such as the score, the question and the answer."""
    table = []
    for group, rows in told.items():
        for position, why in rows:
            row = pool.select_columns(list(shown))[position]
            table.append([group, *(row[name] for name in shown), why])
    return ["", *shown, "why"], table


def _shares(known: np.ndarray, scores: np.ndarray, end: End) -> np.ndarray:
    """The share of all scored rows whose score is at least as low, or as high; NaN where there is no score."""
    ordered = np.sort(known)
    if end == "lowest":
        ranks = np.searchsorted(ordered, scores, side="right")
    else:
        ranks = len(ordered) - np.searchsorted(ordered, scores, side="left")
    return np.where(np.isnan(scores), np.nan, ranks / max(1, len(ordered)))


def _why_none(pool: Dataset, position: int, part: str) -> str:
    column = error_column(pool.column_names, part)
    return (pool.select_columns([column])[position][column] if column else None) or "null in the source"


def _joined(line: list[tuple[float, str]]) -> str:
    return "; ".join(words for _, words in sorted(line, key=lambda item: item[0])[:TOLD])
