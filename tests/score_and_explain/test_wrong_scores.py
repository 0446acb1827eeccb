"""Wrong scores are far enough, evenly drawn, and each row's own."""

from __future__ import annotations

from collections import Counter

import pytest

from tamis.config import ConfigError
from tamis.score_and_explain.wrong_scores import wrong_scores

IDS = [f"row-{at}" for at in range(4000)]


@pytest.mark.parametrize("radius", (1, 2, 5))
@pytest.mark.parametrize("score", (1, 4, 5, 10))
def test_every_score_far_enough_is_as_likely(score: int, radius: int) -> None:
    counts = Counter(wrong_scores(IDS, [score] * len(IDS), exclusion_radius=radius, seed=0, salt=1))
    far = [other for other in range(1, 11) if abs(other - score) >= radius]
    assert sorted(counts) == far
    expected = len(IDS) / len(far)
    assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def test_a_draw_is_the_rows_own() -> None:
    scores = [1 + at % 10 for at in range(len(IDS))]
    drawn = wrong_scores(IDS, scores, seed=3, salt=1)
    assert all(abs(wrong - score) >= 2 for wrong, score in zip(drawn, scores, strict=True))
    assert wrong_scores(IDS[::-1], scores[::-1], seed=3, salt=1) == drawn[::-1]
    assert wrong_scores(IDS[:7], scores[:7], seed=3, salt=1) == drawn[:7]
    for other in ({"seed": 4, "salt": 1}, {"seed": 3, "salt": 2}):
        again = wrong_scores(IDS, scores, **other)
        same = sum(one == two for one, two in zip(drawn, again, strict=True))
        assert same < len(IDS) / 4  # by chance an eighth
    assert wrong_scores([], [], seed=0, salt=0) == []


@pytest.mark.parametrize("score", (0, 11, None, 5.5, "5", float("nan"), True))
def test_a_score_that_is_none_is_refused_by_its_row(score: object) -> None:
    with pytest.raises(ConfigError, match="score of row 'row-1': .* expected 1 to 10, whole"):
        wrong_scores(IDS[:2], [5, score], seed=0, salt=0)


@pytest.mark.parametrize("radius", (0, 6, -2, 1.5, None))
def test_a_radius_that_leaves_a_score_without_any_is_refused(radius: object) -> None:
    with pytest.raises(ConfigError, match="exclusion_radius: .* is not accepted; expected 1 to 5"):
        wrong_scores(IDS[:1], [5], exclusion_radius=radius, seed=0, salt=0)
