"""A picture as a file holds it. Imports stand in the fixtures, as everywhere before the Hub's address is set."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def picture() -> Callable[[str], bytes]:
    """A square of a colour, as PNG: another colour is another picture."""
    import io

    from PIL import Image

    def encode(colour: str) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", (8, 8), colour).save(file, "PNG")
        return file.getvalue()

    return encode


@pytest.fixture(scope="session")
def encoded_picture(picture: Callable[[str], bytes]) -> bytes:
    return picture("red")
