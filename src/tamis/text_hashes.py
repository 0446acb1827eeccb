"""Texts as 64 bits each, so that texts alike have hashes alike (simhash): what near_duplicates needs of them.

Each two neighbouring words vote on every bit by a hash of their own; the majority decides. Case, stops and spaces do
not count. Of sixty words one changed moves about 5 bits of 64, of twelve about 11; unrelated texts differ in 32.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np

AT_ONCE = 4096  # texts whose words are in memory together
LONGEST = 10_000  # words of a text that are looked at
_END = 0x5851F42D4C957F2D  # stands before the first word, and behind the last
_MIXED = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)  # of splitmix64
# Four bits as four counters of 16 bits each: a sum of numbers then counts four bits at once.
_SPREAD = np.asarray([sum((four >> bit & 1) << 16 * bit for bit in range(4)) for four in range(16)], dtype=np.uint64)


def words(text: str) -> list[str]:
    """Letters and digits in one case, an apostrophe among them; of a text of signs alone, those."""
    return (re.findall(r"\w+(?:['’]\w+)*", text.casefold()) or text.split())[:LONGEST]


def text_hashes(texts: Sequence[str | None]) -> list[str | None]:
    """16 hexadecimal digits a text; None where there is no text."""
    known: dict[str, int] = {}
    found: list[str | None] = []
    for start in range(0, len(texts), AT_ONCE):
        told = [words(text or "") for text in texts[start : start + AT_ONCE]]
        hashed = iter(_hashed([one for one in told if one], known))
        found += [f"{next(hashed):016x}" if one else None for one in told]
    return found


def _hashed(told: list[list[str]], known: dict[str, int]) -> list[int]:
    if not told:
        return []
    for word in {word for one in told for word in one} - known.keys():
        digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
        known[word] = int.from_bytes(digest, "big")
    # An end before each text, and one behind all of them: neighbours are then the pairs of this one list.
    ids = np.asarray([number for one in told for number in (_END, *map(known.__getitem__, one))] + [_END], np.uint64)
    pairs = _mixed(ids[:-1] * np.uint64(_MIXED[0]) ^ ids[1:])
    lengths = np.asarray([len(one) + 1 for one in told])
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    hashes = np.zeros(len(told), dtype=np.uint64)
    for place in range(0, 64, 4):
        four = np.add.reduceat(_SPREAD[(pairs >> np.uint64(place)) & np.uint64(15)], starts)
        for bit in range(4):
            votes = (four >> np.uint64(16 * bit)) & np.uint64(0xFFFF)
            hashes |= (votes * 2 > lengths).astype(np.uint64) << np.uint64(place + bit)  # with a tie, 0
    return hashes.tolist()


def _mixed(values: np.ndarray) -> np.ndarray:
    for shift, factor in ((30, _MIXED[1]), (27, _MIXED[2])):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values ^ (values >> np.uint64(31))
