"""What the benchmark says of the arms: accuracy by task, differences to full data and to random draws, their spread."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.arm_names import pooled
from tamis.columns import column_values
from tamis.grading import Graded
from tamis.metrics import stats
from tamis.scale_select.arm_forms import BASE, FULL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datasets import Dataset

BY = "picture"
COMPARED = [field.name for field in fields(stats.Comparison)]


def measure(answers: Dataset, metrics: Sequence[str], *, best: str, seed: int) -> dict[str, Any]:
    """What results.json tells: arms by metric, and by metric@task; `best` against every other arm, each other arm
    against the model as it is and against full data, on the questions that both answered.

    Seeds and draws of an arm count one by one in its means, and are averaged before they are compared. Intervals are
    over pictures: they do not tell what another draw or another seed would give. `over_trainings` is the wider one that
    does, where both arms were trained more than once; `draws` has each, by metric and arm.
    """
    graded = Graded(answers, [BY], seed, key=("row_id",))
    arms = graded.means(metrics, by=["task", "benchmark"])
    compared = [
        graded.compare(a, b, metric, clustered_by=BY) for a, b in _contests(graded.arms, best) for metric in metrics
    ]
    for task in sorted(set(filter(None, answers["task"][:]))):
        part = Graded(_of_task(answers, task), [BY], seed, key=("row_id",))
        told = part.compare(best, BASE, metrics[0], clustered_by=BY)
        compared.append(told | {"metric": f"{metrics[0]}@task={task}"})
    each = {metric: draws(answers, metric) for metric in metrics}
    for told in compared:
        if told["metric"] in each:
            told["over_trainings"] = _over_trainings(told, each[told["metric"]])
    shares = {metric: relative(arms, metric) for metric in metrics}
    return {"arms": arms, "comparisons": compared, "draws": each, "relative": shares}


def _contests(arms: Sequence[str], best: str) -> list[tuple[str, str]]:
    others = [arm for arm in arms if arm != best]
    found = [(best, arm) for arm in others]
    found += [(arm, BASE) for arm in others if arm != BASE]
    return found + [(arm, FULL) for arm in others if arm not in (BASE, FULL) and FULL in arms]


def _over_trainings(told: dict[str, Any], each: dict[str, dict[str, Any]]) -> tuple[float, float] | None:
    trained = [[] if arm == BASE else list(each[arm]["each"].values()) for arm in (told["a"], told["b"])]
    if None in (*trained[0], *trained[1]):
        return None
    return stats.over_trainings(stats.Comparison(**{field: told[field] for field in COMPARED}), *trained)


def _of_task(answers: Dataset, task: str) -> Dataset:
    return answers.select([row for row, one in enumerate(answers["task"][:]) if one == task])


def draws(answers: Dataset, metric: str) -> dict[str, dict[str, Any]]:
    """By arm, how accurate each of its draws and seeds is by itself, and how far apart they are: the spread that a
    difference between two arms has to be held against."""
    right, names, seeds = (
        column_values(answers, metric),
        np.asarray(answers["arm"][:]),
        np.asarray(answers["seed"][:]),
    )
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(names.tolist()):
        for seed in dict.fromkeys(seeds[names == name].tolist()):
            some = right[(names == name) & (seeds == seed)]
            value = None if np.isnan(some).all() else float(np.nanmean(some))
            found.setdefault(pooled(name), {"each": {}})["each"][f"{name}, seed {seed}"] = value
    for told in found.values():
        known = [value for value in told["each"].values() if value is not None]
        told["deviation"] = float(np.std(known, ddof=1)) if len(known) > 1 else None
        told["lowest"], told["highest"] = (min(known), max(known)) if known else (None, None)
    return found


def relative(arms: dict[str, dict[str, Any]], metric: str) -> dict[str, float | None]:
    """Accuracy as a share of what full data gives; nothing where there is no such arm."""
    whole = arms.get(FULL, {}).get(metric, {}).get("value")
    if not whole:
        return {}
    return {arm: None if told[metric]["value"] is None else told[metric]["value"] / whole for arm, told in arms.items()}
