"""Arms of scale_select: which rows of the pool a model is tuned on.

- base: none, the model as it is. full: every row of the pool.
- random-10pct: drawn by seed among the rows that the composite ranking scored; random-10pct.1, .2, ... are its draws.
- RANKING-10pct: that share of the pool with the highest RANKING_score, for each name of `rankings`. RANKING-K: K rows.
- .per-source, .per-task, .per-length: as many, the shares that sources, tasks or lengths of replies have among the
  scored rows kept.
- .matched: the same rows, trained for as many steps as the largest arm takes.

Arms of one share have exactly as many rows, counted from the whole pool, whatever has no score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tamis import select
from tamis.arm_names import Arm, Forms
from tamis.columns import column_values
from tamis.config import ConfigError
from tamis.scale_select.rankings import COMPOSITE, column

if TYPE_CHECKING:
    from datasets import Dataset

BASE, FULL, RANDOM = "base", "full", "random"
PER = {
    "per-source": "source",
    "per-task": "task_subtask",
    "per-length": "reply_length",
}  # a mark, and the column whose mixture it keeps


def forms(rankings: Iterable[str]) -> Forms:
    counted = (RANDOM, *rankings)
    return Forms((BASE, FULL), counted, (*PER, "matched"), shares=counted, bare=(BASE, FULL))


def expand(names: list[str], rankings: Iterable[str], draws: int) -> list[Arm]:
    """The arms of a list, each once, random ones as so many draws."""
    arms = forms(rankings).expand(names, draws)
    for arm in arms:
        if len(arm.marks & PER.keys()) > 1:
            raise ConfigError(f"arms: {arm.name!r} is not accepted; one mixture at a time can be kept")
    return arms


def refuse_unfit(arms: Sequence[Arm], *, composite: str = COMPOSITE) -> None:
    """The claim is about the composite against the model as it is and as many rows drawn at random."""
    best = headline(arms, composite=composite)
    if BASE not in [arm.name for arm in arms]:
        raise ConfigError(f"arms: {BASE} is not among them; what tuning changes is told against it")
    if not any(arm.way == RANDOM and not arm.marks for arm in equals(arms, best)):
        raise ConfigError(f"arms: {best} has no {RANDOM} arm of its size beside it; give {_like(best, RANDOM)}")


def headline(arms: Sequence[Arm], *, composite: str = COMPOSITE) -> str:
    """The arm that the claim is about: the first of the composite without any mark."""
    best = next((arm.name for arm in arms if arm.way == composite and not arm.marks), None)
    if best is None:
        raise ConfigError(f"arms: none for the claim to be about; give one such as {composite}-10pct")
    return best


def equals(arms: Sequence[Arm], name: str) -> list[Arm]:
    """The other arms of the same size, in their order."""
    own = next(arm for arm in arms if arm.name == name)
    return [arm for arm in arms if arm.name != name and (arm.k, arm.percent) == (own.k, own.percent)]


def drawn_like(name: str) -> str:
    """The random arm of an arm's size, its draws together."""
    return _like(name, RANDOM)


def rows_of(arm: Arm, pool_rows: int) -> int:
    """How many rows an arm has of a pool of so many."""
    if arm.k is None:
        return 0 if arm.name == BASE else pool_rows
    return max(1, round(arm.k / 100 * pool_rows)) if arm.percent else arm.k


def scored_by(arm: Arm, *, composite: str = COMPOSITE) -> str | None:
    """The column without a value in which no row is in the arm; None: it asks for none."""
    if arm.k is None:
        return None
    return column(composite if arm.way == RANDOM else arm.way)


def mixture_of(arm: Arm, per: Mapping[str, str] = PER) -> str | None:
    """The column whose mixture an arm keeps."""
    return next((kept for mark, kept in per.items() if mark in arm.marks), None)


def subsets(
    pool: Dataset, arms: Sequence[Arm], *, seed: int, composite: str = COMPOSITE, per: Mapping[str, str] = PER
) -> dict[str, Dataset]:
    """The rows of every arm but base, in the pool's order; a pool with its rankings (tamis.scale_select.rankings)."""
    _refuse_more_than_scored(pool, arms, composite)
    chosen: dict[str, Dataset] = {}
    made: dict[str, Dataset] = {}
    for arm in arms:
        if arm.name == BASE:
            continue
        unmatched = arm.name.removesuffix(".matched")  # other steps, the same rows
        if unmatched not in made:
            made[unmatched] = _rows(pool, arm, seed, composite, mixture_of(arm, per))
        chosen[arm.name] = made[unmatched]
    return chosen


def _rows(pool: Dataset, arm: Arm, seed: int, composite: str, per: str | None) -> Dataset:
    if arm.name == FULL:
        return pool
    k = rows_of(arm, len(pool))
    if arm.way == RANDOM:
        return select.random_k(pool, k=k, per=per, seed=seed * 1000 + (arm.draw or 0), among=column(composite))
    return select.top_k(pool, column(arm.way), k=k, per=per, seed=seed)


def _refuse_more_than_scored(pool: Dataset, arms: Sequence[Arm], composite: str) -> None:
    needed = {arm.name: scored_by(arm, composite=composite) for arm in arms}
    scored = {name: int((~np.isnan(column_values(pool, name))).sum()) for name in set(filter(None, needed.values()))}
    for arm in arms:
        by = needed[arm.name]
        if by is not None and (k := rows_of(arm, len(pool))) > scored[by]:
            raise ConfigError(
                f"arms: {arm.name}: {k:,} rows are asked for, {scored[by]:,} of {len(pool):,} have a {by}; "
                "ask for fewer"
            )


def _like(name: str, way: str) -> str:
    return f"{way}-{name.rpartition('-')[2]}"
