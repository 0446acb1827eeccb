"""How well scores find faults: exact areas, intervals that hold, nulls counted; and words for kept and dropped rows."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from datasets import Dataset

from tamis import select
from tamis.config import ConfigError
from tamis.metrics import auc
from tamis.scale_select import faults, reasons


def plain(first: list[float], second: list[float]) -> float:
    won = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(first, second)]
    return sum(won) / len(won)


@pytest.mark.parametrize("seed", range(6))
def test_the_area_is_that_of_all_pairs(seed: int) -> None:
    draw = np.random.default_rng(seed)
    first = draw.integers(0, 5, 40).tolist()
    second = draw.integers(0, 4, 17).tolist()
    told = auc.told_apart([*first, None, math.nan], [*second, None], draws=300)
    assert told.value == pytest.approx(plain(first, second))
    assert (told.n, told.nulls) == (57, 3)
    assert told.low < told.value < told.high
    assert auc.told_apart(second, first, draws=10).value == pytest.approx(1 - told.value)


def test_drawn_and_normal_intervals_agree_and_cover() -> None:
    """Of 300 samples with a known area, about 95 in 100 intervals hold it; beyond PAIRS the normal one is taken."""
    draw = np.random.default_rng(0)
    held = {"drawn": 0, "normal": 0}
    truth = 0.7602  # P(x + 1 > y) of two normal ones
    for _ in range(300):
        first, second = draw.normal(1, 1, 60), draw.normal(0, 1, 40)
        drawn = auc.told_apart(first.tolist(), second.tolist(), draws=400)
        reach = auc.standard_errors(40) * auc._spread(first, second)
        held["drawn"] += drawn.low <= truth <= drawn.high
        held["normal"] += abs(drawn.value - truth) <= reach
        assert drawn.high - drawn.low == pytest.approx(2 * reach, rel=0.3)
    assert all(0.91 <= count / 300 <= 0.985 for count in held.values()), held
    many = auc.told_apart(draw.normal(1, 1, 4000).tolist(), draw.normal(0, 1, 3000).tolist())
    assert many.low < truth < many.high and many.high - many.low < 0.03


def test_without_a_wrong_pair_the_bound_is_what_so_few_rows_leave_open() -> None:
    clear = auc.told_apart([2.0] * 30, [1.0] * 5)
    assert (clear.value, clear.high) == (1.0, 1.0) and clear.low == pytest.approx(0.025 ** (1 / 5))
    wrong = auc.told_apart([1.0] * 5, [2.0] * 30)
    assert (wrong.value, wrong.low) == (0.0, 0.0) and wrong.high == pytest.approx(1 - 0.025 ** (1 / 5))
    one = auc.told_apart([1.0, 2.0, 3.0], [2.0])
    assert (one.value, one.low, one.high) == (0.5, None, None)
    none = auc.told_apart([1.0, None], [None])
    assert (none.value, none.n, none.nulls) == (None, 1, 2)
    same = auc.told_apart([3.0] * 20, [3.0] * 20)
    assert (same.value, same.low, same.high) == (0.5, 0.5, 0.5)


def faulty() -> Dataset:
    kinds = ["none"] * 12 + ["blur"] * 5 + ["mismatch"] * 4 + ["cut short"] + [None] * 2
    draw = np.random.default_rng(1)
    sharp = [5.0 if kind != "blur" else 1.0 for kind in kinds]
    text = [float(one) for one in draw.integers(1, 6, len(kinds))]
    text[0] = text[13] = None
    same = [3.0] * len(kinds)
    return Dataset.from_dict(
        {
            "row_id": [f"r{index}" for index in range(len(kinds))],
            "truth_defect": kinds,
            "sharp": sharp,
            "text": text,
            "same": same,
            "unscored": [None] * len(kinds),
        }
    )


def test_every_score_is_held_against_every_fault() -> None:
    told = {(one.column, one.fault): one for one in faults.found(faulty(), "truth_defect", ["sharp", "text", "same"])}
    assert {fault for _, fault in told} == {"blur", "mismatch", "cut short", faults.ANY}
    assert told["sharp", "blur"].value == 1.0 and told["sharp", "mismatch"].value == 0.5
    assert told["sharp", faults.ANY].value == pytest.approx(plain([5.0] * 12, [1.0] * 5 + [5.0] * 5))
    assert told["same", "blur"].value == 0.5
    one = told["text", "blur"]
    assert (one.sound, one.sound_nulls, one.faulty, one.faulty_nulls) == (11, 1, 4, 1)
    assert (one.estimate.n, one.estimate.nulls) == (15, 2)
    assert told["text", "cut short"].faulty == 1 and told["text", "cut short"].low is None


def test_faults_that_no_score_saw_and_no_sound_rows() -> None:
    [one, *_] = faults.found(faulty(), "truth_defect", ["unscored"])
    assert (one.value, one.sound, one.faulty_nulls) == (None, 0, 5)
    head, lines = faults.table(faults.found(faulty(), "truth_defect", ["sharp", "unscored"]))
    assert list(head) == ["score", "sound rows scored", "blur", "cut short", "mismatch", faults.ANY]
    assert lines[0][2].startswith("1.000 [0.478, 1.000], 5 of 5") and lines[1][1:3] == ["0 of 12", "–, 0 of 5"]
    with pytest.raises(ConfigError, match="'truth_defect': no row is 'sound'; it has: blur, cut short, mismatch, none"):
        faults.found(faulty(), "truth_defect", ["sharp"], sound="sound")
    healthy = faulty().select(range(12))
    assert faults.found(healthy, "truth_defect", ["sharp"]) == []


def rated(rows: int = 100) -> Dataset:
    """The row's number decides all; row 7 lacks one part, and says why."""
    level = [1 + 4 * index / (rows - 1) for index in range(rows)]
    return Dataset.from_dict(
        {
            "row_id": [f"r{index}" for index in range(rows)],
            "scale_score": [None if index == 7 else value for index, value in enumerate(level)],
            "rated_image_level": [None if index == 7 else value for index, value in enumerate(level)],
            "rated_image_error": ["image: zero bytes" if index == 7 else None for index in range(rows)],
            "text_quality_completeness": level[::-1],
            "text_quality_overall": [3.0] * rows,
        }
    )


PARTS = ["rated_image_level", "text_quality_completeness", "text_quality_overall"]


def test_reasons_name_the_score_that_is_low() -> None:
    pool = rated()
    told = reasons.reasons(pool, [0, 3, 20, 50, 97, 7], PARTS, end="lowest")
    assert told == [
        "rated_image_level 1: in the lowest 5 %",  # 1 of 99 scored rows: 1.01 %
        "rated_image_level 1.12: in the lowest 5 %",
        "rated_image_level 1.81: in the lowest 25 %",
        "none of its scores is in the lowest 25 %",
        "text_quality_completeness 1.08: in the lowest 5 %",
        "no rated_image_level: image: zero bytes",
    ]
    high = reasons.reasons(pool, [0, 99], PARTS, end="highest")
    assert high[0] == "text_quality_completeness 5: in the highest 1 %"
    assert high[1] == "rated_image_level 5: in the highest 5 %"


def test_examples_stand_about_the_cut_and_say_why() -> None:
    pool = rated()
    kept = select.top_k(pool, "scale_score", k=10)
    told = reasons.examples(pool, kept, "scale_score", PARTS, seed=0, each=2)
    assert {group: [at for at, _ in rows] for group, rows in told.items()} == {
        "best kept": [99, 98],
        "last kept": [91, 90],
        "first dropped": [89, 88],
        "worst": [1, 0],
        "not ranked": [7],
    }
    assert told["best kept"][0][1] == "rated_image_level 5: in the highest 5 %"
    assert told["first dropped"][0][1].startswith("text_quality_completeness 1.4: in the lowest 25 %")
    assert told["not ranked"][0][1] == "no rated_image_level: image: zero bytes"
    head, lines = reasons.lines(pool, told, ["row_id", "scale_score"])
    assert head == ["", "row_id", "scale_score", "why"] and len(lines) == 9 and lines[0][:2] == ["best kept", "r99"]


def test_nobody_is_low_where_all_have_the_same_score() -> None:
    pool = rated()
    same = reasons.reasons(pool, [0, 50, 99], ["text_quality_overall"], end="lowest")
    assert same == ["none of its scores is in the lowest 25 %"] * 3
    empty = reasons.examples(pool, pool.select([]), "scale_score", PARTS, seed=0, each=1)
    assert empty["best kept"] == [] and len(empty["worst"]) == 1
