"""Small pictures of untrusted ones: decoded under limits and encoded anew, so that only pixels reach a browser."""

from __future__ import annotations

import io
import struct
import threading

from PIL import Image, ImageOps, UnidentifiedImageError

from tamis.localhub.errors import HubError

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_MOST_PIXELS = 40_000_000
_MOST_BYTES = 64 << 20
SIZE = (160, 160)
_UNDECODABLE = (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError, struct.error)
# A page asks for fifty at once, and each may take a hundred megabytes while it is open.
_turns = threading.BoundedSemaphore(4)


def thumbnail(content: bytes) -> bytes:
    """A PNG of at most SIZE; 415 where the bytes are no picture, or one that is too large to open."""
    if len(content) > _MOST_BYTES:
        raise HubError(415, f"The picture is larger than {_MOST_BYTES >> 20} MiB")
    try:
        with _turns, Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
            # The size is in the header: known before any pixel takes memory.
            if picture.width * picture.height > _MOST_PIXELS:
                raise HubError(415, f"The picture has {picture.width} x {picture.height} pixels")
            picture.draft("RGB", (2 * SIZE[0], 2 * SIZE[1]))
            small = ImageOps.exif_transpose(picture)
            small.thumbnail(SIZE)
            encoded = io.BytesIO()
            small.convert("RGBA" if small.has_transparency_data else "RGB").save(encoded, "PNG")
    except _UNDECODABLE as error:
        raise HubError(415, f"The picture cannot be decoded: {error}") from error
    return encoded.getvalue()
