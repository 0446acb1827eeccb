"""Distinct pictures of some rows, told apart by the bytes of their files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tamis.images import Unscorable, decode_image, image_bytes

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL.Image import Image


class Pictures:
    """Where each is: the first row that holds it. Pictures stay as they are stored until they are asked for."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.where: dict[str, tuple[Dataset, int]] = {}

    def decoded(self, digest: str) -> Image:
        rows, position = self.where[digest]
        return decode_image(rows[position][self.column])

    def unreadable(self, digests: list[str]) -> dict[str, str]:
        """Those that no picture can be read from, with the reason."""
        found = zip(digests, side_by_side(self._fault, digests), strict=True)
        return {digest: reason for digest, reason in found if reason is not None}

    def _fault(self, digest: str) -> str | None:
        try:
            self.decoded(digest)
        except Unscorable as reason:
            return str(reason)
        return None


def digest_of(cell: Any) -> str:
    """The hash of a cell's bytes; raises Unscorable where there are none."""
    return hashlib.sha256(image_bytes(cell)).hexdigest()


def side_by_side(of: Callable[[str], Any], digests: Iterable[str]) -> list[Any]:
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="images") as pool:
        return list(pool.map(of, digests))
