"""Bounds of the numbers that a training is set by."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tamis.config import ConfigError


def refuse_outside(settings: Any, bounds: Iterable[tuple[str, float] | tuple[str, float, float]]) -> None:
    """bounds: a setting's name, the least it may be, and what it stays below. What is null is not looked at."""
    for name, least, *limit in bounds:
        value, below = getattr(settings, name), limit[0] if limit else math.inf
        if value is not None and not least <= value < below:
            told = "" if below == math.inf else f", below {below:g}"
            raise ConfigError(f"{name}: {value!r} is not accepted; expected {least:g} or more{told}")
