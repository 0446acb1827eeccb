from __future__ import annotations

import io

import pytest
from PIL import Image


@pytest.fixture(scope="session")
def encoded_picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "PNG")
    return file.getvalue()
