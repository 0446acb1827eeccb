"""One scale for all: 1 to 10, as AVA's voters had it. What counts of votes and numbers of other scales are on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from tamis.config import ConfigError

LOW, HIGH = 1, 10


def mean_of(votes: Sequence[int]) -> float:
    """Of how often 1, 2, ... 10 were given."""
    return sum(rating * count for rating, count in enumerate(votes, start=LOW)) / sum(votes)


def to_ten(value: float, low: float, high: float) -> float:
    """Linear: low becomes 1, high becomes 10. In fractions: ends, halves and means of 1 to 10 come out exact."""
    start, end = Fraction(low), Fraction(high)
    return float(LOW + (HIGH - LOW) * (Fraction(value) - start) / (end - start))


def whole(mean: float) -> int:
    """The nearest of 1, 2, ... 10; a half goes up, as at school (round() would send 4.5 and 5.5 to 4 and 6)."""
    return math.floor(mean + 0.5)


def checked(scale: Sequence[float]) -> tuple[float, float]:
    """The ends of a scale that scores are told on, or why they are none."""
    numbers = [end for end in scale if isinstance(end, int | float) and not isinstance(end, bool)]
    if len(scale) != 2 or len(numbers) != 2 or not all(map(math.isfinite, numbers)) or not numbers[0] < numbers[1]:
        raise ConfigError(f"scale: {list(scale)} is not accepted; expected the lowest and the highest score, as [0, 1]")
    return float(numbers[0]), float(numbers[1])
