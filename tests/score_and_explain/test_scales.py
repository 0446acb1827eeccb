"""Mappings to 1..10 as properties: ends, order, halves; and scales that are none."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest

from tamis.config import ConfigError
from tamis.score_and_explain.scales import checked, mean_of, to_ten, whole

SCALES = [
    (0.0, 1.0),
    (1.0, 10.0),
    (1.0, 5.0),
    (-3.0, 7.5),
    (0.0, 100.0),
    (0.1, 0.7),
    (-1.7e308, 1.7e308),
    (0.0, 5e-324),
]


def _between(low: float, high: float, share: float) -> float:
    return min(high, max(low, low * (1 - share) + high * share))


@pytest.mark.parametrize(("low", "high"), SCALES)
def test_ends_become_1_and_10_and_order_stays(low, high) -> None:
    assert (to_ten(low, low, high), to_ten(high, low, high)) == (1.0, 10.0)
    draw = random.Random(f"{low} {high}")
    values = sorted({low, high, *(_between(low, high, draw.random()) for _ in range(2000))})
    mapped = [to_ten(value, low, high) for value in values]
    assert mapped == sorted(mapped) and mapped[0] == 1.0 and mapped[-1] == 10.0
    scores = [whole(one) for one in mapped]
    assert scores == sorted(scores) and set(scores) <= set(range(1, 11))


def test_a_mean_of_1_to_10_stays_to_the_last_bit() -> None:
    means = np.random.default_rng(0).uniform(1, 10, 1000).tolist()
    assert [to_ten(mean, 1, 10) for mean in means] == means


def test_a_half_goes_up_and_nothing_else_does() -> None:
    assert [whole(half) for half in (1.5, 2.5, 4.5, 5.5, 9.5)] == [2, 3, 5, 6, 10]
    for score in range(1, 10):
        half = score + 0.5
        assert (whole(math.nextafter(half, 0)), whole(half)) == (score, score + 1)
    assert (whole(1.0), whole(10.0)) == (1, 10)


def test_the_mean_of_votes() -> None:
    assert mean_of([0] * 9 + [7]) == 10.0 and mean_of([3] + [0] * 9) == 1.0 and mean_of([1] * 10) == 5.5
    draw = np.random.default_rng(1)
    for votes in draw.integers(0, 200, (200, 10)).tolist():
        expected = np.repeat(np.arange(1, 11), votes).mean()
        assert mean_of(votes) == pytest.approx(expected, abs=1e-12)
        more = [*votes[:-1], votes[-1] + 1]
        assert 1 <= mean_of(votes) <= mean_of(more) <= 10


@pytest.mark.parametrize(
    "scale", [[], [1], [1, 1], [10, 1], [0, 1, 2], [0, float("nan")], [0, float("inf")], ["0", "1"], [False, True]]
)
def test_scales_that_are_none_are_refused(scale) -> None:
    with pytest.raises(ConfigError, match="scale: .* is not accepted; expected the lowest and the highest score"):
        checked(scale)


def test_halves_of_other_scales_are_halves() -> None:
    for width in (18, 36, 180, 0.5, 7):
        for score in range(1, 10):
            value = (2 * score - 1) / 18 * width
            if Fraction(value) == Fraction(2 * score - 1, 18) * Fraction(width):
                assert whole(to_ten(value, 0, width)) == score + 1, (value, width)
    assert [to_ten(value, 0, 18) for value in range(1, 18, 2)] == [score + 0.5 for score in range(1, 10)]


def test_ends_may_be_any_numbers() -> None:
    assert checked([0, 5]) == (0.0, 5.0) and checked([-1.7e308, 1.7e308]) == (-1.7e308, 1.7e308)
    assert to_ten(0.0, -1.7e308, 1.7e308) == 5.5
