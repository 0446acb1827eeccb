from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tamis.training.buckets import bucket_of, buckets, framed


def test_the_shapes_are_kohyas() -> None:
    found = buckets(512, 64)
    assert len(found) == 17
    assert {(512, 512), (256, 1024), (1024, 256), (640, 384), (384, 640), (448, 576)} <= set(found)
    assert all(width * height <= 512 * 512 and width % 64 == height % 64 == 0 for width, height in found)


@pytest.mark.parametrize(
    ("size", "bucket"),
    [
        ((512, 512), (512, 512)),
        ((3000, 3000), (512, 512)),
        ((64, 64), (512, 512)),
        ((4000, 3000), (576, 448)),
        ((3000, 4000), (448, 576)),
        ((1920, 1080), (640, 384)),
        ((5000, 500), (1024, 256)),
    ],
)
def test_an_image_goes_where_its_shape_is_nearest(size: tuple[int, int], bucket: tuple[int, int]) -> None:
    assert bucket_of(*size, 512, 64) == bucket


def test_the_middle_of_an_image_is_kept() -> None:
    image = Image.new("RGB", (300, 100), "white")
    image.paste("red", (100, 0, 200, 100))
    cut = framed(image, (64, 64))
    assert cut.pixels.shape == (64, 64, 3)
    assert np.all(cut.pixels[:, 4:-4] == (255, 0, 0))
    assert (cut.original, cut.corner, cut.bucket) == ((100, 300), (0, 64), (64, 64))


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (300, 7), (65, 64), (64, 64)])
def test_any_size_covers_its_bucket(size: tuple[int, int]) -> None:
    assert framed(Image.new("RGB", size), (96, 64)).bucket == (64, 96)
