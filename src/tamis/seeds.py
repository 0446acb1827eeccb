"""Seeds made of what they are for, so that no two things share their randomness and none hangs on order."""

from __future__ import annotations

import hashlib


def seed_of(*told: object, bits: int = 63) -> int:
    """A seed that is this thing's own: another name, step or purpose shares nothing with it.

    63 bits are what a torch.Generator takes; 48 stay whole as a number in JSON and in a column that JavaScript shows.
    """
    return int.from_bytes(hashlib.sha256(repr(told).encode()).digest()[:8], "big") >> (64 - bits)
