"""Prompts as rows: what is held out is never trained on, by writers and by datasets alike."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from datasets import Dataset, load_dataset

from tamis.config import ConfigError
from tamis.self_reward.prompts import COLUMNS, of_dataset, of_written, too_long


def written(label: str | None, plain: list[str] | None, involved: list[str] | None = None) -> dict[str, Any]:
    row = {"class": label, "prompt_writer_plain": plain, "prompt_writer_complex": involved or []}
    return row | {"prompt_writer_error": None if plain else "no prompt: does not name the class (4)"}


def rows(*made: dict[str, Any], heldout: int = 2, seed: int = 0) -> tuple[list[dict[str, Any]], dict[str, str]]:
    table, refused = of_written(made, "prompt_writer", class_column="class", heldout=heldout, seed=seed)
    return list(table), refused


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
    made = of_dataset(splits, classes=["moon", "arrow"], **how)
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
    with pytest.raises(ConfigError, match="no prompt is left to be held out"):
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
