"""What the answers say of the arms: by difficulty, by picture, on the questions that both answered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from tamis.metrics.average_mark.average_mark import WEIGHTS, average_mark
from tamis.product_vqa import arm_forms, measuring, sittings

LEVELS = (0, 1, 2, 3, 5)


def answered(right: dict[tuple[str, int], list[bool]], split: str = "test", first: int = 0) -> Dataset:
    """right: (arm, seed) to whether each answer is; five questions a picture."""
    rows: list[dict[str, Any]] = []
    for (arm, seed), some in right.items():
        for at, fine in enumerate(some, start=first):
            level = LEVELS[at % 5]
            row = {"arm": arm, "seed": seed, "split": split, "row_id": f"q{at}", "picture": f"p{at // 5}"}
            row |= {"level": str(level), "difficulty": level, "mark_weight": float(WEIGHTS[level])}
            rows.append(row | {"prediction": "red" if fine else "", "exact_match": float(fine)})
    return Dataset.from_list(rows)


def test_average_mark_is_the_metric_of_that_name() -> None:
    draw = np.random.default_rng(0)
    right = {("base", 0): draw.random(60) < 0.4, ("r8-query", 0): draw.random(60) < 0.6}
    found = measuring.measure(answered(right), ["exact_match"], best="r8-query", seed=0)
    for (arm, _), some in right.items():
        wanted = average_mark(some.astype(float).tolist(), [LEVELS[at % 5] for at in range(60)])
        assert found["arms"][arm]["average_mark"]["value"] == pytest.approx(wanted)
        told = found["arms"][arm]["exact_match@level=3"]
        assert told["n"] == 12 and told["value"] == pytest.approx(np.mean(some[3::5]))
    [marks] = [one for one in found["comparisons"] if one["metric"] == "average_mark"]
    values = [found["arms"][arm]["average_mark"]["value"] for arm in ("r8-query", "base")]
    assert marks["difference"] == pytest.approx(values[0] - values[1]) and marks["low"] < marks["difference"]
    levels = {one["metric"] for one in found["comparisons"] if "@" in one["metric"]}
    assert levels == {f"exact_match@level={level}" for level in LEVELS}


def test_seeds_are_averaged_by_question_before_arms_are_compared() -> None:
    right = {("base", 0): [False] * 10, ("r8-query", 0): [True] * 10, ("r8-query", 1): [False] * 10}
    found = measuring.measure(answered(right), ["exact_match"], best="r8-query", seed=0)
    assert found["arms"]["r8-query"]["exact_match"]["n"] == 20
    [one] = [one for one in found["comparisons"] if one["metric"] == "exact_match"]
    assert one["n"] == 10 and one["difference"] == pytest.approx(0.5)


def test_arms_split_by_row_meet_their_own_base_and_the_best_where_they_share_questions() -> None:
    from datasets import concatenate_datasets

    own = answered({("base", 0): [False] * 20, ("r8-query", 0): [True] * 20})
    by_row = {("base.by-row", 0): [False] * 20, ("r8-query.by-row", 0): [True, False] * 10}
    both = concatenate_datasets([own, answered(by_row, "test by row", first=15)])
    found = measuring.measure(both, ["exact_match"], best="r8-query", seed=0)
    told = {(one["a"], one["b"]): one for one in found["comparisons"] if one["metric"] == "exact_match"}
    assert told["r8-query.by-row", "base.by-row"]["n"] == 20
    assert told["r8-query.by-row", "r8-query"]["n"] == 5  # q15 to q19 are in both test splits
    assert set(told) == {
        ("r8-query", "base"),
        ("r8-query.by-row", "base.by-row"),
        ("r8-query.by-row", "r8-query"),
    }


def test_what_8_bits_change_is_told_of_the_same_lora_whatever_is_best() -> None:
    right = {("base", 0): [False] * 10, ("r8-query", 0): [True] * 10, ("r8-query", 1): [False] * 10}
    right |= {("r8-query.8bit", 0): [True] * 5 + [False] * 5, ("r8-value", 0): [True] * 10, ("vlm", 0): [False] * 10}
    right |= {("vlm.tuned", 0): [True] * 10}
    found = measuring.measure(answered(right), ["exact_match"], best="r8-value", seed=0)
    told = {(one["a"], one["b"]): one for one in found["comparisons"] if one["metric"] == "exact_match"}
    changed = told["r8-query.8bit", "r8-query"]
    assert changed["difference"] == pytest.approx(-0.5) and changed["n"] == 10  # seed 1 has none in 8 bits
    assert told["vlm.tuned", "vlm"]["difference"] == 1 and ("vlm.tuned", "base") not in told


def test_the_best_shape_is_that_of_the_validation_rows_of_all_seeds() -> None:
    arms = [arm_forms.parse(name) for name in ("base", "r8-query", "r8-value", "r8-value.top-50pct")]
    right = {("base", 0): [True] * 10, ("r8-query", 0): [True] * 10, ("r8-query", 1): [False] * 10}
    right |= {("r8-value", 0): [True] * 6 + [False] * 4, ("r8-value.top-50pct", 0): [True] * 10}
    best, found = measuring.best_shape(answered(right, "validation"), arms)
    assert best == "r8-value" and found == pytest.approx({"r8-query": 0.5, "r8-value": 0.6})
    with pytest.raises(ValueError, match="no answer to a validation question"):
        measuring.best_shape(answered({("base", 0): [True]}), arms)


def test_empty_answers_are_counted_and_wrong() -> None:
    told = answered({("base", 0): [True, False, False]})
    assert measuring.silent(told) == {"base": 2}
    assert sittings.of_split(told, "validation").num_rows == 0
