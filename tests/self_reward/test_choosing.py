"""Which of each prompt's pictures an arm keeps."""

from __future__ import annotations

import math
from typing import Any

import pytest
from datasets import Dataset, Image

from tamis.config import ConfigError
from tamis.scorers.detection import Detection
from tamis.self_reward import choosing
from tamis.self_reward.choosing import FORMS, choose, choose_all, decided_by, dropped, unseen, with_rank

HOW: dict[str, Any] = {"reward": "score", "seed": 0}
# prompt: (score, confidence, likeness of its caption) of each picture
POOL: dict[str, list[tuple[float | None, float | None, float | None]]] = {
    "p1": [(0.5, 0.9, 0.1), (0.9, 0.2, 0.9), (0.8, 0.8, 0.2), (0.1, 0.9, 0.3)],  # the most rewarded is not found
    "p2": [(0.7, 0.6, 0.5), (0.7, 0.8, 0.4), (0.7, 0.7, None), (0.2, 0.5, 0.6)],  # three equal: the detector decides
    "p3": [(0.9, 0.49, 0.1), (0.8, 0.1, 0.2), (math.nan, 0.9, 0.3), (None, 0.9, 0.4)],  # none passes
    "p4": [(0.4, 0.9, 0.1), (0.4, 0.9, 0.2), (0.4, 0.9, 0.3), (0.4, 0.9, 0.4)],  # nothing to choose between
    "p5": [(None, None, None)] * 4,
}


def pool() -> Dataset:
    rows = [
        {"row_id": f"{prompt}-{turn}", "prompt_id": prompt, "score": score, choosing.CONFIDENCE: sure}
        | {choosing.CAPTION: alike, "image_error": "drawing: not finite" if prompt == "p5" else None}
        for prompt, pictures in POOL.items()
        for turn, (score, sure, alike) in enumerate(pictures)
    ]
    cells = [{"bytes": row["row_id"].encode(), "path": None} for row in rows]
    made = Dataset.from_list(rows).add_column("image", cells, feature=Image(decode=False))
    return with_rank(made, [Detection()], reward="score")


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


def test_where_nothing_tells_good_from_bad_chance_chooses_and_no_pair_is_made() -> None:
    equal = pool().select([12, 13, 14, 15])  # p4
    assert len(choose(equal, FORMS.parse("top-1"), **HOW)) == len(choose(equal, FORMS.parse("bottom-1"), **HOW)) == 1
    assert len(choose(equal, FORMS.parse("top-1.dpo"), **HOW)) == 0
    assert len(choose(pool().select([8, 9, 10, 11]), FORMS.parse("top-1"), **HOW)) == 0  # p3: none passes


def by_class(*labels: str) -> Dataset:
    """The pool with a class for each of its five prompts."""
    names = dict(zip(POOL, labels, strict=True))
    return pool().add_column("class", [names[prompt] for prompt in pool()["prompt_id"][:]])


def chosen(made: Dataset, *names: str, per_class: bool = False) -> dict[str, set[str]]:
    arms = {0: [FORMS.parse(name) for name in names]}
    choices, _ = choose_all(made, arms, unseen(made), reward="score", per_class=per_class)
    return {folder: set(choice.rows["prompt_id"]) for choice, folder in choosing.folders(choices, 0).items()}


def test_a_class_of_which_no_picture_passes_is_in_no_arm() -> None:
    made = by_class("moon", "moon", "sun", "arrow", "sun")
    assert unseen(made) == {"sun": "none of its 8 pictures passes"}
    assert chosen(made, "none", "top-1", "random-1.1") == dict.fromkeys(["top-1", "random-1.1"], {"p1", "p2", "p4"})
    with pytest.raises(ConfigError, match="no class is left of 1: .* another threshold"):
        chosen(made.select([8, 9, 10, 11]), "top-1")


def test_a_lora_over_all_classes_or_one_for_each() -> None:
    made = by_class("moon", "moon", "sun", "a / b", "sun")
    assert chosen(made, "top-1", per_class=True) == {"moon/top-1": {"p1", "p2"}, "a-b/top-1": {"p4"}}
    assert chosen(made, "top-1") == {"top-1": {"p1", "p2", "p4"}}


def test_arms_train_for_the_steps_of_the_first_seeds_best() -> None:
    from tamis.training.diffusion_lora import DiffusionLora

    made = by_class("moon", "moon", "sun", "arrow", "sun")
    arms = {seed: [FORMS.parse("random-1.1"), FORMS.parse("top-1"), FORMS.parse("top-1.dpo")] for seed in (0, 1)}
    config = DiffusionLora(num_train_epochs=7, num_repeats=1, train_batch_size=2)
    choices, empty = choose_all(made, arms, unseen(made), reward="score", per_class=True)
    assert empty == {"arrow/top-1.dpo": "no picture of 4 is left to train on"}
    assert choosing.steps(choices, "top-1", config) == {"moon": 7, "arrow": 7}
    whole, _ = choose_all(made, arms, unseen(made), reward="score", per_class=False)
    assert choosing.steps(whole, "top-1", config) == {"": 14}  # of three pictures, two batches
    told = {worse: {choice.arm.name for choice in some} for worse, some in choosing.by_loss(whole).items()}
    assert told == {None: {"random-1.1", "top-1"}, "worse": {"top-1.dpo"}}


def test_what_told_the_best_picture_from_the_second_is_counted() -> None:
    """p1: the reward; p2: equal rewards, the detector; p4: nothing tells; of p3 and p5 none passes."""
    assert decided_by(pool(), reward="score") == {"reward": 1, "detector": 1, "chance": 1, "only one passes": 0}
    assert decided_by(pool().select([0, 1]), reward="score")["only one passes"] == 1


def test_a_picture_chosen_by_its_caption_may_have_no_reward_to_pair_it_by() -> None:
    """A judge that refused every question about a prompt's pictures may still have told what is on them."""
    made = pool().select([8, 9, 10, 11, 0, 1])
    silent = made.remove_columns("score").add_column("score", [None] * 4 + [0.5, 0.9])
    assert choose(silent, FORMS.parse("caption-1.dpo"), **HOW)["row_id"][:] == ["p1-1"]


def test_draws_and_their_names_are_told() -> None:
    arms = FORMS.expand(["none", "random-2", "random-1", "top-2"], 3)
    lines = {line[0]: line[2] for line in choosing.table(arms, [], str, reward="score")[1]}
    assert lines["random-2"].endswith(": random-2.1 to random-2.3, told together")
    assert lines["top-2"].startswith("of each prompt the 2 pictures with the highest score")
    alone = choosing.table(FORMS.expand(["random-1"], 1), [], str, reward="score")[1]
    assert alone[0][2].endswith("drawn by seed: random-1.1")
