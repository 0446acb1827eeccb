"""Brier scores and calibration errors against values worked out by hand; intervals that cover."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tamis.metrics import stats
from tamis.metrics.calibration import brier, expected_calibration_error, taken

FOUR = dict.fromkeys("abcd", 0.25)


def test_brier_is_summed_over_the_options() -> None:
    told = [{"a": 0.7, "b": 0.2, "c": 0.1}, None, {"a": 1.0, "b": 0.0}, {"a": 1.0, "b": 0.0}, FOUR]
    got = brier(told, ["a", "a", "a", "b", "c"])
    by_hand = [0.3**2 + 0.2**2 + 0.1**2, 0.0, 2.0, 1 - 1 / 4]
    assert got.value == pytest.approx(sum(by_hand) / 4)
    assert (got.n, got.nulls) == (4, 1)
    assert brier([{"true": 0.8, "false": 0.2}], ["true"]).value == pytest.approx(2 * 0.2**2)
    assert brier([None], ["a"]) == stats.Estimate(None, None, None, 0, 1)


def test_brier_has_the_interval_of_its_mean_by_group() -> None:
    draw = np.random.default_rng(0)
    shares = draw.uniform(size=60).tolist()
    told = [{"a": share, "b": 1 - share} for share in shares]
    groups = [number // 3 for number in range(60)]
    got = brier(told, ["a"] * 60, groups=groups, seed=4)
    wanted = stats.mean([2 * (1 - share) ** 2 for share in shares], groups=groups, seed=4)
    assert vars(got) == pytest.approx(vars(wanted)) and got.low < got.value < got.high


def test_a_tie_at_the_top_is_wrong() -> None:
    told = [FOUR, {"a": 0.4, "b": 0.6}, {"a": 0.5, "b": 0.5}, None]
    assert taken(told, ["a", "b", "b", "a"]) == ([0.25, 0.6, 0.5, None], [False, True, False, None])


def test_calibration_error_by_hand_and_its_edges() -> None:
    # Five bins: 0.2 and 0.1 in the first, 0.4 in the second, 0.9 and 1 in the last.
    sure, right = [0.2, 0.1, 0.4, 0.9, 1.0], [True, False, True, True, False]
    by_hand = (abs(0.3 - 1) + abs(0.4 - 1) + abs(1.9 - 1)) / 5
    assert expected_calibration_error(sure, right, bins=5).value == pytest.approx(by_hand)
    # An edge belongs to the bin below: with 0.3 it is 0.4 that stands, with 0.2 it is not.
    assert expected_calibration_error([0.3, 0.4], [0, 1], bins=5).value == pytest.approx(abs(0.7 - 1) / 2)
    assert expected_calibration_error([0.2, 0.4], [0, 1], bins=5).value == pytest.approx((0.2 + 0.6) / 2)
    assert expected_calibration_error([0.0, 0.2], [0, 1], bins=5).value == pytest.approx(abs(0.2 - 1) / 2)
    got = expected_calibration_error([0.5, None, 0.5], [1, 1, None], bins=1)
    assert got == stats.Estimate(0.5, None, None, 1, 2)
    assert expected_calibration_error([], []).value is None


def test_intervals_cover_where_answers_of_a_group_hang_together() -> None:
    draw = np.random.default_rng(1)
    perfect = overconfident = wide = narrow = 0
    for trial in range(100):
        groups = np.repeat(np.arange(40), 10)
        luck = np.repeat(draw.uniform(size=40), 10)  # of a group all or none
        sure = np.full(400, 0.7)
        got = expected_calibration_error(sure, luck < 0.7, groups=groups.tolist(), seed=trial, draws=400)
        perfect += got.low == pytest.approx(0, abs=1e-9) and got.high >= got.value
        wide += got.high - got.low
        got = expected_calibration_error(sure, luck < 0.7, seed=trial, draws=400)
        narrow += got.high - got.low
        got = expected_calibration_error(sure, draw.uniform(size=400) < 0.5, seed=trial, draws=400)
        overconfident += got.low <= 0.2 <= got.high
    assert perfect >= 85 and overconfident >= 85 and wide > 1.5 * narrow


def test_one_group_has_no_interval_and_a_seed_decides_the_others() -> None:
    got = expected_calibration_error([0.6, 0.9], [1, 0], groups=["x", "x"])
    assert (got.low, got.high) == (None, None)
    sure, right = np.linspace(0, 1, 50).tolist(), [number % 2 for number in range(50)]
    assert expected_calibration_error(sure, right, seed=3) == expected_calibration_error(sure, right, seed=3)


@pytest.mark.parametrize(
    ("told", "truth"), [({"a": 1.0}, "b"), ({"a": 0.7, "b": 0.7}, "a"), ({"a": math.nan, "b": 0.5}, "a")]
)
def test_what_is_no_distribution_is_refused(told: dict[str, float], truth: str) -> None:
    with pytest.raises(ValueError, match="no distribution"):
        brier([told], [truth])


def test_what_is_no_confidence_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 to 1"):
        expected_calibration_error([1.2], [1])
    with pytest.raises(ValueError, match="as many are needed"):
        expected_calibration_error([0.2], [1, 0])
