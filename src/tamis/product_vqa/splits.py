"""Which split each question belongs to. By image, so that no test picture was trained on; by row, as the report does.

A split is told as a list of names, one for each row. All of it is pure arithmetic: the same rows and seed, the same
split, in whatever order images come.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tamis.config import ConfigError
from tamis.same_picture import same_picture
from tamis.seeds import seed_of

SHARES = {"train": 0.65, "validation": 0.1, "test": 0.25}  # the report's quarter for testing, of pictures


def by_image(
    image_ids: Sequence[str],
    *,
    contents: Sequence[str] | None = None,
    shares: dict[str, float] = SHARES,
    seed: int = 0,
) -> list[str]:
    """Each picture in one split, with all questions about it, of whatever product; the shares are of pictures.

    contents: a hash of each row's picture, so that one picture under two ids is one.
    """
    groups = same_picture(image_ids, contents)
    order = sorted(set(groups), key=lambda one: hashlib.sha256(f"{seed} {one}".encode()).digest())
    split_of = dict(zip(order, _cut(len(order), shares), strict=True))
    return [split_of[group] for group in groups]


def by_row(count: int, *, shares: dict[str, float] = SHARES, seed: int = 0) -> list[str]:
    """The report's split, for comparison: rows by chance, so that questions about one picture fall into several.

    The rows of the last share are those that scikit-learn's train_test_split(test_size=share, random_state=seed)
    draws; those of the one before it are drawn next. NumPy takes seeds of 0..2^32-1 there:
    any other stands for one of them.
    """
    names = list(_cut(count, shares, last_rounded_up=True))
    drawn_by = seed if 0 <= seed < 2**32 else seed_of("by row", seed, bits=32)
    permutation = np.random.RandomState(drawn_by).permutation(count)
    found = [""] * count
    for place, row in enumerate(permutation.tolist()):
        found[row] = names[count - 1 - place]
    return found


def leak(
    splits: Sequence[str], groups: Sequence[str], *, of: str = "test", into: str = "train"
) -> dict[str, dict[str, Any]]:
    """Of the rows, and of the pictures, of one split: how many have their picture in another. {what: {share, n}}."""
    seen = {group for split, group in zip(splits, groups, strict=True) if split == into}
    rows = [group for split, group in zip(splits, groups, strict=True) if split == of]
    counted = {"rows": rows, "images": sorted(set(rows))}
    return {
        what: {"share": sum(group in seen for group in some) / len(some) if some else None, "n": len(some)}
        for what, some in counted.items()
    }


def _cut(count: int, shares: dict[str, float], *, last_rounded_up: bool = False) -> list[str]:
    """So many names as there are things, in the order of the shares; none of the splits is empty."""
    if not shares or any(not 0 < share <= 1 for share in shares.values()) or not math.isclose(sum(shares.values()), 1):
        raise ConfigError(f"shares: {shares} is not accepted; expected shares above 0 that sum to 1")
    ends = np.round(np.cumsum(list(shares.values())) * count).astype(int)
    if last_rounded_up and len(ends) > 1:
        ends[-2] = count - math.ceil(list(shares.values())[-1] * count - 1e-9)
    sizes = np.diff([0, *ends])
    if (sizes < 1).any():
        raise ConfigError(f"shares: {count} are too few to be split into {', '.join(shares)}")
    return [name for name, size in zip(shares, sizes.tolist(), strict=True) for _ in range(size)]
