"""Which files make up which split of which config of a dataset, as its card says or as file names suggest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tamis.localhub.commits import Commit

_SPLITS = ("train", "validation", "test")
_OTHER_NAMES = {"valid": "validation", "val": "validation", "dev": "validation", "eval": "test"}


@dataclass(frozen=True)
class Split:
    config: str
    split: str
    paths: tuple[str, ...]


def find_splits(commit: Commit, data: dict) -> list[Split]:
    """The splits that hold parquet files, the default config first."""
    parquet = sorted(path for path in commit.files if path.endswith(".parquet"))
    configs = [config for config in _list(data.get("configs")) if isinstance(config, dict)]
    configs.sort(key=lambda config: config.get("default") is not True)
    found = []
    for config in configs:
        for split, patterns in _data_files(config.get("data_files")):
            paths = tuple(path for path in parquet if any(fnmatchcase(path, pattern) for pattern in patterns))
            if paths:
                found.append(Split(str(config.get("config_name", "default")), split, paths))
    return found or _guessed(parquet)


def _list(value: object) -> list:
    return value if isinstance(value, list) else [] if value is None else [value]


def _data_files(value: object) -> list[tuple[str, list[str]]]:
    """(split, patterns) of a card's data_files, in all the forms that `datasets` reads."""
    if isinstance(value, dict):
        return [(str(split), _patterns(paths)) for split, paths in value.items()]
    items = _list(value)
    if items and all(isinstance(item, dict) for item in items):
        return [(str(item.get("split", "train")), _patterns(item.get("path"))) for item in items]
    return [("train", _patterns(items))] if items else []


def _patterns(value: object) -> list[str]:
    return [item.removeprefix("./") for item in _list(value) if isinstance(item, str)]


def _guessed(parquet: list[str]) -> list[Split]:
    by_split: dict[str, list[str]] = {}
    for path in parquet:
        words = re.split(r"[^a-z]+", path.lower())
        named = [_OTHER_NAMES.get(word, word) for word in words]
        split = next((word for word in reversed(named) if word in _SPLITS), "train")
        by_split.setdefault(split, []).append(path)
    ordered = sorted(by_split, key=_SPLITS.index)
    return [Split("default", split, tuple(by_split[split])) for split in ordered]
