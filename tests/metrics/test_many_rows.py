"""Beyond some thousand rows or groups, intervals and p-values are what the bootstrap and the sign flips go to."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tamis.metrics import resampling, stats

MANY = resampling.NORMAL_BEYOND + 1_000


@pytest.mark.parametrize("size", [1, 3])
def test_many_groups_have_the_bootstrap_s_interval(size: int, monkeypatch) -> None:
    draw = np.random.default_rng(0)
    groups = np.repeat(np.arange(MANY), draw.integers(1, size + 1, MANY))
    values = (draw.exponential(size=MANY)[groups] + 0.3 * draw.normal(size=len(groups))).tolist()
    weights = draw.uniform(0.5, 2, len(groups)).tolist()
    for more in ({}, {"weights": weights}):
        quick = stats.mean(values, groups=groups.tolist(), **more)
        monkeypatch.setattr(resampling, "NORMAL_BEYOND", 10 * MANY)
        slow = stats.mean(values, groups=groups.tolist(), **more, draws=2000)
        monkeypatch.undo()
        assert quick.value == slow.value
        width = slow.high - slow.low
        assert (quick.low, quick.high) == pytest.approx((slow.low, slow.high), abs=0.1 * width)


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.04])
def test_many_sign_flips_have_their_normal_limit(shift: float, monkeypatch) -> None:
    numbers = np.random.default_rng(1).normal(shift, size=MANY)
    quick = resampling.sign_flip_p(numbers, None, 0, 4000)
    monkeypatch.setattr(resampling, "NORMAL_BEYOND", 10 * MANY)
    assert quick == pytest.approx(resampling.sign_flip_p(numbers, None, 0, 4000), abs=0.03)
    monkeypatch.undo()
    assert resampling.sign_flip_p(np.zeros(MANY), None, 0, 100) == 1.0


def test_twenty_thousand_answers_take_no_time() -> None:
    values, groups = np.random.default_rng(2).normal(size=20_000).tolist(), list(range(20_000))
    started = time.perf_counter()
    stats.mean(values, groups=groups)
    stats.paired(values, values[::-1], groups=groups)
    assert time.perf_counter() - started < 3
