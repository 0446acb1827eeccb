"""Rankings: what arms select by, each a weighted mean of score columns and a column of its own.

Named in the YAML: `rankings: {scale: {rated_image_level: 1, text_quality_overall: 1, multimodal_overall: 1}, ...}`.
Scores count as they are, so that those of one ranking should lie on one scale, such as 1..5.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from tamis.config import ConfigError
from tamis.select import with_weighted

if TYPE_CHECKING:
    from datasets import Dataset

Rankings = Mapping[str, Mapping[str, float]]

COMPOSITE = "scale"  # the ranking that the claim is about
DEFAULT = {
    COMPOSITE: {"rated_image_level": 1.0, "text_quality_overall": 1.0, "multimodal_overall": 1.0},
    "mm": {"multimodal_overall": 1.0},
}
TAKEN = ("base", "full", "none", "random")  # other arms are called so
_NAME = re.compile(r"[a-z][a-z0-9_]*")  # begins the name of a column and of arms


def column(name: str) -> str:
    """The column of a ranking: what a row is ranked by, null where a column it weighs is."""
    return f"{name}_score"


def refuse_unfit(rankings: Rankings, columns: Collection[str], *, composite: str = COMPOSITE) -> None:
    """columns: all that the pool has when it is ranked, those of the source and those that scorers add."""
    if composite not in rankings:
        raise ConfigError(f"rankings: {composite!r} is not among them ({', '.join(rankings)}); the claim is about it")
    for name, weights in rankings.items():
        if not _NAME.fullmatch(name) or name in TAKEN:
            raise ConfigError(
                f"rankings: {name!r} is not accepted as a name; expected small letters, digits and underscores, "
                f"and none of {', '.join(TAKEN)}"
            )
        _refuse_weights(name, weights)
        if strangers := [one for one in weights if one not in columns]:
            raise ConfigError(f"rankings: {name}: no column {strangers[0]!r}; there are: {', '.join(columns)}")
        if column(name) in columns:
            raise ConfigError(
                f"rankings: {name}: would write over the column {column(name)!r}, which the pool has already; "
                "call the ranking something else, or read the source without that column"
            )


def with_rankings(pool: Dataset, rankings: Rankings, *, composite: str = COMPOSITE) -> Dataset:
    """The pool with a column NAME_score for every ranking."""
    refuse_unfit(rankings, pool.column_names, composite=composite)
    for name, weights in rankings.items():
        pool = with_weighted(pool, dict(weights), column(name), scale="raw")
    return pool


def _refuse_weights(name: str, weights: Mapping[str, float]) -> None:
    numbers = all(
        isinstance(weight, int | float) and not isinstance(weight, bool) and math.isfinite(weight) and weight > 0
        for weight in weights.values()
    )
    if not numbers or not weights:
        raise ConfigError(
            f"rankings: {name}: {dict(weights)} is not accepted; expected column: weight, numbers above 0"
        )
