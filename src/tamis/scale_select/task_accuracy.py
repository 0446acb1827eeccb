"""How often the predicted sub-task of a question is the one that people gave it, on any set with MMBench's columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tamis.metrics import stats
from tamis.metrics.stats import Estimate
from tamis.prompts.scale import SUBTASKS

# Labels of MMBench that SCALE cuts: it can predict none of them.
CUT = ("image_emotion", "image_quality", "spatial_relationship", "identity_reasoning", "nature_relation")
# Correct predictions and questions, as published (SCALE, table 3).
PUBLISHED = {
    "image_style": (547, 552),
    "image_scene": (842, 920),
    "image_topic": (385, 477),
    "object_localization": (593, 722),
    "attribute_recognition": (524, 640),
    "celebrity_recognition": (734, 868),
    "ocr": (393, 460),
    "attribute_comparison": (349, 385),
    "action_recognition": (484, 567),
    "physical_property_reasoning": (400, 498),
    "function_reasoning": (620, 717),
    "social_relation": (479, 484),
    "physical_relation": (317, 357),  # a copy of future_prediction's: published beside 85.19 %, which it is not
    "structuralized_imagetext_understanding": (552, 660),
    "future_prediction": (317, 357),
}
NONE = "no prediction"


@dataclass(frozen=True)
class TaskAccuracy:
    """Of the 15 sub-tasks; what else the labels say stands apart, so that every row is somewhere.

    A row without a prediction is a null of the estimates, and stands in `confusion` as "no prediction".
    """

    overall: Estimate
    categories: Estimate  # whether at least the category of six is right
    by_subtask: dict[str, Estimate]  # those that there are rows of, in the order of SUBTASKS
    confusion: dict[str, dict[str, int]]  # label: prediction: rows
    cut: dict[str, dict[str, int]]  # the same of the labels that SCALE cuts
    other: dict[str, int]  # rows by a label that is none of MMBench's twenty; "" where it is null

    def table(self) -> tuple[list[str], list[list[str]]]:
        """The confusion matrix: header, and a row a label, the cut ones last; columns of predictions that occur."""
        told = self.confusion | self.cut
        seen = {prediction for row in told.values() for prediction in row}
        columns = [prediction for prediction in (*SUBTASKS, NONE) if prediction in seen]
        rows = [[label, *(str(row.get(one, 0)) for one in columns)] for label, row in told.items()]
        return ["label", *columns], rows


def task_accuracy(
    predicted: Sequence[str | None],
    labelled: Sequence[str | None],
    *,
    groups: Sequence[Any] | None = None,
    seed: int = 0,
) -> TaskAccuracy:
    """groups: what belongs together, such as the turns of one question with its options in several orders."""
    strange = sorted({one for one in predicted if one is not None} - SUBTASKS.keys())
    if strange:
        raise ValueError(f"predicted: {', '.join(map(repr, strange))}; expected sub-tasks of tamis.prompts.scale")
    pairs = list(zip(predicted, labelled, strict=True))
    if groups is not None and len(groups) != len(pairs):
        raise ValueError(f"groups: {len(groups)} for {len(pairs)} rows")
    known = [at for at, (_, label) in enumerate(pairs) if label in SUBTASKS]

    def estimate(rows: list[int], right: Sequence[float | None]) -> Estimate:
        together = None if groups is None else [groups[at] for at in rows]
        return stats.mean([right[at] for at in rows], groups=together, seed=seed)

    right = [None if one is None else float(one == label) for one, label in pairs]
    near = [
        None if one is None or label not in SUBTASKS else float(SUBTASKS[one].category == SUBTASKS[label].category)
        for one, label in pairs
    ]
    rows_of = {name: [at for at in known if pairs[at][1] == name] for name in SUBTASKS}
    counts = Counter((label, one or NONE) for one, label in pairs)

    def counted(labels: Sequence[str]) -> dict[str, dict[str, int]]:
        of = {label: {one: n for (own, one), n in counts.items() if own == label} for label in labels}
        return {label: told for label, told in of.items() if told}

    return TaskAccuracy(
        overall=estimate(known, right),
        categories=estimate(known, near),
        by_subtask={name: estimate(rows, right) for name, rows in rows_of.items() if rows},
        confusion=counted(list(SUBTASKS)),
        cut=counted(CUT),
        other=dict(Counter(label or "" for _, label in pairs if label not in SUBTASKS and label not in CUT)),
    )
