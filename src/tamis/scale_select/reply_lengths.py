"""How long a row's first reply is, in classes of words.

A rater that asks how much a text tells likes long replies, and a benchmark may want short ones: so the mixture of
lengths is told before and after, and an arm can keep it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING

from tamis.columns import texts_of

if TYPE_CHECKING:
    from datasets import Dataset

LONGEST = (4, 16, 64, 256)  # words of a class
CLASSES = ("1 to 4 words", "5 to 16 words", "17 to 64 words", "65 to 256 words", "257 words or more")
# What stands between spaces; of writing systems without spaces each character.
WORDS = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[^\s\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+")


def reply_lengths(dataset: Dataset, column: str) -> list[str]:
    """For each row the class of a text column."""
    return [length_class(text) for text in texts_of(dataset, column)]


def length_class(text: str) -> str:
    words = sum(1 for _ in WORDS.finditer(text))
    return CLASSES[bisect_left(LONGEST, words)]
