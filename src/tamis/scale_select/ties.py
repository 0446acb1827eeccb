"""What a cut through equal scores leaves to the hash: a judge that gives every row the same score selects nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.columns import column_values, groups, members
from tamis.scale_select import arm_forms

if TYPE_CHECKING:
    from datasets import Dataset

    from tamis.arm_names import Arm


@dataclass(frozen=True)
class Ties:
    """Of one arm. Where groups are cut each by itself, the counts are of all groups together."""

    column: str
    score: float | None  # the lowest that was let in; None: no row was
    sharing: int  # scored rows that have exactly the score at the cut
    let_in: int  # how many of them are in the arm
    constant: bool  # every scored row has the same score

    @property
    def told(self) -> str:
        if self.constant:
            return f"every row has the same {self.column}: which {self.let_in:,} of {self.sharing:,} are in is by seed"
        if self.score is None:
            return "no row was let in"
        if self.sharing == self.let_in:
            return "no tie at the cut"
        return f"{self.sharing:,} rows share the score at the cut, {self.let_in:,} of them are in, by seed"


def at_the_cut(pool: Dataset, kept: Dataset, column: str, *, per: str | None = None) -> Ties:
    """kept: the rows of the pool with the highest scores, of all or within each value of the column `per`."""
    scores, inside = column_values(pool, column), members(pool, kept)
    scored = ~np.isnan(scores)
    codes = groups(pool, per)[0] if per else np.zeros(len(pool), dtype=np.int64)
    lowest = np.full(codes.max(initial=0) + 1, np.inf)  # no score equals it: a group without any row inside has no cut
    np.minimum.at(lowest, codes[inside & scored], scores[inside & scored])
    at_cut = scored & (scores == lowest[codes])
    known = scores[scored]
    return Ties(
        column=column,
        score=float(scores[inside].min()) if inside.any() else None,
        sharing=int(at_cut.sum()),
        let_in=int((at_cut & inside).sum()),
        constant=bool(len(known) > 1 and (known == known[0]).all() and inside.any()),
    )


def lines(ties: dict[str, Ties]) -> tuple[Sequence[str], list[list[Any]]]:
    """A table, a line an arm."""
    head = ("arm", "by", "score at the cut", "rows that share it", "of them in", "")
    return head, [[arm, t.column, t.score, t.sharing, t.let_in, t.told] for arm, t in ties.items()]


def of_arms(pool: Dataset, subsets: dict[str, Dataset], arms: Sequence[Arm]) -> dict[str, Ties]:
    """Of every arm that selects by a score."""
    found = {}
    for arm in arms:
        column = arm_forms.scored_by(arm)
        if column is not None and arm.way != arm_forms.RANDOM:
            found[arm.name] = at_the_cut(pool, subsets[arm.name], column, per=arm_forms.mixture_of(arm))
    return found
