"""Log-probabilities of several ways to go on, as shares of a whole."""

from __future__ import annotations

import math
from collections.abc import Sequence


def shares(likelihoods: Sequence[float]) -> list[float]:
    most = max(likelihoods)
    weights = [math.exp(one - most) for one in likelihoods]
    return [weight / math.fsum(weights) for weight in weights]
