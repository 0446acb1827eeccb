"""Text cells of a dataset: what a model can read of them, or the reason why not."""

from __future__ import annotations

from typing import Any

from tamis.images import Unscorable


def text(value: Any, *, longest: int, what: str = "text") -> str:
    """A cell as text a model can read, cut to `longest` characters: 1 MB of text would only be truncated later.

    what: how a reason names it.
    """
    if value is None:
        raise Unscorable(f"{what}: null")
    if not isinstance(value, str):
        raise Unscorable(f"{what}: a {type(value).__name__}, not text")
    if not value.strip():
        raise Unscorable(f"{what}: empty")
    return value[:longest]
