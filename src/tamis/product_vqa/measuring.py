"""What the answers say of the arms: means by difficulty, paired differences, intervals by picture."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.columns import column_values
from tamis.grading import Graded
from tamis.metrics import stats
from tamis.product_vqa.arm_forms import AS_8BIT, BASE, BY_ROW, ON_8BIT, VqaArm, own_base

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datasets import Dataset

CHOSEN_BY = "exact_match"
MARK = "average_mark"
IN_8BIT = (f".{AS_8BIT}", f".{ON_8BIT}")
# A metric that is the weighted mean of a column: that column, and that of its weights.
WEIGHTED = {MARK: (CHOSEN_BY, "mark_weight")}


def best_shape(validation: Dataset, arms: Sequence[VqaArm]) -> tuple[str, dict[str, float]]:
    """The plain shape that answers most validation questions right, all its seeds together, and how many each does.

    Of equals the first listed. The test rows have no say.
    """
    names, right = np.asarray(validation["arm"][:]), column_values(validation, CHOSEN_BY)
    told = {arm.name: right[names == arm.name] for arm in arms if arm.plain}
    found = {arm: float(np.nanmean(some)) for arm, some in told.items() if not np.isnan(some).all()}
    if not found:
        raise ValueError("no answer to a validation question has a score: no shape can be chosen")
    return max(found, key=found.__getitem__), found


def measure(test: Dataset, metrics: Sequence[str], *, best: str, seed: int) -> dict[str, Any]:
    """What results.json tells: arms by metric, and by metric@level; comparisons on the questions that both answered.

    The answers of an arm's several seeds count one by one in its means, and are averaged before they are compared.
    """
    graded = _graded(test, seed)
    every = [*metrics, MARK]
    arms = graded.means(every, by=["level"])
    for told in arms.values():
        for name in [name for name in told if name.startswith(f"{MARK}@")]:
            del told[name]  # within a level all weights are the same: it is exact_match
    comparisons = [
        graded.compare(a, b, metric, clustered_by="picture") for a, b in _contests(list(arms), best) for metric in every
    ]
    # What 8 bits change is told of each seed's LoRA: the seeds that both have.
    by_seed = _graded(test, seed, key=("row_id", "seed"))
    comparisons += [
        by_seed.compare(arm, arm.rpartition(".")[0], metric, clustered_by="picture")
        for arm in arms
        if arm.endswith(IN_8BIT) and arm.rpartition(".")[0] in arms
        for metric in every
    ]
    levels = test["level"][:]
    for level in sorted(set(levels)):
        part = _graded(test.select([row for row, one in enumerate(levels) if one == level]), seed)
        for metric in metrics if BASE in arms else ():
            told = part.compare(best, BASE, metric, clustered_by="picture")
            comparisons.append(told | {"metric": f"{metric}@level={level}"})
    return {"arms": arms, "comparisons": comparisons}


def _graded(answers: Dataset, seed: int, key: Sequence[str] = ("row_id",)) -> Graded:
    return Graded(answers, ["picture"], seed, key=key, weighted=WEIGHTED)


def _contests(arms: list[str], best: str) -> list[tuple[str, str]]:
    """The best against every other arm; each other one against its own model as it is, on the same rows; a shape split
    by row against the same split by picture, on the questions that are in both test splits."""
    others = [arm for arm in arms if arm != best]
    found = [(best, other) for other in others if not other.endswith(f".{BY_ROW}")]
    found += [(f"{arm}.{BY_ROW}", arm) for arm in arms if f"{arm}.{BY_ROW}" in arms and arm != BASE]
    found += [(arm, own_base(arm)) for arm in others if own_base(arm) in arms and arm not in (BASE, own_base(arm))]
    return found


def silent(answers: Dataset) -> dict[str, int]:
    """By arm, how many answers are empty: they count as wrong."""
    told = zip(answers["arm"][:], answers["prediction"][:], strict=True)
    return dict(Counter(arm for arm, prediction in told if prediction is not None and not prediction.strip()))


def by_level(questions: Dataset, columns: Sequence[str], *, seed: int) -> dict[str, dict[str, Any]]:
    """level to column to estimate, intervals by picture: what the questions are like. `all`: every level."""
    levels, pictures = [str(level) for level in questions["difficulty"][:]], questions["picture"][:]
    found = {}
    for level in ["all", *sorted(set(levels))]:
        rows = [row for row, one in enumerate(levels) if level in ("all", one)]
        found[level] = {
            column: asdict(
                stats.mean(
                    [None if np.isnan(value) else float(value) for value in column_values(questions, column)[rows]],
                    groups=[pictures[row] for row in rows],
                    seed=seed,
                )
            )
            for column in columns
        }
        found[level] |= {"questions": len(rows)}
    return found
