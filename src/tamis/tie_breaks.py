"""Which of several equal rows comes first: by a seeded hash of row_id, never by position."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

if TYPE_CHECKING:
    from datasets import Dataset

# Every arm that is cut from one pool asks for the same hashes, which cost more than all else in a cut.
_last: WeakKeyDictionary[Dataset, tuple[int | str, np.ndarray]] = WeakKeyDictionary()


def tie_break(row_ids: Sequence[str], seed: int | str) -> np.ndarray:
    """A text for each row, the smallest first among equals: md5, since SQL has it too and a card's query repeats it."""
    digests = [hashlib.md5(f"{seed}:{row_id}".encode(), usedforsecurity=False).hexdigest() for row_id in row_ids]
    return np.asarray(digests, dtype="S32")


def ties_of(dataset: Dataset, seed: int | str) -> np.ndarray:
    """The same order as numbers, for the rows of a dataset: its last seed is remembered for as long as it lives."""
    known = _last.get(dataset)
    if known is None or known[0] != seed:
        # Numbers sort several times faster than texts.
        places = np.unique(tie_break(dataset["row_id"][:], seed), return_inverse=True)[1]
        known = _last[dataset] = (seed, places)
    return known[1]
