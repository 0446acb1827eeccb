"""The wrong score that a picture is explained for as well: any that is far enough from the true one, by a hash."""

from __future__ import annotations

from collections.abc import Sequence

from tamis.config import ConfigError
from tamis.score_and_explain.scales import HIGH, LOW
from tamis.seeds import seed_of

MOST = (HIGH - LOW + 1) // 2  # of 5 and 6 no score lies further away


def wrong_scores(
    row_ids: Sequence[str], scores: Sequence[int], *, exclusion_radius: int = 2, seed: int, salt: object
) -> list[int]:
    """For each row one of the scores w from 1 to 10 with abs(w - score) >= exclusion_radius, all of them as likely.

    exclusion_radius 1: any but the true one; 2: none beside it either. salt: the iteration; another draws anew. A row's
    draw hangs on nothing but its row_id, its score, seed and salt: more rows, fewer or another order change none.
    """
    if not isinstance(exclusion_radius, int) or not 1 <= exclusion_radius <= MOST:
        raise ConfigError(
            f"exclusion_radius: {exclusion_radius!r} is not accepted; expected 1 to {MOST}: some scores have none "
            "that is further away"
        )
    drawn = []
    for row_id, score in zip(row_ids, scores, strict=True):
        if isinstance(score, bool) or score not in range(LOW, HIGH + 1):
            raise ConfigError(f"score of row {row_id!r}: {score!r} is not accepted; expected {LOW} to {HIGH}, whole")
        far = [other for other in range(LOW, HIGH + 1) if abs(other - score) >= exclusion_radius]
        drawn.append(far[seed_of("wrong score", salt, seed, row_id) % len(far)])
    return drawn
