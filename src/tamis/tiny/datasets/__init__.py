"""The published datasets of the embedded world: one module each, whose rows follow from world.SEEDS alone.

A module has `tables()`, the rows with scenes where the pictures go, and `write(folder)`, the repository's files. What
only evaluation may read stands in columns that begin with `truth_`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import ModuleType

from tamis.tiny.datasets import aesthetics, benchmark, commons, pool, products, prompts

DATASETS: tuple[ModuleType, ...] = (commons, prompts, products, aesthetics, pool, benchmark)

_TINY = Path(__file__).parents[1]
# What all of them are drawn and written with. A test compares with what they import.
SHARED = (
    *(_TINY / f"{name}.py" for name in ("world", "render", "captions", "questions", "kinds", "articles", "critiques")),
    *(_TINY / f"{name}.py" for name in ("products", "conversations")),
    _TINY.parent / "prompts" / "scale.py",
    Path(__file__).with_name("writing.py"),
)


def name_of(dataset: ModuleType) -> str:
    return dataset.__name__.rpartition(".")[2]


def sources(dataset: ModuleType) -> list[Path]:
    """The files that its rows depend on: what is shared, and those that begin with its name."""
    return [*SHARED, *sorted(Path(__file__).parent.glob(f"{name_of(dataset)}*.py"))]


def key(dataset: ModuleType) -> str:
    """Changes with the code that makes the dataset."""
    digest = hashlib.sha256()
    for path in sources(dataset):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
