"""A model argues for the score it is held to; what is no picture or no score has no explanation, and says why."""

from __future__ import annotations

import math

import numpy as np
import pytest
from datasets import Dataset, Features, Image, Value
from quizzes import TINY

from tamis.config import ConfigError
from tamis.judge import Ask, build
from tamis.scorers.self_explanation import SelfExplanation
from tamis.scoring import attach_scores
from tamis.tiny.critiques import TRAITS

pytestmark = pytest.mark.usefixtures("one_thread")

FEATURES = Features({"image": Image(decode=False), "score": Value("int64"), "wrong_score": Value("int64")})
PRAISE = {good for good, _, _ in TRAITS.values()}
GREEDY = {"temperature": 0.0, "max_new_tokens": 48, "wording": "short"}


@pytest.fixture(scope="module")
def rows() -> Dataset:
    from datasets import load_dataset

    shown = load_dataset("tiny/aesthetics", split="train[:12]").cast_column("image", Image(decode=False))
    scores = [[10, 1][at % 2] for at in range(12)]
    told = {"image": shown["image"][:], "score": scores, "wrong_score": [11 - score for score in scores]}
    return Dataset.from_dict(told, features=FEATURES)


@pytest.fixture(scope="module")
def explained(rows: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    from tamis.run import Run

    run = Run(tmp_path_factory.mktemp("explained"))
    made = attach_scores(rows, SelfExplanation(TINY, **GREEDY), run=run)
    run.close()
    return made


def _praise(text: str) -> float:
    remarks = text.rstrip(".").split(", ")
    return sum(remark in PRAISE for remark in remarks) / len(remarks)


def test_the_score_it_is_held_to_decides_what_is_said(explained: Dataset) -> None:
    told = {10: [], 1: []}
    for row in explained:
        told[row["score"]].append(_praise(row["self_explanation_true"]))
        told[row["wrong_score"]].append(_praise(row["self_explanation_wrong"]))
    assert np.mean(told[10]) > 0.9 and np.mean(told[1]) < 0.1
    texts = explained["self_explanation_true"][:] + explained["self_explanation_wrong"][:]
    assert all("#" not in text and text == text.strip() for text in texts)


def test_both_are_what_the_model_writes_for_each_alone(rows: Dataset, explained: Dataset) -> None:
    from tamis.images import decode_image

    scorer = SelfExplanation(TINY, **GREEDY)
    judge = build(TINY)
    for row in explained.select(range(3)):
        image = decode_image(row["image"])
        for side, score in (("true", row["score"]), ("wrong", row["wrong_score"])):
            ask = Ask(scorer.prompt, (image,), f"#Score: {score}\n#Explanation:")
            [alone] = judge.write([ask], max_new_tokens=48)
            assert row[f"self_explanation_{side}"] == alone.strip()


def test_the_batch_does_not_matter_for_the_likeliest_words_and_the_seed_does_for_drawn_ones(rows, explained, run):
    again = attach_scores(rows, SelfExplanation(TINY, **GREEDY, rows_per_chunk=5), run=run, batch_size=3)
    for column in ("self_explanation_true", "self_explanation_wrong"):
        assert again[column][:] == explained[column][:]
    drawn = [
        attach_scores(rows, SelfExplanation(TINY, name=name, **GREEDY | {"temperature": 1.0}, seed=seed), run=run)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    texts = [table[f"{name}_true"][:] for name, table in zip("abc", drawn, strict=True)]
    assert texts[0] == texts[1] != texts[2]


def test_what_is_no_picture_or_no_score_has_a_reason(rows: Dataset, run) -> None:
    picture = rows[0]["image"]
    bad = [
        ({"bytes": b"<html>", "path": None}, 5, 2, "image: not an image"),
        (None, 5, 2, "image: null"),
        (picture, None, 2, "score: null"),
        (picture, 0, 2, "score: not one of 1 to 10"),
        (picture, 5, 11, "wrong_score: not one of 1 to 10"),
        (picture, 5, 5, "wrong_score: the true score"),
    ]
    told = dict(zip(FEATURES, map(list, list(zip(*bad, strict=True))[:3]), strict=True))
    made = attach_scores(Dataset.from_dict(told, features=FEATURES), SelfExplanation(TINY, **GREEDY), run=run)
    assert made["self_explanation_error"][:] == [reason for *_, reason in bad]
    assert made["self_explanation_true"][:] == made["self_explanation_wrong"][:] == [None] * len(bad)


@pytest.mark.parametrize("value", (5.5, math.nan, math.inf, "5", True, [5]))
def test_a_score_of_another_kind_is_none(rows: Dataset, value: object) -> None:
    from tamis.images import Unscorable

    with pytest.raises(Unscorable, match="score: not one of 1 to 10"):
        SelfExplanation(TINY).prepare({"image": rows[0]["image"], "score": value, "wrong_score": 2})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"temperature": -1.0}, "temperature: -1.0 is not accepted"),
        ({"temperature": math.nan}, "temperature: nan is not accepted"),
        ({"max_new_tokens": 0}, "max_new_tokens: 0 is not accepted"),
        ({"judge": {"backend": "api", "model": "m", "base_url": "http://127.0.0.1:1"}}, "continues: needed"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(settings: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        SelfExplanation(**{"judge": TINY} | settings)
