"""Texts of rows between tags of a prompt: none can close the place it stands in, or open another's."""

from __future__ import annotations

import re
from functools import cache


def kept_inside(told: str, *tags: str) -> str:
    """The text with `(` for each `<` that begins one of these tags, opening or closing, whatever its case.

    Spaces, slashes and characters that nobody sees may stand between the `<` and the tag's name.
    """
    return _beginning(tags).sub("(", told)


@cache
def _beginning(tags: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"<(?=[^\w<]*(?:{'|'.join(map(re.escape, tags))}))", re.IGNORECASE)
