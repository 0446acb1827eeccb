"""Grading: pictures that arms draw from the same prompts and seeds, and what their scores say of the arms."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis import arms
from tamis.columns import column_values, unit_vectors
from tamis.config import ConfigError
from tamis.generate import adapter_hash, picture_seed
from tamis.metrics import stats
from tamis.topic_arms import parse

if TYPE_CHECKING:
    from pathlib import Path

    from datasets import Dataset

TEXTS, NUMBERS = ("arm", "style", "prompt", "adapter", "adapter_hash"), ("seed", "turn", "image_seed")
LEAST_POINTS = 3  # of a correlation: any two lie on a line
KEY = ("topic", "style", "turn", "seed")  # what pictures of two arms have in common where they are compared


def picture_features(known: dict[str, Any]) -> dict[str, Any]:
    """Types of the rows that to_draw makes, of what they tell of their topic. A name that is needed here is refused."""
    from datasets import Value

    if taken := sorted({*TEXTS, *NUMBERS, "image", "image_error"} & set(known)):
        raise ConfigError(f"topic_columns: {', '.join(taken)}: a column of drawn pictures is called so; rename it")
    return known | dict.fromkeys(TEXTS, Value("string")) | dict.fromkeys(NUMBERS, Value("int64"))


def to_draw(
    topics: list[dict[str, Any]],
    worn: dict[tuple[str, str, int], Path | None],
    prompts: dict[str, dict[str, str]],
    turns: int,
    features: dict[str, Any],
) -> Dataset:
    """A row a picture: what to draw, with which adapter, from which noise.

    topics: what each row tells of its topic, questions included; features: the types of that. worn: (topic, arm, seed)
    to the adapter's folder, None for the model alone. prompts: topic to {style: prompt}. The noise depends on topic,
    style, turn and seed, never on the arm.
    """
    from datasets import Dataset, Features

    known = {row["topic"]: row for row in topics}
    rows = []
    for (topic, arm, seed), folder in worn.items():
        adapter = {"adapter": str(folder or ""), "adapter_hash": adapter_hash(folder) if folder else ""}
        for style, prompt in prompts[topic].items():
            for turn in range(turns):
                made = {"arm": arm, "seed": seed, "style": style, "turn": turn, "prompt": prompt}
                noise = {"image_seed": picture_seed(topic, style, turn, seed)}
                rows.append(known[topic] | made | noise | adapter)
    return Dataset.from_list(rows, features=Features(picture_features(features)))


class Graded:
    """Scores of drawn pictures by arm, draws of one kind together."""

    def __init__(self, drawn: Dataset, clusters: Sequence[str], seed: int) -> None:
        """clusters: columns by which intervals are clustered, the topic first."""
        self.drawn, self.seed = drawn, seed
        self.groups = {column: drawn[column][:] for column in clusters}
        self.arm = [parse(name).pooled for name in drawn["arm"][:]]
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


def pairs(drawn: Dataset, contests: list[tuple[str, str]], prompt_column: str) -> Dataset:
    """A row a contest of two arms over one prompt and noise: the pictures `first` and `second`, and the prompt.

    Of an arm with several draws the first one competes.
    """
    from datasets import concatenate_datasets

    at: dict[str, dict[tuple[Any, ...], int]] = defaultdict(dict)
    for row, (arm, *key) in enumerate(zip(drawn["arm"][:], *(drawn[name][:] for name in KEY), strict=True)):
        at[parse(arm).pooled].setdefault(tuple(key), row)
    met = [(a, b, key) for a, b in contests for key in at[a] if key in at[b]]
    sides = {"first": [at[a][key] for a, _, key in met], "second": [at[b][key] for _, b, key in met]}
    told = drawn.select(sides["first"]).select_columns(["topic"]).flatten_indices()
    prompts = drawn[prompt_column][:]
    added = {"prompt": [prompts[row] for row in sides["first"]], "a": [a for a, *_ in met], "b": [b for _, b, _ in met]}
    for name, values in added.items():
        told = told.add_column(name, values)
    parts = [
        drawn.select(rows).select_columns(["image"]).rename_columns({"image": name}).flatten_indices()
        for name, rows in sides.items()
    ]
    return concatenate_datasets([told, *parts], axis=1)


def nulls(drawn: Dataset, metrics: Sequence[str], contests: Dataset | None) -> dict[str, dict[str, int]]:
    """By reason: pictures that could not be drawn (column image), drawn ones without a metric, pairs not judged."""
    found = {"image": dict(Counter(why for why in drawn["image_error"][:] if why is not None))}
    found |= arms.nulls(drawn, metrics, weighted=None)
    return found | (arms.nulls(contests, ["pairwise_win"], weighted=None) if contests is not None else {})


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


def with_retention(drawn: Dataset, embedding: str = "clip_embedding") -> Dataset:
    """Pictures of unrelated prompts with `retention`: how like the base model's own each is, by cosine; 1 the same.

    Rows with no adapter are the base model's, one for each prompt and noise, and have none themselves.
    """
    from datasets import Value

    vectors, usable = unit_vectors(drawn, embedding)
    noise = list(zip(drawn["prompt"][:], drawn["image_seed"][:], strict=True))
    adapters = drawn["adapter"][:]
    base = {key: row for row, key in enumerate(noise) if not adapters[row]}
    found: list[float | None] = []
    for row, key in enumerate(noise):
        other = base.get(key)
        fine = adapters[row] and other is not None and usable[row] and usable[other]
        found.append(float(vectors[row] @ vectors[other]) if fine else None)
    return drawn.add_column("retention", found, feature=Value("float32"))


def _told(values: Any) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
