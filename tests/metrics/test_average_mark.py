"""Exact match, and Average Mark with the bounds that exact match and the difficulties leave it."""

from __future__ import annotations

import random

import pytest

from tamis.metrics import stats
from tamis.metrics.average_mark.average_mark import (
    WEIGHTS,
    AverageMark,
    average_mark,
    average_mark_bounds,
    difficulty_weights,
)
from tamis.metrics.exact_match.exact_match import exact_match


def test_exact_match_minds_neither_case_nor_outer_space():
    predictions = ["Red ", "red", "NA", "None", "nan", "", "reds", "red.", "ROT\n"]
    references = ["red", "blue", "na", "none", "nan", "red", "red", "red", " rot"]
    assert exact_match(predictions, references) == [1, 0, 1, 1, 1, 0, 0, 0, 1]


def test_what_is_no_text_is_refused_by_its_place():
    with pytest.raises(TypeError, match=r"predictions\[1\]: None is not a text"):
        exact_match(["a", None], ["a", "b"])
    with pytest.raises(TypeError, match=r"references\[0\]: 3 is not a text"):
        exact_match(["a"], [3])
    with pytest.raises(ValueError, match="2 predictions for 1 references"):
        exact_match(["a", "b"], ["a"])


def test_average_mark_is_the_reports_sum():
    assert [WEIGHTS[level] for level in (0, 1, 2, 3, 5)] == [1, 2, 4, 8, 20]
    assert WEIGHTS[4] == 16  # of the repository alone
    assert average_mark([1, 0, 1, 0], [0, 1, 2, 5]) == pytest.approx((1 + 4) / (1 + 2 + 4 + 20))


@pytest.mark.parametrize("level", [6, -1, 2.5, None, True, "1"])
def test_an_unknown_difficulty_is_refused_by_name(level):
    with pytest.raises(ValueError, match=f"difficulty {level!r} has no weight; expected one of 0, 1, 2, 3, 4, 5"):
        difficulty_weights([0, level])


def test_average_mark_stays_in_its_bounds_and_reaches_them():
    draw = random.Random(0)
    for _ in range(300):
        levels = [draw.choice([0, 0, 0, 1, 1, 2, 3, 4, 5]) for _ in range(draw.randint(1, 40))]
        correct = [float(draw.random() < 0.4) for _ in levels]
        lowest, highest = average_mark_bounds(int(sum(correct)), levels)
        assert lowest - 1e-12 <= average_mark(correct, levels) <= highest + 1e-12
        right = int(sum(correct))
        easy = sorted(levels, key=WEIGHTS.get)
        marks = [1.0] * right + [0.0] * (len(levels) - right)
        assert average_mark(marks, easy) == pytest.approx(lowest)
        assert average_mark(marks, easy[::-1]) == pytest.approx(highest)


def test_the_reports_table_breaks_the_bounds():
    # CLIP's exact match there is 0.15762: the easiest questions alone would give more than its Average Mark, 0.02153.
    levels = [0] * 48_578 + [1] * 23_729 + [2] * 4_056 + [3] * 2_474 + [5] * 1_499
    lowest, _ = average_mark_bounds(round(0.15762 * len(levels)), levels)
    assert lowest == pytest.approx(0.0781, abs=2e-4) and lowest > 0.02153


def test_average_mark_is_exact_match_weighted():
    draw = random.Random(1)
    levels = [draw.choice([0, 1, 2, 3, 5]) for _ in range(50)]
    predictions = [draw.choice("ab") for _ in levels]
    told = AverageMark().compute(predictions=predictions, references=["a"] * 50, difficulties=levels)
    weighted = stats.mean(told["rows"]["correct"], weights=told["rows"]["weight"])
    assert weighted.value == pytest.approx(told["average_mark"])
    assert weighted.low < weighted.value < weighted.high
    assert told["exact_match"] == predictions.count("a") / 50
    assert told["lowest"] <= told["average_mark"] <= told["highest"]
