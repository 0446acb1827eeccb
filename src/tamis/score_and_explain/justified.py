"""Whether a text argues for the score it was written for: a judge that sees the text alone guesses which one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tamis.metrics.stats import Estimate, mean


def argues(guess: float | None, given: float | None, other: float | None) -> float | None:
    """1 where the guess of a text's score lies nearer to the one that it was given than to the other, 0 where farther,
    a half between them. None where there is no guess, or a score is missing."""
    if guess is None or given is None or other is None or not math.isfinite(guess):
        return None
    to_given, to_other = abs(guess - given), abs(guess - other)
    return 0.5 if to_given == to_other else float(to_given < to_other)


def justified(
    guesses: Sequence[float | None], given: Sequence[float | None], other: Sequence[float | None], *, seed: int = 0
) -> Estimate:
    """The share of texts that argue for the score they were given, with its interval.

    Of texts for the wrong score: guesses of those, given = the wrong scores, other = the true ones. Where it is small
    there is little to contrast. Read it beside the share of the true texts (given = the true scores): a judge that
    guesses one number whatever it reads gets two shares that sum to exactly 1, and so does one that guesses by the
    picture; what they sum to above 1 is what the texts argue.
    """
    values = [argues(*told) for told in zip(guesses, given, other, strict=True)]
    return mean(values, seed=seed)
