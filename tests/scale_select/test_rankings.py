"""Rankings: the mean they say, null where a part is, and refused by name."""

from __future__ import annotations

import math
from typing import Any

import pytest
from datasets import Value
from ranked_pools import PARTS, RANKINGS, pool

from tamis.config import ConfigError
from tamis.scale_select import rankings


def test_every_ranking_is_a_column_and_the_default_is_the_mean_of_three() -> None:
    made = pool()
    ranked = rankings.with_rankings(made, rankings.DEFAULT)
    assert ranked.column_names == [*made.column_names, "scale_score", "mm_score"]
    for row in ranked:
        parts = [row[name] for name in PARTS]
        whole = all(part is not None and not math.isnan(part) for part in parts)
        assert row["scale_score"] == (pytest.approx(sum(parts) / 3) if whole else None)
    told = [None if math.isnan(value) else value for value in made["multimodal_overall"]]
    assert ranked["mm_score"][:] == told and None in told


def test_weights_count() -> None:
    ranked = rankings.with_rankings(pool(40), {"scale": {"rated_image_level": 3, "text_quality_overall": 0.5}})
    row = ranked[1]
    expected = (3 * row["rated_image_level"] + 0.5 * row["text_quality_overall"]) / 3.5
    assert row["scale_score"] == pytest.approx(expected)


def test_where_no_row_has_a_part_the_column_is_floats_all_the_same() -> None:
    ranked = rankings.with_rankings(pool(10, rated_image_level=[None] * 10), {"scale": PARTS})
    assert ranked.features["scale_score"] == Value("float64") and ranked["scale_score"][:] == [None] * 10


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"text": {"text_quality_overall": 1}}, "'scale' is not among them"),
        ({"scale": {"nothing": 1}}, "scale: no column 'nothing'; there are: row_id, source, .*clip_similarity"),
        ({"scale": {}}, "numbers above 0"),
        ({"scale": {"clip_similarity": 0}}, "numbers above 0"),
        ({"scale": {"clip_similarity": 1, "text_quality_overall": -1}}, "numbers above 0"),
        ({"scale": {"clip_similarity": math.nan}}, "numbers above 0"),
        ({"scale": {"clip_similarity": math.inf}}, "numbers above 0"),
        ({"scale": {"clip_similarity": True}}, "numbers above 0"),
        ({"scale": {"clip_similarity": "2"}}, "numbers above 0"),
        (RANKINGS | {"random": PARTS}, "'random' is not accepted as a name"),
        (RANKINGS | {"Best-10pct": PARTS}, "'Best-10pct' is not accepted as a name"),
        ({"scale": {"source": 1}}, "'source' is string, not a number"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        rankings.with_rankings(pool(20), given)


def test_no_column_of_the_source_is_written_over() -> None:
    with pytest.raises(ConfigError, match="scale: would write over the column 'scale_score'"):
        rankings.with_rankings(pool(20, scale_score=[1.0] * 20), {"scale": PARTS})
