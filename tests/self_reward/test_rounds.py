"""What a round generates, and when rounds end."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Dataset

from tamis.generate import WEIGHTS
from tamis.self_reward import choosing
from tamis.self_reward.rounds import (
    clusters,
    collapsed,
    ended,
    leader,
    summary,
    to_generate,
    to_grade,
    to_retain,
    wearing,
)
from tamis.topic_arms import Choice

PROMPTS = Dataset.from_list(
    [
        {"prompt_id": "moon-1", "class": "moon", "prompt": "a moon", "complexity": "plain", "use": "train"},
        {"prompt_id": "moon-2", "class": "moon", "prompt": "a red moon", "complexity": "plain", "use": "heldout"},
        {"prompt_id": "arrow-1", "class": "arrow", "prompt": "an arrow", "complexity": "plain", "use": "train"},
    ]
)


def test_every_prompt_that_is_trained_on_is_drawn_from_noise_that_no_round_changes(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes(b"weights")
    first = to_generate(PROMPTS, 3, number=1, seed=0, wearing={})
    second = to_generate(PROMPTS, 3, number=2, seed=0, wearing={"moon": tmp_path, "arrow": tmp_path})
    assert first["row_id"][:] == [f"{name}-round-1-{turn}" for name in ("moon-1", "arrow-1") for turn in range(3)]
    assert first["prompt"][:] == ["a moon"] * 3 + ["an arrow"] * 3 and set(first["round"]) == {"round-1"}
    assert first["image_seed"][:] == second["image_seed"][:] and len(set(first["image_seed"])) == 6
    assert set(first["adapter"]) == {""} and set(second["adapter"]) == {str(tmp_path)}
    assert to_generate(PROMPTS, 3, number=1, seed=1, wearing={})["image_seed"][:] != first["image_seed"][:]


@pytest.mark.parametrize(
    ("by_round", "ends"),
    [
        ([0.5], False),
        ([0.5, 0.36], False),
        ([0.5, 0.34], True),
        ([0.5, 0.45, 0.34], True),
        ([0.5, 0.6], False),
        ([None, 0.1], False),
        ([0.5, None], False),
        ([0.0, 0.0], False),
    ],
)
def test_rounds_end_where_the_pictures_become_one(by_round: list[float | None], ends: bool) -> None:
    said = collapsed(by_round, 0.3)
    assert (said is not None) == ends
    if ends:
        assert said.startswith(
            f"diversity fell from 0.500 to 0.340 in round {len(by_round)}, by 32% (30% are accepted)"
        )


def choice(name: str, topic: str = "", seed: int = 0) -> Choice:
    return Choice(topic, choosing.FORMS.parse(name), seed, PROMPTS)


def adapters(folder: Path, *choices: Choice) -> dict[Choice, Path]:
    found = {}
    for number, one in enumerate(choices):
        found[one] = folder / str(number)
        found[one].mkdir()
        (found[one] / WEIGHTS).write_bytes(str(number).encode())
    return found


def test_all_arms_and_seeds_draw_what_was_held_out_and_the_model_alone_does_too(tmp_path: Path) -> None:
    top, chance, again = choice("top-1"), choice("random-1.1"), choice("top-1", seed=2)
    made = to_grade(PROMPTS, [top, chance, again], adapters(tmp_path, top, chance, again), 2)
    told = [(row["prompt_id"], row["arm"], row["seed"], bool(row["adapter"])) for row in made]
    one = [("moon-2", "none", 0, False), ("moon-2", "none", 2, False), ("moon-2", "top-1", 0, True)]
    one += [("moon-2", "random-1.1", 0, True), ("moon-2", "top-1", 2, True)]
    assert told == [row for row in one for _ in range(2)]
    noise = {(row["arm"], row["seed"], row["turn"]): row["image_seed"] for row in made}
    assert noise["none", 0, 1] == noise["top-1", 0, 1] != noise["top-1", 2, 1] == noise["none", 2, 1]


def test_an_adapter_of_a_class_draws_that_class(tmp_path: Path) -> None:
    moon, arrow = choice("top-1", "moon"), choice("top-1", "arrow")
    paths = adapters(tmp_path, moon, arrow)
    made = to_grade(PROMPTS, [moon, arrow], paths, 1)
    assert [(row["class"], row["adapter"]) for row in made] == [("moon", ""), ("moon", str(paths[moon]))]
    kept = to_retain(PROMPTS, ["a tree"], [moon, arrow], paths)
    told = {(row["class"], row["prompt"], row["adapter"]) for row in kept}
    assert told == {
        (label, "a tree", path) for label, one in (("moon", moon), ("arrow", arrow)) for path in ("", str(paths[one]))
    }
    for label in ("moon", "arrow"):  # each is held against the model alone, from the same noise
        assert len({row["image_seed"] for row in kept if row["class"] == label}) == 1


def test_the_first_rounds_best_generates_for_the_second_and_so_on(tmp_path: Path) -> None:
    arms = [choosing.FORMS.parse(name) for name in ("none", "top-20pct", "random-1.1", "top-1", "top-1.dpo")]
    first, second = leader(arms, 1), leader(arms, 2)
    assert first == arms[3] and (second.name, second.way, second.k) == ("top-1.round-2", "top", 1)
    assert leader(arms, 3).name == "top-1.round-3" and second not in arms
    both = choice("top-1"), choice("top-1", seed=2)
    paths = adapters(tmp_path, *both)
    assert wearing(both, paths, first, seed=0, classes=["moon", "arrow"]) == dict.fromkeys(
        ["moon", "arrow"], paths[both[0]]
    )
    own = choice("top-1", "moon")
    assert wearing([own], {own: tmp_path}, first, seed=0, classes=["moon", "arrow"]) == {"moon": tmp_path}


def test_a_round_ends_where_a_class_is_no_longer_seen() -> None:
    seen, lost = (
        {"unseen": {}, "diversity": 0.5},
        {"unseen": {"moon": "none of its 3 pictures passes"}, "diversity": 0.5},
    )
    assert ended([lost], 0.3) is None  # the first round leaves the class out
    assert ended([seen, lost], 0.3) == "of moon no picture passes any more"
    assert ended([seen, seen], 0.3) is None and "diversity fell" in ended([seen, seen | {"diversity": 0.1}], 0.3)


def test_rounds_are_compared_by_the_classes_that_both_have() -> None:
    def pool(*told: tuple[str, float | None, float]) -> Dataset:
        rows = [
            {"row_id": str(n), "prompt_id": c, "class": c, "image_error": None, "s": 0.5, "diversity": d}
            | {choosing.CONFIDENCE: 0.9, choosing.RANK: rank, "clip_similarity": 0.1}
            for n, (c, rank, d) in enumerate(told)
        ]
        return Dataset.from_list(rows)

    first = summary(pool(("moon", 1.0, 0.1), ("sun", None, 0.7)), 1, reward="s")
    second = summary(pool(("moon", 1.0, 0.1)), 2, reward="s")
    assert first["unseen"] == {"sun": "none of its 1 pictures passes"}
    assert first["diversity"] == second["diversity"] == pytest.approx(0.1) and ended([first, second], 0.3) is None


def test_two_classes_are_too_few_to_draw_among() -> None:
    assert clusters(PROMPTS) == ["prompt_id"]
    assert clusters(Dataset.from_dict({"class": list("abcdef")})) == ["prompt_id", "class"]
