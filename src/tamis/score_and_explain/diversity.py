"""How different texts are from one another. Pure text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_WORD = re.compile(r"\w+")


def distinct_share(texts: Sequence[str]) -> float | None:
    """Different texts, of all; case, spaces and signs make none. None: there is no text."""
    return len({_words(text) for text in texts}) / len(texts) if texts else None


def trigram_share(texts: Sequence[str]) -> float | None:
    """Different runs of three words, of all there are in the texts. None: there is no text with three words.

    Falls with the number of texts: compare as many of them.
    """
    runs = [run for text in texts for run in _trigrams(_words(text))]
    return len(set(runs)) / len(runs) if runs else None


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))


def _trigrams(words: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    return zip(words, words[1:], words[2:], strict=False)
