"""What selection does to a pool: shares of sources, tasks, languages, kinds of picture, before and after.

Any choice of some rows moves every share a little. So each change is held against chance: how far draws of as many
rows of the pool, blind to everything, are from it. The distance is the total variation, half the sum of all changes of
shares: what part of the rows would have to be others for the mixture to be the pool's; 0 the same, 1 nothing in common.
Rows without a value are a group of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis import cards
from tamis.columns import groups, members
from tamis.config import ConfigError
from tamis.metrics.resampling import LEVEL
from tamis.seeds import seed_of

if TYPE_CHECKING:
    from datasets import Dataset

DRAWS = 2_000
LONGEST = 20  # lines of a table; rarer groups are summed up
NAMED = 5  # groups that an arm has none of, in a table
NULL = "(null)"
ROUNDING = 1e-12


@dataclass(frozen=True)
class Shift:
    """One arm against the pool in one column. Distances are None of an arm without rows."""

    arm: str
    column: str
    rows: int
    distance: float | None
    by_chance: float | None  # the mean distance of blind draws of as many rows
    low: float | None  # 95 of 100 of these draws lie between low and high
    high: float | None
    p: float | None  # one-sided: how often a blind draw is at least as far
    vanished: tuple[str, ...]  # groups of the pool that the arm has nothing of, the largest first

    @property
    def beyond_chance(self) -> bool:
        return self.distance is not None and self.distance > self.high + ROUNDING


@dataclass(frozen=True, eq=False)
class Mixture:
    """How many rows of each group the pool and every arm have, the pool's largest group first."""

    column: str
    labels: list[str]
    pool: np.ndarray
    arms: dict[str, np.ndarray]

    def shares(self, arm: str) -> np.ndarray:
        return self.arms[arm] / max(1, self.arms[arm].sum())

    @property
    def pool_shares(self) -> np.ndarray:
        return self.pool / max(1, self.pool.sum())


def refuse_unfit(columns: Mapping[str, Any], used: Mapping[str, str | None]) -> None:
    """Before anything is scored. columns: all that there will be, with their features; used: setting to column."""
    for setting, column in used.items():
        kind = getattr(columns.get(column), "dtype", None)
        if column is not None and not str(kind).startswith(("string", "large_string", "int", "uint", "bool")):
            raise ConfigError(
                f"{setting}: column {column!r} is {kind}; expected texts, whole numbers, or true and false"
            )


def mixtures(pool: Dataset, subsets: dict[str, Dataset], columns: Sequence[str]) -> list[Mixture]:
    """subsets: arms, rows of the pool by row_id; columns: of texts, whole numbers, or true and false."""
    inside = {arm: members(pool, subset) for arm, subset in subsets.items()}
    found = []
    for column in columns:
        codes, labels = groups(pool, column)
        counts = np.bincount(codes, minlength=len(labels))
        largest = sorted(range(len(labels)), key=lambda at: (-counts[at], labels[at] is None, labels[at] or ""))
        arms = {arm: np.bincount(codes[rows], minlength=len(labels))[largest] for arm, rows in inside.items()}
        named = [NULL if labels[at] is None else labels[at] for at in largest]
        found.append(Mixture(column, named, counts[largest], arms))
    return found


def shifts(mixture: Mixture, *, seed: int, draws: int = DRAWS) -> list[Shift]:
    """Every arm against the pool, with what blind draws of as many rows do."""
    return [_shift(mixture, arm, seed, draws) for arm in mixture.arms]


def distance(counts: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Total variation of shares, along the last axis."""
    shares = [rows / rows.sum(axis=-1, keepdims=True) for rows in (counts, others)]
    return np.abs(shares[0] - shares[1]).sum(axis=-1) / 2


def _shift(mixture: Mixture, arm: str, seed: int, draws: int) -> Shift:
    counts = mixture.arms[arm]
    rows = int(counts.sum())
    if rows == 0:
        return Shift(arm, mixture.column, 0, None, None, None, None, None, tuple(mixture.labels))
    own = float(distance(counts, mixture.pool))
    generator = np.random.default_rng(seed_of("composition", mixture.column, rows, seed))
    blind = distance(_blind(mixture.pool, rows, draws, generator), mixture.pool)
    low, high = np.quantile(blind, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Shift(
        arm=arm,
        column=mixture.column,
        rows=rows,
        distance=own,
        by_chance=float(blind.mean()),
        low=float(low),
        high=float(high),
        p=float(((blind >= own - ROUNDING).sum() + 1) / (draws + 1)),
        vanished=tuple(label for label, count in zip(mixture.labels, counts, strict=True) if count == 0),
    )


def _blind(pool: np.ndarray, rows: int, draws: int, generator: np.random.Generator) -> np.ndarray:
    """Rows of each group in draws without replacement, which need no rows to be drawn."""
    return generator.multivariate_hypergeometric(pool, rows, size=draws, method="marginals")


def shift_table(told: Sequence[Shift]) -> tuple[Sequence[str], list[list[Any]]]:
    """A line a column and arm."""
    head = ("column", "arm", "rows", "moved", "by chance", "p", "has none of")
    return head, [
        [
            cards.code(one.column),
            cards.code(one.arm),
            one.rows,
            _percent(one.distance) + (", beyond chance" if one.beyond_chance else ""),
            "–" if one.distance is None else f"{_percent(one.by_chance)} [{_percent(one.low)}, {_percent(one.high)}]",
            "–" if one.p is None else "< 0.001" if one.p < 0.001 else f"{one.p:.3f}",
            _named(one.vanished),
        ]
        for one in told
    ]


def share_table(mixture: Mixture, longest: int = LONGEST) -> tuple[Sequence[str], list[list[Any]]]:
    """A line a group: rows and share in the pool, share and change in every arm. Groups that an arm lost say none."""
    named = len(mixture.labels) if len(mixture.labels) <= longest else longest
    rest = len(mixture.labels) - named

    def told(counts: np.ndarray) -> np.ndarray:
        return np.append(counts[:named], counts[named:].sum()) if rest else counts

    before = told(mixture.pool_shares)
    after = {arm: (told(mixture.arms[arm]), told(mixture.shares(arm))) for arm in mixture.arms}
    labels = [*mixture.labels[:named], *([f"{rest} others"] if rest else [])]
    head = (mixture.column, "rows", "pool", *map(cards.code, mixture.arms))
    return head, [
        [
            label,
            int(rows),
            f"{share:.1%}",
            *(
                f"{shares[at]:.1%} ({100 * (shares[at] - share):+.1f})" if counts[at] else "none"
                for counts, shares in after.values()
            ),
        ]
        for at, (label, rows, share) in enumerate(zip(labels, told(mixture.pool), before, strict=True))
    ]


def shift_plot(told: Sequence[Shift]) -> bytes:
    """A panel a column: how far each arm is from the pool's mixture, in grey how far blind draws are. PNG."""
    from matplotlib import pyplot

    from tamis.lora_pictures import SHADES, figure_of, png_of

    columns = list(dict.fromkeys(one.column for one in told))
    arms = list(dict.fromkeys(one.arm for one in told))
    across = min(3, len(columns))
    down = -(-len(columns) // across)
    figure, axes = figure_of(pyplot, down, across, (4.2 * across, (0.9 + 0.24 * len(arms)) * down))
    for axis, column in zip(axes.flat, columns, strict=False):
        for one in told:
            if one.column != column or one.distance is None:
                continue
            line = len(arms) - 1 - arms.index(one.arm)
            axis.plot([one.low, one.high], [line, line], color=SHADES["none"], linewidth=6, solid_capstyle="butt")
            colour = SHADES["bottom"] if one.beyond_chance else SHADES["top"]
            axis.plot(one.distance, line, "o", color=colour, markersize=5)
        axis.set_yticks(range(len(arms)), reversed(arms), fontsize=8)
        axis.set_xlim(left=-0.01)
        axis.set_title(f"{column}: share of rows moved", fontsize=9)
        axis.tick_params(axis="x", labelsize=8)
        axis.grid(axis="x", color="#0001")
    return png_of(pyplot, figure, axes, len(columns))


def _named(groups: Sequence[str]) -> str:
    more = f" and {len(groups) - NAMED:,} more" if len(groups) > NAMED else ""
    return ", ".join(groups[:NAMED]) + more or "–"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
