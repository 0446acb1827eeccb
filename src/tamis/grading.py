"""Grading: what the scores of drawn pictures say of the arms that drew them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis import drawings
from tamis.arm_names import pooled
from tamis.columns import column_values
from tamis.metrics import stats

if TYPE_CHECKING:
    from datasets import Dataset


class Graded:
    """Scores of what arms made, pictures or answers, by arm; draws of one kind together."""

    def __init__(
        self,
        drawn: Dataset,
        clusters: Sequence[str],
        seed: int,
        *,
        key: Sequence[str] | None = None,
        weighted: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        """clusters: columns by which intervals are clustered, first that of what the prompts are of: the topic. key:
        columns that rows of two arms have in common where they are compared; None: those of drawn pictures. weighted:
        metrics that are the weighted mean of a column, by its name and that of the weights."""
        self.drawn, self.seed = drawn, seed
        self.groups = {column: drawn[column][:] for column in clusters}
        self.arm = [pooled(name) for name in drawn["arm"][:]]
        self.arms = sorted(dict.fromkeys(self.arm), key=lambda arm: arm != "none")  # first what needs no LoRA
        self.keys = list(zip(*(drawn[name][:] for name in key or drawings.key(clusters[0])), strict=True))
        self.weighted = weighted or {}
        self._columns: dict[str, np.ndarray] = {}

    def values(self, metric: str) -> np.ndarray:
        column = self.weighted[metric][0] if metric in self.weighted else metric
        if column not in self._columns:
            self._columns[column] = column_values(self.drawn, column)
        return self._columns[column]

    def weights(self, metric: str) -> np.ndarray | None:
        return column_values(self.drawn, self.weighted[metric][1]) if metric in self.weighted else None

    def means(self, metrics: Sequence[str], *, by: Iterable[str] = ("style",)) -> dict[str, dict[str, Any]]:
        """arm to metric to estimate, intervals clustered by topic; `metric@style=photo` for parts of the rows."""
        clusters = next(iter(self.groups.values()))
        found: dict[str, dict[str, Any]] = {}
        for arm in self.arms:
            mine = [row for row, name in enumerate(self.arm) if name == arm]
            parts = {"": mine} | _parts(self.drawn, by, mine)
            found[arm] = {
                f"{metric}{part}": asdict(self._mean(metric, rows, [clusters[row] for row in rows]))
                for part, rows in parts.items()
                for metric in metrics
            }
        return found

    def _mean(self, metric: str, rows: Sequence[int], groups: Sequence[Any]) -> stats.Estimate:
        weights = self.weights(metric)
        weights = None if weights is None else weights[rows].tolist()
        return stats.mean(_told(self.values(metric)[rows]), groups=groups, weights=weights, seed=self.seed)

    def compare(self, a: str, b: str, metric: str, *, clustered_by: str) -> dict[str, Any]:
        """Arm a against arm b on the same prompts and noise; draws of an arm are averaged first, where all have one."""
        left, right = self._by_key(a, metric), self._by_key(b, metric)
        keys = [key for key in left if key in right]
        sides = _told([left[key] for key in keys]), _told([right[key] for key in keys])
        weights = self.weights(metric)
        if weights is not None:
            weight = dict(zip(self.keys, weights.tolist(), strict=True))
            weights = [weight[key] for key in keys]
        found = stats.paired(*sides, groups=self._labels(keys, clustered_by), weights=weights, seed=self.seed)
        return {"a": a, "b": b, "metric": metric, "clustered_by": clustered_by, **asdict(found)}

    def wins(self, a: str, b: str, metric: str, *, clustered_by: str) -> dict[str, Any]:
        """P(a beats b) - 0.5 on the same prompt and noise, ties half; p is that of a sign test by cluster.

        Of an arm with several draws each one competes: a picture is never held against a mean, which is another thing
        to beat.
        """
        left, right = self._draws(a, metric), self._draws(b, metric)
        keys = [key for key in left if key in right]
        won = [_won(left[key], right[key]) for key in keys]
        found = stats.paired(won, [0.5] * len(won), groups=self._labels(keys, clustered_by), seed=self.seed)
        return {"a": a, "b": b, "metric": f"{metric}_win_rate", "clustered_by": clustered_by, **asdict(found)}

    def _labels(self, keys: Sequence[tuple[Any, ...]], column: str) -> list[Any]:
        label = dict(zip(self.keys, self.groups[column], strict=True))
        return [label[key] for key in keys]

    def by_topic(self, metric: str) -> dict[str, dict[str, float]]:
        """arm to topic to mean."""
        return self._topic_means(self.values(metric))

    def _topic_means(self, values: np.ndarray) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for arm, key, value in zip(self.arm, self.keys, values, strict=True):
            if not np.isnan(value):
                found[arm][key[0]].append(float(value))
        return {arm: {topic: float(np.mean(v)) for topic, v in topics.items()} for arm, topics in found.items()}

    def agreement(self, metric: str, other: str) -> list[dict[str, Any]]:
        """How alike two judges rank: pictures, and the means of topic and arm; intervals clustered by topic.

        Over the pictures that both scored.
        """
        left, right = self.values(metric), self.values(other)
        topics = [key[0] for key in self.keys]
        rows = stats.spearman(_told(left), _told(right), groups=topics, seed=self.seed)
        either = np.isnan(left) | np.isnan(right)
        one, two = (self._topic_means(np.where(either, np.nan, values)) for values in (left, right))
        cells = [(arm, topic) for arm in one for topic in one[arm]]
        means = stats.spearman(
            [one[arm][topic] for arm, topic in cells],
            [two[arm][topic] for arm, topic in cells],
            groups=[topic for _, topic in cells],
            seed=self.seed,
        )
        pair = {"a": metric, "b": other}
        return [pair | {"of": "pictures", **asdict(rows)}, pair | {"of": "topic and arm", **asdict(means)}]

    def _by_key(self, arm: str, metric: str) -> dict[tuple[Any, ...], float]:
        return {key: float(np.mean(values)) for key, values in self._draws(arm, metric).items()}

    def _draws(self, arm: str, metric: str) -> dict[tuple[Any, ...], list[float]]:
        found: dict[tuple[Any, ...], list[float]] = defaultdict(list)
        for name, key, value in zip(self.arm, self.keys, self.values(metric), strict=True):
            if name == arm:
                found[key].append(float(value))
        return found


def measure(
    drawn: Dataset,
    metrics: Sequence[str],
    *,
    best: str,
    clusters: Sequence[str],
    unrelated: Dataset | None,
    contests: Dataset | None,
    won: Sequence[str] = (),
    parts: Sequence[str] = ("style",),
    apart: Sequence[str] = (),
    seed: int,
) -> dict[str, Any]:
    """What results.json tells of arms that drew.

    arms: means, by cluster and by the columns `parts` too. comparisons: `best` against every other arm and every arm
    against none, paired by prompt and noise, clustered by each of `clusters`; of the metrics in `won` how often the
    first wins, too; once more for each value of the columns in `apart`. unrelated: pictures with retention. contests:
    pairs that a judge compared.
    """
    graded = Graded(drawn, clusters, seed)
    found = {
        "arms": graded.means(metrics, by=dict.fromkeys((*parts, *clusters[1:]))),
        "comparisons": _contrasts(graded, metrics, won, best),
        "by_topic": {metric: graded.by_topic(metric) for metric in metrics},
    }
    for part, rows in _parts(drawn, apart).items():
        told = _contrasts(Graded(drawn.select(rows), clusters[:1], seed), metrics, won, best)
        found["comparisons"] += [one | {"metric": f"{one['metric']}{part}"} for one in told]
    if unrelated is not None:
        kept = Graded(unrelated, clusters, seed)
        for arm, means in kept.means(["retention"], by=()).items():
            if arm != "none":
                found["arms"][arm] |= means
        found["comparisons"] += [
            kept.compare(best, arm, "retention", clustered_by=clusters[0])
            for arm in kept.arms
            if arm not in (best, "none")
        ]
    if contests is not None:
        found["comparisons"] += win_rates(contests, "pairwise_win", clustered_by=clusters[0], seed=seed)
    return found


def _parts(drawn: Dataset, columns: Iterable[str], among: Sequence[int] | None = None) -> dict[str, list[int]]:
    """Rows by what they have in a column, but for nulls; keys are @COLUMN=VALUE."""
    found: dict[str, list[int]] = {}
    for column in columns:
        labels = [None if label is None else str(label) for label in drawn[column][:]]
        rows = range(len(labels)) if among is None else among
        for label in sorted({labels[row] for row in rows} - {None}):
            found[f"@{column}={label}"] = [row for row in rows if labels[row] == label]
    return found


def _contrasts(graded: Graded, metrics: Sequence[str], won: Sequence[str], best: str) -> list[dict[str, Any]]:
    others = [arm for arm in graded.arms if arm != best]
    pairs_of_arms = [(best, arm) for arm in others]
    pairs_of_arms += [(arm, "none") for arm in others if "none" in graded.arms and arm != "none"]
    return [
        compare(a, b, metric, clustered_by=clusters)
        for a, b in pairs_of_arms
        for compare, named in ((graded.compare, metrics), (graded.wins, won))
        for metric in named
        for clusters in graded.groups
    ]


def win_rates(contests: Dataset, column: str, *, clustered_by: str, seed: int) -> list[dict[str, Any]]:
    """P(a beats b) - 0.5 for every pair of arms, ties half."""
    values, topics = column_values(contests, column), contests[clustered_by][:]
    found = []
    names = list(zip(contests["a"][:], contests["b"][:], strict=True))
    for a, b in dict.fromkeys(names):
        rows = [row for row, pair in enumerate(names) if pair == (a, b)]
        wins = _told(values[rows])
        halves = [None if win is None else 0.5 for win in wins]
        result = stats.paired(wins, halves, groups=[topics[row] for row in rows], seed=seed)
        found.append({"a": a, "b": b, "metric": "pairwise_win_rate", "clustered_by": clustered_by, **asdict(result)})
    return found


def _won(left: list[float], right: list[float]) -> float | None:
    """The share of pairs in which the first is higher, ties half; None without a pair that has both."""
    met = [(x > y) + 0.5 * (x == y) for x in left for y in right if not np.isnan(x) and not np.isnan(y)]
    return float(np.mean(met)) if met else None


def _told(values: Any) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
