"""Rounds: the pictures that a model draws to choose among, and whether it still draws different ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tamis import drawings
from tamis.columns import column_values

if TYPE_CHECKING:
    from pathlib import Path

    from datasets import Dataset

ROUND, EACH = "round", ("prompt_id", "class")  # what a picture's row tells of its prompt, beside the prompt itself


def to_generate(prompts: Dataset, turns: int, *, number: int, seed: int, wearing: Path | None) -> Dataset:
    """A row a picture of every prompt that is trained on: what to draw, with which adapter, from which noise.

    number: the round, from 1; wearing: the adapter that the round before it made, None for the model alone. The noise
    is the same in every round, so that rounds differ by the model alone. row_id is the picture's, prompt_id its
    prompt's: whatever is joined is joined by them.
    """
    train = [row for row in prompts if row["use"] == "train"]
    known = [{name: row[name] for name in EACH} for row in train]
    made = drawings.to_draw(
        known,
        {(row["prompt_id"], f"round-{number}", seed): wearing for row in train},
        {row["prompt_id"]: {row["complexity"]: row["prompt"]} for row in train},
        turns,
        {name: prompts.features[name] for name in EACH},
        unit="prompt_id",
    ).rename_column("arm", ROUND)
    ids = [
        f"{row['prompt_id']}-{row[ROUND]}-{row['turn']}" for row in made.select_columns(["prompt_id", ROUND, "turn"])
    ]
    return made.add_column("row_id", ids)


def diversity(pool: Dataset, embedding: str = "clip_embedding") -> float | None:
    """How far apart the pictures of one prompt are: the mean cosine distance; None without two of any prompt."""
    apart = column_values(drawings.with_diversity(pool, ["prompt_id"], embedding), "diversity")
    return None if np.isnan(apart).all() else float(np.nanmean(apart))


def collapsed(by_round: list[float | None], share: float) -> str | None:
    """Why no further round is to be run: the last one's diversity fell by more than `share` of the first one's."""
    first, last = by_round[0], by_round[-1]
    if not first or last is None or last >= (1 - share) * first:
        return None
    return (
        f"diversity fell from {first:.3f} to {last:.3f} in round {len(by_round)}, by {1 - last / first:.0%} "
        f"({share:.0%} are accepted): the model draws the same again and again"
    )
