"""Scorers, one file each: this folder is the list. A YAML names them by their file."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from tamis.config import ConfigError, from_values

if TYPE_CHECKING:
    from tamis.scoring import Scorer


def names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def build(settings: list[dict[str, Any] | str], **columns: str | None) -> list[Scorer]:
    """Scorers from `scorers:` of a YAML: each entry is {scorer: FILE, and that file's settings}, or just FILE.

    columns (image_column=..., text_column=...) are the recipe's: a scorer that takes such a setting and is not given
    one of its own reads the recipe's.
    """
    scorers = []
    for position, entry in enumerate(settings):
        where = f"scorers[{position}]"
        entry = {"scorer": entry} if isinstance(entry, str) else dict(entry)
        name = entry.pop("scorer", None)
        if name not in names():
            raise ConfigError(f"{where}: scorer: {name!r} is not accepted; expected one of {', '.join(names())}")
        # image_quality.py holds ImageQuality: one scorer a file, found by its name.
        module, class_name = importlib.import_module(f"tamis.scorers.{name}"), name.title().replace("_", "")
        if class_name not in vars(module):
            raise ConfigError(f"{where}: tamis/scorers/{name}.py holds no class {class_name}")
        scorer_class = vars(module)[class_name]
        takes = {field.name for field in dataclasses.fields(scorer_class)}
        shared = {key: column for key, column in columns.items() if key in takes and column is not None}
        scorers.append(from_values(scorer_class, shared | entry, f"{where} ({name})"))
    taken = [scorer.name for scorer in scorers]
    for name in taken:
        if taken.count(name) > 1:
            raise ConfigError(f"scorers: two are named {name!r}; give one of them another name (name: ...)")
    return scorers
