"""Sellers' texts as plain text: without the markup and the entities that were pasted into them."""

from __future__ import annotations

import html
import re

LONGEST = 10_000  # characters read of one text; a bullet point has a few hundred
TURNS = 3  # markup is found that was escaped twice

# Only what is really HTML: "width <5 cm" and "A<B & C>D" are no markup. Words do not grow together where a line ended.
_ATTRIBUTES = r"(?:\s+[\w-]+\s*=[^<>]*)?\s*/?>"
_HIDDEN = re.compile(r"<!--.*?-->|<(script|style)\b[^<>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_INLINE = re.compile(
    r"</?(?:a|abbr|b|big|em|font|i|mark|s|small|span|strong|sub|sup|tt|u)" + _ATTRIBUTES, re.IGNORECASE
)
_BLOCK = re.compile(
    r"</?(?:blockquote|body|br|center|dd|div|dl|dt|h[1-6]|head|hr|html|img|li|link|meta|ol|p|pre|script|style|table|"
    r"tbody|td|th|thead|title|tr|ul)" + _ATTRIBUTES,
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """On one line, every sign printable; empty where nothing was but markup."""
    text = text[:LONGEST]
    for _ in range(TURNS):
        before = text
        text = html.unescape(_BLOCK.sub(" ", _INLINE.sub("", _HIDDEN.sub(" ", text))))
        if text == before:
            break
    # Soft hyphens and signs of no width stand inside words; no-break spaces between them.
    return " ".join("".join(sign if sign.isprintable() else " " if sign.isspace() else "" for sign in text).split())
