"""Aspect buckets: shapes of about equal area that images are brought to, so that little of them is cut off.

The shapes are those of kohya's trainer: in steps of 64 pixels, from half the resolution to twice, no larger in area
than the square; an image goes where the ratio of its sides is nearest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

STEP = 64


@dataclass(frozen=True)
class Framed:
    """An image cut to its bucket, and where from: SDXL is told both. Sizes are (height, width), as it is told them."""

    pixels: np.ndarray  # uint8, (height, width, 3)
    original: tuple[int, int]
    corner: tuple[int, int]  # top and left of what was kept, in the resized image

    @property
    def bucket(self) -> tuple[int, int]:
        return self.pixels.shape[:2]


@lru_cache
def buckets(resolution: int, step: int) -> tuple[tuple[int, int], ...]:
    """All (width, height)."""
    square = max(step, resolution // step * step)
    least, most = max(step, square // 2), square * 2
    found = {(square, square)}
    for width in range(least, most + 1, step):
        height = min(most, square * square // width // step * step)
        if height >= least:
            found |= {(width, height), (height, width)}
    return tuple(sorted(found))


def bucket_of(width: int, height: int, resolution: int, step: int) -> tuple[int, int]:
    """The (width, height) whose ratio is nearest; the larger of two that are equally near."""
    ratio = math.log(width / height)
    return min(buckets(resolution, step), key=lambda one: (abs(math.log(one[0] / one[1]) - ratio), -one[0] * one[1]))


def framed(image: Image.Image, size: tuple[int, int]) -> Framed:
    """Resized until it covers (width, height), the middle kept."""
    scale = max(size[0] / image.width, size[1] / image.height)
    covering = (max(size[0], round(image.width * scale)), max(size[1], round(image.height * scale)))
    resized = image if covering == image.size else image.resize(covering, Image.Resampling.LANCZOS, reducing_gap=3.0)
    left, top = (covering[0] - size[0]) // 2, (covering[1] - size[1]) // 2
    kept = resized.crop((left, top, left + size[0], top + size[1]))
    return Framed(np.asarray(kept), (image.height, image.width), (top, left))
