"""Which of each prompt's pictures an arm keeps."""

from __future__ import annotations

import math
from typing import Any

import pytest
from datasets import Dataset, Image

from tamis.config import ConfigError
from tamis.self_reward.choosing import FORMS, choose, dropped, with_rank

HOW: dict[str, Any] = {"reward": "score", "caption": "alike", "seed": 0}
# prompt: (score, confidence, alike) of each picture
POOL: dict[str, list[tuple[float | None, float | None, float | None]]] = {
    "p1": [(0.5, 0.9, 0.1), (0.9, 0.2, 0.9), (0.8, 0.8, 0.2), (0.1, 0.9, 0.3)],  # the most rewarded is not found
    "p2": [(0.7, 0.6, 0.5), (0.7, 0.8, 0.4), (0.7, 0.7, None), (0.2, 0.5, 0.6)],  # three equal: the detector decides
    "p3": [(0.9, 0.49, 0.1), (0.8, 0.1, 0.2), (math.nan, 0.9, 0.3), (None, 0.9, 0.4)],  # none passes
    "p4": [(0.4, 0.9, 0.1), (0.4, 0.9, 0.2), (0.4, 0.9, 0.3), (0.4, 0.9, 0.4)],  # nothing to choose between
    "p5": [(None, None, None)] * 4,
}


def pool() -> Dataset:
    rows = [
        {"row_id": f"{prompt}-{turn}", "prompt_id": prompt, "score": score, "sure": sure, "alike": alike}
        | {"image_error": "drawing: not finite" if prompt == "p5" else None}
        for prompt, pictures in POOL.items()
        for turn, (score, sure, alike) in enumerate(pictures)
    ]
    cells = [{"bytes": row["row_id"].encode(), "path": None} for row in rows]
    made = Dataset.from_list(rows).add_column("image", cells, feature=Image(decode=False))
    return with_rank(made, reward="score", confidence="sure", least=0.5)


def kept(name: str, **how: Any) -> list[str]:
    return choose(pool(), FORMS.parse(name), **HOW | how)["row_id"][:]


def test_a_rank_is_by_reward_then_confidence_and_of_what_passes() -> None:
    ranks = dict(zip(pool()["row_id"], pool()["reward_rank"], strict=True))
    assert ranks["p1-1"] is ranks["p3-2"] is ranks["p3-3"] is ranks["p5-0"] is None
    assert ranks["p2-0"] < ranks["p2-2"] < ranks["p2-1"] < ranks["p1-2"]
    assert len({ranks[f"p4-{turn}"] for turn in range(4)}) == 1


def test_the_best_of_each_prompt() -> None:
    assert [one for one in kept("top-1") if not one.startswith("p4")] == ["p1-2", "p2-1"]
    assert [one for one in kept("top-2") if not one.startswith("p4")] == ["p1-0", "p1-2", "p2-1", "p2-2"]
    tied = {tuple(one for one in kept("top-1", seed=seed) if one.startswith("p4")) for seed in range(20)}
    assert len(tied) > 1 and all(len(one) == 1 for one in tied)  # one of them, by seed


def test_other_arms() -> None:
    assert [one for one in kept("bottom-1") if not one.startswith("p4")] == ["p1-3", "p2-3", "p3-1"]
    assert kept("caption-1") == ["p1-1", "p2-3", "p3-3", "p4-3"]
    assert kept("top-20pct") == ["p1-2", "p2-0", "p2-1", "p2-2"]  # of 20 pictures
    draws = [kept(f"random-1.{draw}") for draw in (1, 2, 3)]
    assert all([one[:2] for one in draw] == ["p1", "p2", "p3", "p4"] for draw in draws) and draws[0] != draws[1]
    assert kept("random-1.1") == draws[0] != kept("random-1.1", seed=1)


def test_pairs_stand_beside_the_worst_of_their_prompt() -> None:
    made = choose(pool(), FORMS.parse("top-1.dpo"), **HOW)
    told = {row["image"]["bytes"]: row["worse"]["bytes"] for row in made.cast_column("image", Image(decode=False))}
    assert told == {b"p1-2": b"p1-3", b"p2-1": b"p2-3"}  # of p4 none is better
    assert made["row_id"][:] == ["p1-2", "p2-1"]


def test_prompts_without_a_picture_are_told_by_reason() -> None:
    assert dropped(pool()) == {"no picture passes": ["p3"], "no picture could be drawn": ["p5"]}


def test_nothing_left_is_an_error() -> None:
    some = pool().select([8, 9, 10, 11])  # p3
    with pytest.raises(ConfigError, match="arm top-1: no picture of 4 is left to train on"):
        choose(some, FORMS.parse("top-1"), **HOW)
    with pytest.raises(ConfigError, match="arm top-1.dpo: no picture of 4 is left to train on"):
        choose(pool().select([12, 13, 14, 15]), FORMS.parse("top-1.dpo"), **HOW)


@pytest.mark.parametrize("name", ["top", "top-0pct", "top-101pct", "bottom-20pct", "full", "top-1.matched"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="expected none, top-K, bottom-K, random-K, caption-K, top-Ppct; .dpo behind"):
        FORMS.parse(name)
