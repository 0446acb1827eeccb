"""Grading: what the scores of drawn pictures say of the arms that drew them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.arm_names import pooled
from tamis.columns import column_values
from tamis.drawings import KEY
from tamis.metrics import stats

if TYPE_CHECKING:
    from datasets import Dataset

LEAST_POINTS = 3  # of a correlation: any two lie on a line


class Graded:
    """Scores of drawn pictures by arm, draws of one kind together."""

    def __init__(self, drawn: Dataset, clusters: Sequence[str], seed: int) -> None:
        """clusters: columns by which intervals are clustered, the topic first."""
        self.drawn, self.seed = drawn, seed
        self.groups = {column: drawn[column][:] for column in clusters}
        self.arm = [pooled(name) for name in drawn["arm"][:]]
        self.arms = sorted(dict.fromkeys(self.arm), key=lambda arm: arm != "none")  # first what needs no LoRA
        self.keys = list(zip(*(drawn[name][:] for name in KEY), strict=True))
        self._columns: dict[str, np.ndarray] = {}

    def values(self, metric: str) -> np.ndarray:
        if metric not in self._columns:
            self._columns[metric] = column_values(self.drawn, metric)
        return self._columns[metric]

    def means(self, metrics: Sequence[str], *, by: Sequence[str] = ("style",)) -> dict[str, dict[str, Any]]:
        """arm to metric to estimate, intervals clustered by topic; `metric@style=photo` for parts of the rows."""
        clusters = next(iter(self.groups.values()))
        found: dict[str, dict[str, Any]] = {}
        for arm in self.arms:
            mine = [row for row, name in enumerate(self.arm) if name == arm]
            parts = {"": mine}
            for column in by:
                labels = self.drawn[column][:]
                for label in sorted({str(labels[row]) for row in mine}):
                    parts[f"@{column}={label}"] = [row for row in mine if str(labels[row]) == label]
            found[arm] = {
                f"{metric}{part}": asdict(
                    stats.mean(_told(self.values(metric)[rows]), groups=[clusters[row] for row in rows], seed=self.seed)
                )
                for part, rows in parts.items()
                for metric in metrics
            }
        return found

    def compare(self, a: str, b: str, metric: str, *, clustered_by: str) -> dict[str, Any]:
        """Arm a against arm b on the same prompts and noise; draws of an arm are averaged first, where all have one."""
        left, right = self._by_key(a, metric), self._by_key(b, metric)
        keys = [key for key in left if key in right]
        label = dict(zip(self.keys, self.groups[clustered_by], strict=True))
        found = stats.paired(
            _told([left[key] for key in keys]),
            _told([right[key] for key in keys]),
            groups=[label[key] for key in keys],
            seed=self.seed,
        )
        return {"a": a, "b": b, "metric": metric, "clustered_by": clustered_by, **asdict(found)}

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
        found: dict[tuple[Any, ...], list[float]] = defaultdict(list)
        for name, key, value in zip(self.arm, self.keys, self.values(metric), strict=True):
            if name == arm:
                found[key].append(float(value))
        return {key: float(np.mean(values)) for key, values in found.items()}


def measure(
    drawn: Dataset,
    metrics: Sequence[str],
    *,
    best: str,
    trained_on: dict[str, dict[str, float]],
    clusters: Sequence[str],
    second: str | None,
    unrelated: Dataset | None,
    contests: Dataset | None,
    seed: int,
) -> dict[str, Any]:
    """All that results.json tells of the arms.

    arms: means, by style and by cluster too. comparisons: `best` against every other arm and every arm against none,
    paired by prompt and noise, clustered by each of `clusters`. correlations: what an arm was trained on with what it
    draws, over topics. agreement: the quiz's ranking with `second`'s.
    """
    graded = Graded(drawn, clusters, seed)
    outputs = graded.by_topic("quiz_accuracy")
    found = {
        "arms": graded.means(metrics, by=("style", *clusters[1:])),
        "comparisons": _contrasts(graded, metrics, best),
        "correlations": input_output(trained_on, outputs, seed=seed),
        "by_topic": {metric: graded.by_topic(metric) for metric in metrics},
        "trained_on": trained_on,
        "agreement": graded.agreement("quiz_accuracy", second) if second else [],
    }
    for arm, spread in _spread_over_topics(outputs).items():
        found["arms"][arm]["quiz_accuracy_topic_sd"] = spread
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
        found["comparisons"] += win_rates(contests, "pairwise_win", seed=seed)
    return found


def _contrasts(graded: Graded, metrics: Sequence[str], best: str) -> list[dict[str, Any]]:
    others = [arm for arm in graded.arms if arm != best]
    pairs_of_arms = [(best, arm) for arm in others]
    pairs_of_arms += [(arm, "none") for arm in others if "none" in graded.arms and arm != "none"]
    return [
        graded.compare(a, b, metric, clustered_by=clusters)
        for a, b in pairs_of_arms
        for metric in metrics
        for clusters in graded.groups
    ]


def _spread_over_topics(by_topic: dict[str, dict[str, float]]) -> dict[str, dict[str, Any]]:
    """For each arm the standard deviation of its topics' means."""
    found = {}
    for arm, topics in by_topic.items():
        deviation = float(np.std(list(topics.values()), ddof=1)) if len(topics) > 1 else None
        found[arm] = {"value": deviation, "low": None, "high": None, "n": len(topics), "nulls": 0}
    return found


def input_output(
    inputs: dict[str, dict[str, float]], outputs: dict[str, dict[str, float]], *, seed: int
) -> dict[str, dict[str, Any]]:
    """For each arm the correlation, over topics, of what it was trained on with what it draws; interval over topics.

    None where fewer than three topics have both.
    """
    found = {}
    for arm, known in inputs.items():
        topics = [topic for topic in known if topic in outputs.get(arm, {})]
        estimate = stats.pearson([known[t] for t in topics], [outputs[arm][t] for t in topics], seed=seed)
        few = len(topics) < LEAST_POINTS
        found[arm] = asdict(stats.Estimate(None, None, None, len(topics)) if few else estimate)
    return found


def win_rates(contests: Dataset, column: str, *, seed: int) -> list[dict[str, Any]]:
    """P(a beats b) - 0.5 for every pair of arms, ties half, clustered by topic."""
    values, topics = column_values(contests, column), contests["topic"][:]
    found = []
    names = list(zip(contests["a"][:], contests["b"][:], strict=True))
    for a, b in dict.fromkeys(names):
        rows = [row for row, pair in enumerate(names) if pair == (a, b)]
        wins = _told(values[rows])
        halves = [None if win is None else 0.5 for win in wins]
        result = stats.paired(wins, halves, groups=[topics[row] for row in rows], seed=seed)
        found.append({"a": a, "b": b, "metric": "pairwise_win_rate", "clustered_by": "topic", **asdict(result)})
    return found


def _told(values: Any) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
