"""What the quiz adds to the grading of arms: what goes in against what comes out, how topics differ, two judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis import grading
from tamis.metrics import stats

if TYPE_CHECKING:
    from datasets import Dataset

LEAST_POINTS = 3  # of a correlation: any two lie on a line


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
    """All that grading.measure() finds, and:

    correlations: what an arm was trained on with what it drew, over topics, both with the main seed alone: of an arm
    that other seeds repeat the mean is less noisy, and its correlation higher for that. quiz_accuracy_topic_sd: how
    much topics differ. agreement: the quiz's ranking with `second`'s.
    """
    found = grading.measure(
        drawn, metrics, best=best, clusters=clusters, unrelated=unrelated, contests=contests, seed=seed
    )
    for arm, spread in _spread_over_topics(found["by_topic"]["quiz_accuracy"]).items():
        found["arms"][arm]["quiz_accuracy_topic_sd"] = spread
    graded = grading.Graded(drawn, clusters, seed)
    main = drawn.select(np.flatnonzero(np.asarray(drawn["seed"][:]) == seed))
    drew = grading.Graded(main, clusters, seed).by_topic("quiz_accuracy")
    return found | {
        "trained_on": trained_on,
        "drew": drew,
        "correlations": input_output(trained_on, drew, seed=seed),
        "agreement": graded.agreement("quiz_accuracy", second) if second else [],
    }


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
