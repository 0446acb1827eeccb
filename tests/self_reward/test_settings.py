"""The settings name scorers that there are, in columns that the recipes have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tamis import scorers
from tamis.config import ConfigError, RunConfig
from tamis.self_reward.settings import SelfRewardSettings


@dataclass(kw_only=True)
class Settings(SelfRewardSettings, RunConfig):
    output_dir: str = "outputs/none"


def settings(**changed: Any) -> Settings:
    given = {"writer": {"model": "w/w"}, "judge": {"model": "j/j"}, "classes": ["dog"], "seed": 5}
    return Settings(**given | changed)


def test_every_scorer_builds_and_fills_the_columns_that_are_ranked_by() -> None:
    made = settings(detector={"threshold": 0.3}, clip={"model": "c/c"}, similarity={"model": "s/s"}, complex_prompts=7)
    [writer] = scorers.build(made.writing())
    assert (writer.plain, writer.complex, writer.seed) == (100 + 25, 7, 5)
    built = scorers.build(made.rewards())
    columns = {column for scorer in built for column in scorer.columns}
    assert {"detection_confidence", "caption_text", "caption_similarity_cosine", "clip_embedding"} <= columns
    assert {settings(ranking=ranking).reward for ranking in ("corrected", "faithful")} <= columns
    assert {scorer.name: scorer for scorer in built}["detection"].threshold == 0.3
    assert {scorer.name for scorer in scorers.build(made.graders())} == {"clip", "detection"}
    assert settings(writer=None, dataset="a/prompts").writing() == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dataset": "a/prompts"}, "give one of them"),
        ({"writer": None}, "give one of them"),
        ({"classes": None}, "classes: none; the writer has to be told"),
        ({"heldout_prompts": 0}, "heldout_prompts: 0 is not accepted; expected 1 or more"),
    ],
)
def test_unfit_settings_are_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        settings(**changed)
