"""Which split each picture belongs to: the dataset's own, else drawn by a hash of its row_id. Pure arithmetic.

With more rows, or fewer, no picture moves that was drawn, unless its bytes come or go under another row_id as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tamis.config import ConfigError
from tamis.same_picture import same_picture
from tamis.seeds import seed_of

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def fixed(
    row_ids: Sequence[str],
    contents: Sequence[str],
    own: Sequence[str | None],
    *,
    order: Sequence[str] = (),
    shares: dict[str, float] = SHARES,
    seed: int = 0,
) -> list[str | None]:
    """The split of each row; None: it stands in another's place, and is left out.

    contents: a hash of each row's picture. own: the split it was published in, of those in `order`; None: it is to be
    drawn. A picture that was published in several splits stays in the last of them alone, so that no picture of a
    published test split is trained on, and that split stays what others measure on. What is to be drawn is shared out
    over the splits of `shares` that are not published: about so many, as the hash falls, a picture in one of them.
    """
    rank = {name: place for place, name in enumerate(order)}
    groups = same_picture(row_ids, contents)
    published: dict[str, str] = {}
    for group, split in zip(groups, own, strict=True):
        if split is not None and rank[split] >= rank.get(published.get(group, split), -1):
            published[group] = split
    left = _checked(shares, taken=order) if None in own else {}
    found: list[str | None] = []
    for group, split in zip(groups, own, strict=True):
        if group in published:
            found.append(split if split == published[group] else None)
        else:
            found.append(drawn(group, left, seed))
    if lacking := [name for name in (*order, *left) if name not in found]:
        raise ConfigError(f"no picture in split {', '.join(lacking)}, of {len(set(groups))} there are; read more rows")
    return found


def drawn(name: str, shares: dict[str, float], seed: int) -> str:
    """Where the hash of a name falls, of shares laid end to end."""
    at, names = seed_of("rating split", seed, name, bits=53) / 2**53 * sum(shares.values()), list(shares)
    for split in names:
        at -= shares[split]
        if at < 0:
            return split
    return names[-1]


def _checked(shares: dict[str, float], taken: Sequence[str]) -> dict[str, float]:
    if not shares or any(not 0 < share <= 1 for share in shares.values()) or not math.isclose(sum(shares.values()), 1):
        raise ConfigError(f"shares: {shares} is not accepted; expected shares above 0 that sum to 1")
    left = {name: share for name, share in shares.items() if name not in taken}
    if not left:
        raise ConfigError(f"shares: {shares} is not accepted; {', '.join(taken)} is published, the rest needs a share")
    return left
