"""Remarks are held against what the picture was drawn with."""

from __future__ import annotations

import json
import random

import pytest
from datasets import Dataset

from tamis import scorers
from tamis.config import ConfigError
from tamis.scorers.true_remarks import SOUND, TrueRemarks
from tamis.scoring import attach_scores
from tamis.tiny import critiques, world

SOUND_TRAITS = dict.fromkeys(critiques.TRAITS, 1.0)


def rows(told: list[tuple[str | None, dict | str | None, str | None]]) -> Dataset:
    texts, traits, defects = zip(*told, strict=True)
    return Dataset.from_dict(
        {
            "explained_score_explanation": list(texts),
            "truth_traits": [json.dumps(one) if isinstance(one, dict) else one for one in traits],
            "truth_defect": list(defects),
        }
    )


def test_praise_and_blame_are_true_by_the_amount_there_is(run) -> None:
    blurred = SOUND_TRAITS | {"sharp": 0.3, "rich": 0.5}
    told = [
        ("the picture is blurry, the light is right.", blurred, "blur", 1.0, 1.0),
        ("the picture is sharp, the light is right.", blurred, "blur", 0.5, 0.0),
        ("The  picture is blurry\nthe pattern is rich, the pattern is dull", blurred, "blur", 2 / 3, 1.0),
        ("the light is right, the light is right, a fine star.", blurred, "blur", 0.5, 0.0),
        ("the light is right.", SOUND_TRAITS, "none", 1.0, None),
        ("the light is wrong.", SOUND_TRAITS | {"lit": 0.9}, "dark", 0.0, 1.0),
        ("it is lovely; 10 of 10", SOUND_TRAITS, "none", 0.0, None),
    ]
    scored = attach_scores(rows([one[:3] for one in told]), TrueRemarks(), run=run)
    assert scored["true_remarks_share"][:] == pytest.approx([one[3] for one in told])
    assert scored["true_remarks_defect_named"][:] == [one[4] for one in told]
    assert scored["true_remarks_error"][:] == [SOUND if one[4] is None else None for one in told]
    strict = attach_scores(rows([told[2][:3]]), TrueRemarks(threshold=0.6), run=run)
    assert strict["true_remarks_share"][0] == pytest.approx(2 / 3)


def test_critiques_for_the_right_score_are_truer_than_for_a_wrong_one(run) -> None:
    draw, right, wrong = random.Random(0), [], []
    for at in range(120):
        scene = world.scene(world.SEEDS["aesthetics"].start + at, defects=world.DEFECTS)
        truth = (critiques.traits(scene), scene.defect)
        merit = round(critiques.merit(scene))
        right.append((critiques.critique(scene, merit, draw), *truth))
        wrong.append((critiques.critique(scene, 11 - merit, draw), *truth))
    means = []
    for told in (right, wrong):
        scored = attach_scores(rows(told), TrueRemarks(), run=run)
        named = [one for one in scored["true_remarks_defect_named"] if one is not None]
        means.append((sum(scored["true_remarks_share"]) / 120, sum(named) / len(named)))
    assert means[0][0] > means[1][0] + 0.01 and means[0][1] > means[1][1] + 0.2, means


def test_every_defect_has_a_trait_that_it_spoils() -> None:
    assert {critiques.trait_of(defect) for defect in world.DEFECTS} == {None, "sharp", "clean", "calm", "lit", "whole"}
    assert critiques.trait_of("none") is None


def test_what_cannot_be_told_says_why(run) -> None:
    told = [
        (None, SOUND_TRAITS, "none"),
        (" ., ;\n.", SOUND_TRAITS, "none"),
        ("the light is right", "{", "none"),
        ("the light is right", '{"sharp": 1}', "none"),
        ("the light is right", "[1]", "none"),
        ("the light is right", None, "none"),
        ("the light is right", SOUND_TRAITS, None),
    ]
    scored = attach_scores(rows(told), TrueRemarks(), run=run)
    assert scored["true_remarks_share"][:] == [None] * len(told)
    assert scored["true_remarks_error"][:] == [
        "explanation: null",
        "explanation: no remark in it",
        "truth_traits: not JSON",
        "truth_traits: not a number for each trait",
        "truth_traits: not a number for each trait",
        "truth_traits: null",
        "truth_defect: null",
    ]
    with pytest.raises(ConfigError, match="threshold: 0.0 is not accepted"):
        scorers.build([{"scorer": "true_remarks", "threshold": 0.0}])
