"""Pictures that arms draw, as rows: their noise, pairs of them, what retention holds against what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Image, List, Value
from drawn_rows import ARMS, drawn, grid

from tamis.drawings import nulls, pairs, to_draw, with_diversity, with_retention
from tamis.generate import WEIGHTS, adapter_hash
from tamis.quiz.questions import row_features

TOPICS = [{"topic": "dax", "questions": []}, {"topic": "wug", "questions": []}]
FEATURES = {"topic": Value("string"), "questions": List(row_features())}


def test_arms_draw_from_the_same_noise(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes(b"weights")
    worn = {("dax", "none", 0): None, ("dax", "top-2", 0): tmp_path, ("wug", "none", 0): None, ("dax", "none", 1): None}
    prompts = {topic: {"photo": f"a {topic}", "drawing": f"a drawn {topic}"} for topic in ("dax", "wug")}
    made = to_draw(TOPICS, worn, prompts, 3, FEATURES)
    assert len(made) == 4 * 2 * 3 and made.features["questions"] == List(row_features())
    seeds: dict[Any, set[int]] = {}
    for row in made:
        seeds.setdefault((row["topic"], row["style"], row["turn"], row["seed"]), set()).add(row["image_seed"])
        assert row["prompt"] == prompts[row["topic"]][row["style"]]
        digest = adapter_hash(tmp_path) if row["arm"] == "top-2" else ""
        assert (row["adapter"], row["adapter_hash"]) == (str(tmp_path) if digest else "", digest)
    assert all(len(some) == 1 for some in seeds.values())  # whatever the arm
    assert len(set.union(*seeds.values())) == len(seeds) == 18
    runs = [name for at, name in enumerate(made["adapter"]) if at == 0 or made["adapter"][at - 1] != name]
    assert runs == ["", str(tmp_path), ""]  # rows of one adapter stand together


def pictures(made: Dataset) -> Dataset:
    cells = [{"bytes": f"{row['arm']} {row['topic']} {row['turn']}".encode(), "path": None} for row in made]
    return made.add_column("image", cells, feature=Image(decode=False))


def test_contests_are_of_one_prompt_and_noise() -> None:
    values = grid(ARMS, topics=2)
    del values[("none", "t1", "photo", 1)]
    made = pictures(drawn(values, prompt=lambda row: f"a {row['topic']}"))
    met = pairs(made, [("top-2", "none"), ("top-2", "random-2")], "prompt")
    assert len(met) == 3 + 4
    for row in met:
        first, second = (row[side]["bytes"].decode().split() for side in ("first", "second"))
        assert first[1:] == second[1:] and first[1] == row["topic"] and row["prompt"] == f"a {row['topic']}"
        assert first[0] == "top-2" and second[0] == {"none": "none", "random-2": "random-2.1"}[row["b"]]
    held_against_topic = pairs(made, [("top-2", "none")], "topic")
    assert held_against_topic["prompt"][:] == held_against_topic["topic"][:]
    assert met._indices is None


def test_retention_is_likeness_to_what_the_base_model_draws() -> None:
    rows = [
        ("a cat", 1, "", [1.0, 0.0]),
        ("a cat", 1, "lora", [2.0, 0.0]),
        ("a cat", 2, "lora", [1.0, 0.0]),  # of that noise there is nothing to compare with
        ("a dog", 1, "lora", [0.0, 3.0]),
        ("a dog", 1, "other", [3.0, 3.0]),
        ("a dog", 1, "", [1.0, 0.0]),
        ("a cow", 1, "", None),
        ("a cow", 1, "lora", [1.0, 0.0]),
    ]
    names = ("prompt", "image_seed", "adapter", "clip_embedding")
    made = Dataset.from_list([dict(zip(names, row, strict=True)) for row in rows])
    found = with_retention(made)["retention"][:]
    wanted = [None, 1.0, None, 0.0, 0.5**0.5, None, None, None]
    assert [value if value is None else pytest.approx(value, abs=1e-6) for value in found] == wanted


def test_pictures_that_could_not_be_drawn_are_counted() -> None:
    values = grid({"none": 0.1}, topics=2) | {("none", "t0", "photo", 0): None}
    made = drawn(
        values,
        image_error=lambda row: "drawing: not finite" if row["quiz_accuracy"] is None else None,
        quiz_error=lambda row: "image: null" if row["quiz_accuracy"] is None else None,
    )
    found = nulls(made, ["quiz_accuracy"], None)
    assert found == {"image": {"drawing: not finite": 1}, "quiz_accuracy": {"image: null": 1}}
    contests = Dataset.from_dict({"pairwise_win": [0.5, None], "pairwise_error": [None, "second: null"]})
    assert nulls(made, [], contests)["pairwise_win"] == {"second: null": 1}


def test_diversity_is_how_far_a_picture_is_from_the_others_of_its_group() -> None:
    rows = [
        ("a", 0, [1.0, 0.0]),
        ("a", 0, [0.0, 2.0]),
        ("a", 0, [1.0, 0.0]),
        ("a", 1, [1.0, 1.0]),  # alone
        ("b", 0, [3.0, 4.0]),
        ("b", 0, [3.0, 4.0]),
        ("b", 0, None),
    ]
    made = Dataset.from_list([dict(zip(("arm", "seed", "clip_embedding"), row, strict=True)) for row in rows])
    told = with_diversity(made, ["arm", "seed"])
    found = told["diversity"][:]
    alone = "no other picture of its prompt to compare with"
    assert nulls(told.add_column("image_error", [None] * 7), ["diversity"], None)["diversity"] == {
        alone: 1,
        "clip_embedding is null": 1,
    }
    assert found[:3] == pytest.approx([0.5, 1.0, 0.5]) and found[4:6] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert found[3] is found[6] is None
