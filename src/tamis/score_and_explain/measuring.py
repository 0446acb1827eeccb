"""What the replies say of the arms: how their scores rank the pictures, how well the texts support them, and whether
one of the known collapses is there.

Rows stand under one another, one for each arm, seed and picture: `arm`, `seed`, `row_id`, `mean` (the truth), and what
scorers gave. An arm's seeds are averaged: a correlation is each seed's, averaged; a mean is over all replies, by row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.columns import column_values
from tamis.grading import Graded
from tamis.metrics import correlation
from tamis.score_and_explain.collapse import Limits, collapsed
from tamis.score_and_explain.diversity import distinct_share, trigram_share
from tamis.score_and_explain.scales import HIGH

if TYPE_CHECKING:
    from datasets import Dataset

BASE = "base"
BY = "row_id"
FEW_DRAWS = 100  # where no interval is wanted
# What the correlation of two columns is called: of which kind, and of which reading of the score.
RANKED = {
    "spearman": ("spearman", "score"),
    "pearson": ("pearson", "score"),
    "spearman_expected": ("spearman", "expected"),
    "pearson_expected": ("pearson", "expected"),
}
CONSISTENCY = "consistency_spearman"


class Replies:
    """The rows of arms, as columns by arm and seed, in one order of pictures."""

    def __init__(
        self, rows: Dataset, *, name: str, judges: Mapping[str, str], kin: Collection[str], truths: Sequence[str]
    ) -> None:
        """name: of the scorer of replies. judges: name of a judge to the column of its guesses; kin: those of the model
        that is judged, which are told for themselves. truths: columns whose mean is told as it is."""
        from datasets import Value

        self.name, self.judges, self.truths = name, dict(judges), list(truths)
        self.outsiders = [judge for judge in judges if judge not in kin]
        self.has_expected = f"{name}_expected" in rows.column_names
        made = _made(rows, name, judges, self.outsiders)
        for column in self.truths:
            made[column] = column_values(rows, column)
        self.means = list(made)
        for column, values in made.items():
            rows = rows.remove_columns(column) if column in rows.column_names else rows
            told = [None if np.isnan(value) else float(value) for value in values]
            rows = rows.add_column(column, told, feature=Value("float64"))
        self.rows = rows
        pictures = list(dict.fromkeys(rows[BY][:]))
        place = {picture: at for at, picture in enumerate(pictures)}
        self._at: dict[str, dict[int, np.ndarray]] = {}  # arm to seed to row by picture; -1: there is none
        told = zip(rows["arm"][:], rows["seed"][:], rows[BY][:], strict=True)
        for row, (arm, seed, picture) in enumerate(told):
            at = self._at.setdefault(arm, {}).setdefault(seed, np.full(len(pictures), -1))
            if at[place[picture]] >= 0:
                raise ValueError(f"arm {arm!r}, seed {seed}: two rows for picture {picture!r}")
            at[place[picture]] = row
        self.arms = sorted(self._at, key=lambda arm: arm != BASE)
        self._columns: dict[str, np.ndarray] = {}  # to read one of a table of many parts takes seconds
        self._texts: dict[str, list[str | None]] = {}

    def seeds(self, arm: str) -> frozenset[int]:
        return frozenset(self._at[arm])

    def column(self, arm: str, column: str) -> list[np.ndarray]:
        """A column's numbers, for each seed, in the order of pictures; NaN where there is none."""
        if column not in self._columns:
            self._columns[column] = np.append(column_values(self.rows, column), np.nan)
        return [self._columns[column][at] for _, at in sorted(self._at[arm].items())]

    def texts(self, arm: str, column: str) -> list[list[str]]:
        """A column's texts, for each seed, those that there are."""
        if column not in self._texts:
            self._texts[column] = self.rows[column][:]
        told = self._texts[column]
        found = ([told[row] for row in at if row >= 0] for _, at in sorted(self._at[arm].items()))
        return [[text for text in some if text is not None] for some in found]

    def ranked(self, arm: str, reading: str) -> list[correlation.Pair]:
        return list(zip(self.column(arm, f"{self.name}_{reading}"), self.column(arm, "mean"), strict=True))

    def consistency(self, arm: str, judges: Iterable[str]) -> list[correlation.Pair]:
        scores = self.column(arm, f"{self.name}_score")
        return [pair for judge in judges for pair in zip(self.column(arm, self.judges[judge]), scores, strict=True)]


def measure(
    rows: Dataset,
    *,
    name: str,
    judges: Mapping[str, str],
    truths: Sequence[str] = (),
    kin: Collection[str] = (),
    best: str | None = None,
    rivals: Collection[str] | None = None,
    seed: int = 0,
    draws: int = correlation.DRAWS,
) -> dict[str, Any]:
    """What results.json tells: arms by metric; comparisons of every arm with base, and of `best` with its rivals (where
    they are not named, all others), over the seeds that both have (base has none of its own). `seeds` tells how many;
    no interval is over them.

    - spearman, pearson: of the score with the mean of the votes; ..._expected: of the expected score.
    - consistency_spearman: of a judge's guess with the score, judges but kin averaged; @judge=NAME: of one.
      consistency_mae: how far apart they are; consistency_bias: how much higher the guess is.
    - wellformed: share of replies in the form asked for. score_bias: score minus truth.
    - top_share: share of scores at the top of the scale; mode_share: of the commonest score, whatever it is.
    - distinct_explanations, distinct_trigrams: different ones, of all there are.
    """
    known = {"name": name, "judges": judges, "kin": kin, "truths": truths}
    told = Replies(rows, **known)
    graded = Graded(told.rows, [BY], seed, key=(BY,))
    arms = graded.means(told.means, by=())
    for arm in told.arms:
        found = {
            metric: _estimate(correlation.correlation(kind, pairs(arm), sides=sides, seed=seed, draws=draws))
            for metric, (kind, pairs, sides) in _correlated(told).items()
        }
        found |= arms[arm] | _spread(told, arm)
        arms[arm] = {metric: one | {"seeds": len(told.seeds(arm))} for metric, one in found.items()}
    comparisons = []
    for seeds, contests in _by_seeds(told, _contests(told.arms, best, rivals)).items():
        some = Replies(_with_seeds(told.rows, seeds), **known)
        graded = Graded(some.rows, [BY], seed, key=(BY,))
        compared = []
        for a, b in contests:
            for metric, (kind, pairs, _) in _correlated(some).items():
                one = correlation.difference(kind, pairs(a), pairs(b), seed=seed, draws=draws)
                compared.append({"a": a, "b": b, "metric": metric, "clustered_by": BY, **asdict(one)})
            compared += [graded.compare(a, b, metric, clustered_by=BY) for metric in some.means]
        comparisons += [one | {"seeds": len(seeds)} for one in compared]
    return {"arms": {arm: arms[arm] for arm in told.arms}, "comparisons": comparisons}


def collapse(base: Dataset, leader: Dataset, *, name: str, limits: Limits) -> str | None:
    """Which known collapse a model's replies show beside those of the model that it all began with; None: none."""
    from datasets import concatenate_datasets

    told = measure(concatenate_datasets([base, leader]), name=name, judges={}, draws=FEW_DRAWS)["arms"]
    return collapsed(told[leader["arm"][0]], told[BASE], limits)


def _by_seeds(told: Replies, contests: Iterable[tuple[str, str]]) -> dict[frozenset[int], list[tuple[str, str]]]:
    """Contests by the seeds that both sides have: without, a difference would be one of seeds too."""
    found: dict[frozenset[int], list[tuple[str, str]]] = {}
    for a, b in contests:
        seeds = told.seeds(a) if b == BASE else told.seeds(a) & told.seeds(b)
        if seeds:
            found.setdefault(seeds, []).append((a, b))
    return found


def _with_seeds(rows: Dataset, seeds: frozenset[int]) -> Dataset:
    told = zip(rows["arm"][:], rows["seed"][:], strict=True)
    return rows.select([at for at, (arm, seed) in enumerate(told) if arm == BASE or seed in seeds])


def _made(rows: Dataset, name: str, judges: Mapping[str, str], outsiders: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns whose means are told. NaN, where a reply or a guess is missing, counts in none."""
    scores, truth = column_values(rows, f"{name}_score"), column_values(rows, "mean")
    written = np.asarray([reply is not None for reply in rows[f"{name}_reply"][:]], dtype=bool)
    formed = ~np.isnan(scores)
    made = {
        "wellformed": np.where(written, formed.astype(float), np.nan),
        "top_share": np.where(formed, (scores == HIGH).astype(float), np.nan),
        "score_bias": scores - truth,
    }
    apart = {judge: column_values(rows, column) - scores for judge, column in judges.items()}
    if outsiders:
        every = np.stack([apart[judge] for judge in outsiders])
        made |= {"consistency_mae": np.abs(every).mean(axis=0), "consistency_bias": every.mean(axis=0)}
    for judge, difference in apart.items():
        made |= {f"consistency_mae@judge={judge}": np.abs(difference), f"consistency_bias@judge={judge}": difference}
    return made


def _correlated(told: Replies) -> dict[str, tuple[correlation.Kind, Callable[[str], Any], tuple[str, str]]]:
    """Metric to its kind, to what gives an arm's pairs of columns, and to what these are called."""
    found: dict[str, tuple[correlation.Kind, Callable[[str], Any], tuple[str, str]]] = {}
    for metric, (kind, reading) in RANKED.items():
        if reading == "score" or told.has_expected:
            called = "score" if reading == "score" else "expected score"
            found[metric] = (kind, partial(told.ranked, reading=reading), (called, "mean"))
    asked = {CONSISTENCY: told.outsiders} if told.outsiders else {}
    for metric, judges in (asked | {f"{CONSISTENCY}@judge={judge}": [judge] for judge in told.judges}).items():
        found[metric] = ("spearman", partial(told.consistency, judges=judges), ("guess", "score"))
    return found


def _spread(told: Replies, arm: str) -> dict[str, dict[str, Any]]:
    """What is told of all replies together: of one reply there is none, and so no interval."""
    scores = [values[~np.isnan(values)] for values in told.column(arm, f"{told.name}_score")]
    texts = told.texts(arm, f"{told.name}_explanation")
    return {
        "mode_share": _of_seeds([_mode_share(some) for some in scores], sum(map(len, scores))),
        "distinct_explanations": _of_seeds([distinct_share(some) for some in texts], sum(map(len, texts))),
        "distinct_trigrams": _of_seeds([trigram_share(some) for some in texts], sum(map(len, texts))),
    }


def _mode_share(scores: np.ndarray) -> float | None:
    return float(np.unique(scores, return_counts=True)[1].max() / len(scores)) if len(scores) else None


def _of_seeds(values: list[float | None], n: int) -> dict[str, Any]:
    """The mean over seeds; None where a seed has none."""
    value = None if None in values else float(np.mean(values))
    return {"value": value, "low": None, "high": None, "n": n, "nulls": 0}


def _estimate(found: correlation.Correlation) -> dict[str, Any]:
    told = asdict(found)
    return told if told["reason"] is not None else {name: value for name, value in told.items() if name != "reason"}


def _contests(arms: Sequence[str], best: str | None, rivals: Collection[str] | None) -> list[tuple[str, str]]:
    if best is not None and best not in arms:
        raise ValueError(f"best: {best!r} is no arm; there are {', '.join(arms)}")
    found = [(arm, BASE) for arm in arms if arm != BASE and BASE in arms]
    if best in (None, BASE):
        return found
    others = [arm for arm in arms if arm not in (best, BASE)]
    return found + [(best, arm) for arm in others if rivals is None or arm in rivals]
