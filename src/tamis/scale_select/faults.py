"""How well each score finds rows with a known fault: for pools where a column names it, such as truths of drawn rows.

Every fault is held against the sound rows by itself, since a score of texts need not see a blurred picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis import cards
from tamis.columns import column_values, groups
from tamis.config import ConfigError
from tamis.metrics.auc import told_apart
from tamis.metrics.stats import Estimate

if TYPE_CHECKING:
    from datasets import Dataset

SOUND = "none"
ANY = "any fault"


@dataclass(frozen=True)
class Found:
    """How often a sound row scores higher than one with that fault; 0.5: the score does not see it."""

    column: str
    fault: str
    value: float | None  # None: one side has no score at all
    low: float | None
    high: float | None
    sound: int  # rows with a score
    faulty: int
    sound_nulls: int  # rows without
    faulty_nulls: int

    @property
    def estimate(self) -> Estimate:
        return Estimate(self.value, self.low, self.high, self.sound + self.faulty, self.sound_nulls + self.faulty_nulls)


def found(pool: Dataset, fault_column: str, scores: Sequence[str], *, sound: str = SOUND, seed: int = 0) -> list[Found]:
    """Every score for every fault, and for all of them together; rows whose fault is null are left out."""
    codes, labels = groups(pool, fault_column)
    faults = {label: codes == at for at, label in enumerate(labels) if label is not None and (codes == at).any()}
    if sound not in faults:
        raise ConfigError(
            f"column {fault_column!r}: no row is {sound!r}; it has: {', '.join(sorted(faults)) or 'no value'}"
        )
    healthy = faults.pop(sound)
    told = dict(sorted(faults.items()))
    if len(told) > 1:
        told[ANY] = np.logical_or.reduce(list(told.values()))
    values = {column: column_values(pool, column) for column in scores}
    return [
        _found(column, fault, own[healthy], own[rows], seed)
        for column, own in values.items()
        for fault, rows in told.items()
    ]


def _found(column: str, fault: str, sound: np.ndarray, faulty: np.ndarray, seed: int) -> Found:
    told = told_apart(sound.tolist(), faulty.tolist(), seed=seed)
    nulls = [int(np.isnan(some).sum()) for some in (sound, faulty)]
    return Found(
        column=column,
        fault=fault,
        value=told.value,
        low=told.low,
        high=told.high,
        sound=len(sound) - nulls[0],
        faulty=len(faulty) - nulls[1],
        sound_nulls=nulls[0],
        faulty_nulls=nulls[1],
    )


def table(told: Sequence[Found]) -> tuple[Sequence[str], list[list[Any]]]:
    """A line a score, a column a fault: 0.912 [0.880, 0.941], 44 of 48 (rows that have it, and a score)."""
    faults = list(dict.fromkeys(one.fault for one in told))
    columns = list(dict.fromkeys(one.column for one in told))
    cells = {(one.column, one.fault): _cell(one) for one in told}
    sound = {one.column: f"{one.sound:,} of {one.sound + one.sound_nulls:,}" for one in told}
    lines = [
        [cards.code(column), sound[column], *(cells.get((column, fault), "–") for fault in faults)]
        for column in columns
    ]
    return ("score", "sound rows scored", *faults), lines


def _cell(one: Found) -> str:
    rows = f"{one.faulty:,} of {one.faulty + one.faulty_nulls:,}"
    if one.value is None:
        return f"–, {rows}"
    reach = "" if one.low is None else f" [{one.low:.3f}, {one.high:.3f}]"
    return f"{one.value:.3f}{reach}, {rows}"
