"""The embedded world: what the embedded Hub is seeded with, so that every recipe runs offline."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

WEIGHTS = Path(__file__).with_name("weights")


@dataclass(frozen=True)
class Seed:
    """A repo of the organisation tiny: made only where its key is not there yet."""

    repo_id: str
    repo_type: Literal["dataset", "model"]
    key: str
    build: Callable[[Path], None]

    def build_as(self, repo_id: str, folder: Path) -> None:
        """The same repo under another name, which its card then tells to load."""
        self.build(folder)
        card = folder / "README.md"
        text = card.read_text(encoding="utf-8")
        card.write_text(re.sub(rf"{re.escape(self.repo_id)}(?![\w-])", repo_id, text), encoding="utf-8")


def seeds(weights: Path = WEIGHTS) -> list[Seed]:
    """Every repo of the embedded world: its datasets, and the models packaged in `weights`."""
    from tamis.tiny.datasets import DATASETS, key, name_of

    packaged = sorted(path.parent for path in weights.glob("*/README.md"))  # the card is written last
    return [
        *(Seed(f"tiny/{name_of(dataset)}", "dataset", key(dataset), dataset.write) for dataset in DATASETS),
        *(Seed(f"tiny/{folder.name}", "model", _key(folder), partial(_copied, folder)) for folder in packaged),
    ]


def _key(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _copied(packaged: Path, folder: Path) -> None:
    shutil.copytree(packaged, folder, dirs_exist_ok=True)
