"""Rows of the embedded world's datasets, loaded from the session's Hub once."""

from __future__ import annotations

from functools import cache
from typing import Any

from tamis.tiny.datasets import DATASETS, name_of
from tamis.tiny.datasets.writing import Table

BY_NAME = {name_of(dataset): dataset for dataset in DATASETS}


@cache
def made(name: str) -> dict[str, Table]:
    return BY_NAME[name].tables()


@cache
def load(name: str, config: str = "default") -> dict[str, list[dict[str, Any]]]:
    """Rows by split, pictures as the struct they are stored as."""
    from datasets import load_dataset

    loaded = load_dataset(f"tiny/{name}", config)
    return {split: rows.with_format("arrow")[:].to_pylist() for split, rows in loaded.items()}


def rows_of(name: str, config: str = "default") -> list[dict[str, Any]]:
    return [row for rows in load(name, config).values() for row in rows]
