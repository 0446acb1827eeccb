"""Prompts as rows: what is held out is never trained on, by writers and by datasets alike."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Value, load_dataset

from tamis.config import ConfigError
from tamis.self_reward.prompts import COLUMNS, of_dataset, of_written, too_long


def written(label: str | None, plain: list[str] | None, involved: list[str] | None = None) -> dict[str, Any]:
    row = {"class": label, "prompt_writer_plain": plain, "prompt_writer_complex": involved or []}
    row |= {"prompt_writer_left_out": [{"reason": "does not name the class", "lines": 4}] if plain is None else []}
    return row | {"prompt_writer_error": None if plain else "no prompt: does not name the class (4)"}


def rows(*made: dict[str, Any], heldout: int = 2, seed: int = 0) -> tuple[list[dict[str, Any]], dict[str, str]]:
    got = of_written(made, "prompt_writer", class_column="class", heldout=heldout, seed=seed)
    return list(got.table), got.refused


def test_plain_ones_are_held_out_by_seed_and_complex_ones_all() -> None:
    fire = written("fire hydrant", [f"a fire hydrant {at}" for at in range(6)], ["a fire hydrant in a long scene"])
    made, refused = rows(fire, written("dog", None), written("cat", ["a cat", "two cats"]))
    assert Counter((row["use"], row["complexity"]) for row in made) == {
        ("train", "plain"): 4,
        ("heldout", "plain"): 2,
        ("heldout", "complex"): 1,
    }
    assert refused == {
        "dog": "no prompt: does not name the class (4)",
        "cat": "2 prompts written, 2 are to be held out",
    }
    assert [row["prompt_id"] for row in made][-1] == "fire-hydrant-complex-000" and set(made[0]) == set(COLUMNS)
    again = {tuple(row["use"] for row in rows(fire, seed=seed)[0]) for seed in range(6)}
    assert len(again) > 1 and rows(fire)[0] == made
    with pytest.raises(ConfigError, match=r"no class has prompts \(dog: no prompt"):
        rows(written("dog", None))


def test_prompts_of_a_dataset() -> None:
    splits = {
        use: load_dataset("tiny/prompts", split=use).rename_column("id", "row_id") for use in ("train", "heldout")
    }
    how = {"class_column": "class", "prompt_column": "prompt", "complexity_column": "complexity"}
    got = of_dataset(splits, classes=["moon", "arrow"], **how)
    made = got.table
    assert got.left_out == {"complex: none is trained on": 12} and got.refused == {}
    assert Counter((row["use"], row["complexity"]) for row in made) == {
        ("train", "plain"): 48,
        ("heldout", "plain"): 24,
        ("heldout", "complex"): 24,
    }
    assert set(made["class"]) == {"moon", "arrow"} and made["prompt_id"][0] in splits["train"]["row_id"]
    with pytest.raises(ConfigError, match="classes: 'dog' is not in column 'class'"):
        of_dataset(splits, classes=["moon", "dog"], **how)
    with pytest.raises(ConfigError, match="are held out and trained on"):
        of_dataset({"train": splits["train"], "heldout": splits["train"]}, classes=None, **how)
    with pytest.raises(ConfigError, match="no class has prompts .circle: no prompt that is held out"):
        of_dataset({"train": splits["train"], "heldout": splits["heldout"].select([])}, classes=None, **how)
    few = Dataset.from_dict({"row_id": ["a", "a"], "class": ["x", "x"], "prompt": ["p", "q"]})
    plain = {**how, "complexity_column": None}
    with pytest.raises(ConfigError, match="prompt_id: 'a' is there twice"):
        of_dataset(
            {"train": few, "heldout": few.map(lambda row: {"prompt": row["prompt"] + "!"})}, classes=None, **plain
        )


def test_what_a_text_encoder_cuts_is_counted() -> None:
    cut = too_long(["a red star", "star " * 90, "moon " * 10], "tiny/sd", None)
    assert cut == {"prompts": 1, "tokens": 32}


def dataset(*told: tuple[str | None, str | None]) -> Dataset:
    rows = [{"row_id": f"{n}-{p}", "class": c, "prompt": p} for n, (c, p) in enumerate(told)]
    return Dataset.from_list(rows, features=Features(dict.fromkeys(("row_id", "class", "prompt"), Value("string"))))


PLAIN: dict[str, Any] = {"class_column": "class", "prompt_column": "prompt", "complexity_column": None, "classes": None}


def test_a_class_needs_prompts_of_both_uses_and_a_row_needs_its_texts() -> None:
    train = dataset(("moon", "a moon"), ("sun", "a sun"), ("moon", None), (None, "a tree"), ("moon", "  "))
    heldout = dataset(("moon", "the moon"), ("star", "a star"))
    got = of_dataset({"train": train, "heldout": heldout}, **PLAIN)
    assert got.table["prompt"][:] == ["a moon", "the moon"]
    assert got.refused == {"star": "no prompt to train on", "sun": "no prompt that is held out"}
    assert got.left_out == {"no prompt": 2, "no class": 1}
    assert got.said({"prompts": 0, "tokens": 77}) == [
        "prompts: 1 train, plain, 1 heldout, plain",
        "2 not used: no prompt",
        "1 not used: no class",
        "left out: star: no prompt to train on",
        "left out: sun: no prompt that is held out",
    ]


def test_columns_that_are_no_text_are_refused_by_name() -> None:
    """Numbers of a ClassLabel would name classes 0 and 1."""
    labels = Features(
        {"row_id": Value("string"), "class": ClassLabel(names=["moon", "sun"]), "prompt": Value("string")}
    )
    numbered = Dataset.from_list([{"row_id": "a", "class": 0, "prompt": "a moon"}], features=labels)
    with pytest.raises(ConfigError, match="column 'class' is ClassLabel, not text"):
        of_dataset({"train": numbered, "heldout": numbered}, **PLAIN)


def test_what_one_class_is_trained_on_is_held_out_for_none() -> None:
    both = ["a cat and a dog", "A cat, and a dog!"]  # one prompt, but for case and stops
    cat, dog = written("cat", [both[0], "a cat", "two cats"]), written("dog", [both[1], "a dog", "two dogs"])
    seen = 0
    for seed in range(12):
        got = of_written([cat, dog], "prompt_writer", class_column="class", heldout=1, seed=seed)
        uses = {row["prompt"]: row["use"] for row in got.table}
        assert {uses.get(prompt) for prompt in both} != {"train", "heldout"}
        seen += got.left_out.get("held out, but trained on for another class", 0)
    assert seen > 0
