"""The embedded world: what the embedded Hub is seeded with, so that every recipe runs offline."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Seed:
    """A repo of the organisation tiny: made only where its key is not there yet."""

    repo_id: str
    repo_type: Literal["dataset", "model"]
    key: str
    build: Callable[[Path], None]


def seeds() -> list[Seed]:
    scenes_code = Path(__file__).with_name("scenes.py").read_bytes() + Path(__file__).read_bytes()
    return [Seed("tiny/scenes", "dataset", hashlib.sha256(scenes_code).hexdigest(), _scenes)]


def _scenes(folder: Path) -> None:
    from datasets import Dataset, Features, Image, Value

    from tamis.tiny.scenes import scenes

    text = Value("string")
    features = Features(
        {"id": text, "image": Image(), "caption": text, "shape": text, "ground": text, "defect": text, "drawing": text}
    )
    (folder / "data").mkdir()
    Dataset.from_list(scenes(800, seed=7), features=features).to_parquet(
        str(folder / "data" / "train-00000-of-00001.parquet")
    )
    (folder / "README.md").write_text(_SCENES_CARD)


_SCENES_CARD = """---
license: cc0-1.0
language: en
task_categories:
- image-to-text
tags:
- synthetic
size_categories:
- n<1K
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
---
# Scenes

800 drawn scenes of one shape on a ground, 96 pixels wide, with captions. Nine in twenty have a known defect, named in
the column `defect`: blurred, noisy or dark pictures, captions of another scene, near-duplicates of an earlier row
(`drawing` names the row that was drawn first).
Made by `tamis.tiny.scenes`, seed 7.
"""
