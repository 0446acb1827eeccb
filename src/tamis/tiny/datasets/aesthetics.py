"""tiny/aesthetics: pictures with votes from 1 to 10, scattered around a hidden rule, in AVA's columns."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tamis.tiny.critiques import merit, traits, votes
from tamis.tiny.datasets import writing
from tamis.tiny.datasets.writing import Table
from tamis.tiny.world import DEFECTS, SEEDS, scene

SPLITS = {"train": 800, "validation": 200, "test": 400}
SOUND = ("none",) * (len(DEFECTS) - 1)  # as many as there are defects: every other picture has one

COLUMNS = {
    "image_id": ("string", "unique"),
    "image": ("image", "a scene of one thing"),
    "mean_score": ("float32", "of the votes, 1 to 10"),
    "score": ("int64", "the mean score, rounded"),
    "total_votes": ("int64", "how many voted"),
    "rating_counts": ("int64[]", "votes for 1, 2, ... 10"),
    "truth_merit": ("float64", "by the hidden rule, 1 to 10"),
    "truth_traits": ("string", "JSON: how much of each trait the picture has, 0 to 1"),
    "truth_defect": ("string", "what spoils the picture, or none"),
    "truth_strength": ("float64", "of the defect, 0 to 1"),
}
ABOUT = """
Pictures with votes, in the columns of AVA's copies on the Hub (`score` is ours). Voters scatter around a hidden rule:
sharpness, cleanness, light, balance, size, contrast and pattern, and a defect costs more than its share. Every other
picture has a defect of some strength. Columns that begin with `truth_` are for evaluation alone.
"""


def tables() -> dict[str, Table]:
    seeds = iter(SEEDS["aesthetics"])
    return {
        "default": Table(COLUMNS, {split: [_row(next(seeds)) for _ in range(count)] for split, count in SPLITS.items()})
    }


def write(folder: Path) -> None:
    title = "Aesthetics of the embedded world"
    writing.write(folder, title=title, about=ABOUT, tasks=["image-classification"], tables=tables())


def _row(seed: int) -> dict[str, Any]:
    draw = random.Random(f"aesthetics-{seed}")
    drawn = scene(seed, defects=SOUND + DEFECTS[1:])
    counts = votes(drawn, draw, voters=draw.randint(40, 80))
    mean = sum(score * count for score, count in enumerate(counts, start=1)) / sum(counts)
    return {
        "image_id": str(seed - SEEDS["aesthetics"].start),
        "image": drawn,
        "mean_score": mean,
        "score": round(mean),
        "total_votes": sum(counts),
        "rating_counts": counts,
        "truth_merit": merit(drawn),
        "truth_traits": json.dumps({name: round(amount, 3) for name, amount in traits(drawn).items()}),
        "truth_defect": drawn.defect,
        "truth_strength": drawn.strength,
    }
