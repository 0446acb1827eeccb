"""The ten score lines that a reply may begin with, and what their probabilities come to. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tamis.judge.shares import shares
from tamis.score_and_explain.scales import HIGH, LOW

SCORES = tuple(range(LOW, HIGH + 1))
# Whole lines: where "1" and "0" are two tokens, only the end of the line tells 1 from 10.
LINES = tuple(f"#Score: {score}\n" for score in SCORES)


def expected(likelihoods: Sequence[float]) -> tuple[list[float], float]:
    """The share of each score among the ten lines, of their log-probabilities; and the mean score by these."""
    found = shares(likelihoods)
    return found, math.fsum(score * share for score, share in zip(SCORES, found, strict=True))
