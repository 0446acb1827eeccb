"""Average Mark: the share of right answers, each weighted by its question's difficulty, as in a school examination.

Right is an exact match, lower-cased and stripped.
"""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate

# Levels 0, 1, 2, 3, 5 are the report's (section 4.3); 4 has no questions there and comes from its repository.
WEIGHTS = {0: 1, 1: 2, 2: 4, 3: 8, 4: 16, 5: 20}

CITATION = """\
Visual question answering on Amazon Berkeley Objects (report with repository, 2025), section 4.3:
AM = sum(C_i W_d_i) / sum(W_d_i)
"""

INPUTS = """
predictions: list of texts.
references: list of texts, one a prediction.
difficulties: list of whole numbers, one a prediction: 0, 1, 2, 3 or 5; 4 as in the report's repository.
Returns average_mark (0..1), lowest and highest (what it can be with as many exact matches), exact_match, and rows:
correct and weight, one value a row. The mean of rows.correct weighted by rows.weight is average_mark.
"""


def difficulty_weights(difficulties: Sequence[int]) -> list[int]:
    """What each row counts; a level without a weight is refused by name."""
    unknown = sorted({repr(level) for level in difficulties if isinstance(level, bool) or level not in WEIGHTS})
    if unknown:
        known = ", ".join(map(str, WEIGHTS))
        raise ValueError(f"difficulty {', '.join(unknown)} has no weight; expected one of {known}")
    return [WEIGHTS[level] for level in difficulties]


def average_mark(correct: Sequence[float], difficulties: Sequence[int]) -> float:
    """sum(correct x weight) / sum(weight)."""
    weights = difficulty_weights(difficulties)
    return sum(right * weight for right, weight in zip(correct, weights, strict=True)) / sum(weights)


def average_mark_bounds(right: int, difficulties: Sequence[int]) -> tuple[float, float]:
    """The least and the most that Average Mark can be where so many of these questions are answered exactly.

    Least: all right answers are to the easiest questions; most: to the hardest. A table with a value outside them is
    wrong, whatever the model.
    """
    weights = sorted(difficulty_weights(difficulties))
    if not 0 <= right <= len(weights):
        raise ValueError(f"{right} right answers to {len(weights)} questions")
    return sum(weights[:right]) / sum(weights), sum(weights[len(weights) - right :]) / sum(weights)


class AverageMark(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation=CITATION,
            inputs_description=INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.Value("string"),
                    "difficulties": datasets.Value("int64"),
                }
            ),
        )

    def _compute(self, predictions: list[str], references: list[str], difficulties: list[int]) -> dict:
        pairs = paired_texts(predictions, references)
        correct = [float(prediction.strip().lower() == reference.strip().lower()) for prediction, reference in pairs]
        lowest, highest = average_mark_bounds(int(sum(correct)), difficulties)
        return {
            "average_mark": average_mark(correct, difficulties),
            "lowest": lowest,
            "highest": highest,
            "exact_match": sum(correct) / len(correct),
            "rows": {"correct": correct, "weight": difficulty_weights(difficulties)},
        }


def paired_texts(predictions: Sequence[str], references: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs; anything but text on either side is refused by its place."""
    for what, texts in (("predictions", predictions), ("references", references)):
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"{what}[{place}]: {text!r} is not a text; leave out rows that have no answer")
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions for {len(references)} references; as many are needed")
    return list(zip(predictions, references, strict=True))
