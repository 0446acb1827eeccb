"""Tolerant image decoding: any image a dataset may hold becomes an RGB picture, or a reason why not.

A dataset is untrusted input: a row may name a file of this machine, be a bomb, or be no image at all.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 100_000_000  # a 12,000 x 8,000 photograph passes; 20,000 x 20,000 would take 1.2 GB a thread
LONGEST_STRIP = 50  # a picture this many times longer than wide: resized by its short side, it would fill the memory

# What Pillow raises on malformed input. The bytes are in memory by then, so none of these is a fault of the disk.
_MALFORMED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)


# What a dataset may hold. Pillow knows more: among them formats that start other programs (EPS runs Ghostscript).
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO")


class Unscorable(Exception):
    """This row cannot be scored; the message is the reason, short and the same for rows alike (it is counted)."""


_readable_folders: set[Path] = set()
_readable_prefixes: set[str] = set()
_ARCHIVE = re.compile(r"(?:zip|tar)://[^:]*::")


def allow_folder(folder: Path) -> None:
    """Lets image columns name files inside this folder, as those of an image folder do.

    Elsewhere a path in a row is refused: a published dataset could name any file of the reader's machine, and a
    recipe would go on to publish it.
    """
    _readable_folders.add(folder.resolve())


def allow_prefix(address: str) -> None:
    """The same for a repo at its commit, hf://datasets/OWNER/NAME@COMMIT/: streamed image folders name files so."""
    _readable_prefixes.add(address)


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)  # AVIF is not in every build


def image_bytes(value: Any) -> bytes:
    """The encoded image behind a cell: a struct {bytes, path} (datasets' Image, undecoded), or raw bytes."""
    if isinstance(value, str):
        what = "a URL" if "://" in value else "a text"
        raise Unscorable(f"image: {what}, not an image; download the images into the dataset first")
    path = None
    if isinstance(value, dict):
        value, path = value.get("bytes"), value.get("path")
    if value is None and path is None:
        raise Unscorable("image: null")
    if value is None:
        return _read(path)
    if not isinstance(value, bytes | bytearray | memoryview):
        raise Unscorable(f"image: a {type(value).__name__}, not an image")
    if len(value) == 0:
        raise Unscorable("image: zero bytes")
    return bytes(value)


def file_of(path: str) -> Path | None:
    """The file a row names, if rows may name it; links are followed before that is decided."""
    if "\0" in path or len(path) > 4096:
        return None
    try:
        resolved = Path(path).resolve()
        inside = any(resolved.is_relative_to(folder) for folder in _readable_folders)
        return resolved if inside and resolved.is_file() else None
    except (OSError, RuntimeError):  # a name too long for the file system, a loop of links
        return None


def _read(path: str) -> bytes:
    if _is_own_address(path):
        import fsspec

        try:
            with fsspec.open(path, "rb") as file:
                return file.read()
        except FileNotFoundError as error:
            raise Unscorable("image: a file that is missing, or not the dataset's own") from error
    if "://" in path:
        raise Unscorable("image: a URL, not an image; download the images into the dataset first")
    file = file_of(path)
    if file is None:
        raise Unscorable("image: a file that is missing, or not the dataset's own")
    content = file.read_bytes()
    if not content:
        raise Unscorable("image: zero bytes")
    return content


def _is_own_address(path: str) -> bool:
    """A file of an allowed repo, or of one archive in it. fsspec opens the first link of a chain: no other may lead."""
    inner = _ARCHIVE.sub("", path, count=1)
    prefix = next((prefix for prefix in _readable_prefixes if inner.startswith(prefix)), None)
    return prefix is not None and "::" not in inner and ".." not in inner.removeprefix(prefix).split("/")


def own_image(value: Any) -> bytes:
    """The bytes of a cell that names a file, only if they are an image: nothing else may be copied into a dataset."""
    content = image_bytes(value)
    try:
        Image.open(io.BytesIO(content), formats=_formats())
    except (UnidentifiedImageError, Image.DecompressionBombError, *_MALFORMED) as error:
        raise Unscorable("image: not an image") from error
    return content


def decode_image(value: Any) -> Image.Image:
    """The picture as a person would see it, in RGB: first frame, EXIF orientation applied, transparency on white."""
    if isinstance(value, Image.Image):
        _refuse_extremes(value)
        return _to_rgb(value)
    content = image_bytes(value)
    try:
        image = Image.open(io.BytesIO(content), formats=_formats())
        _refuse_extremes(image)
        return _to_rgb(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:
        raise Unscorable(f"image: more than {MAX_PIXELS // 1_000_000} megapixels") from error
    except UnidentifiedImageError as error:
        raise Unscorable("image: not an image") from error
    except _MALFORMED as error:
        raise Unscorable("image: truncated or corrupt") from error


def _refuse_extremes(image: Image.Image) -> None:
    """By what the header says, before anything is unpacked."""
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    if max(image.size) > LONGEST_STRIP * min(image.size):
        raise Unscorable(f"image: a strip, over {LONGEST_STRIP} times longer than wide")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # 16-bit and float greys: convert("RGB") would clip to white
        grey = np.asarray(image, dtype=np.float32)
        top = float(grey.max(initial=0.0))
        scale = 255.0 if top <= 1.0 else 1.0 if top <= 255.0 else 1.0 / 257.0
        if image.mode.startswith("I;16"):
            scale = 1.0 / 257.0
        elif image.mode == "I" and top <= 1.0:
            scale = 1.0
        return Image.fromarray(np.clip(grey * scale + 0.5, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def fitted(image: Image.Image, most_pixels: int) -> Image.Image:
    """The image in at most that many pixels: a camera's 50 megapixels would be 50,000 tokens."""
    scale = math.sqrt(most_pixels / (image.width * image.height))
    if scale >= 1:
        return image
    size = (max(1, int(image.width * scale)), max(1, int(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
