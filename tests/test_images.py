"""Every image a dataset may hold: a picture as a person sees it, or the reason why not."""

from __future__ import annotations

import contextlib
import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tamis import images
from tamis.images import Unscorable, decode_image


def encoded(image: Image.Image, kind: str = "PNG", **settings: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


@pytest.fixture
def picture() -> Image.Image:
    image = Image.new("RGB", (40, 24), (200, 60, 30))
    ImageDraw.Draw(image).rectangle((0, 0, 10, 10), fill=(20, 200, 60))
    return image


def test_plain_pictures(picture: Image.Image) -> None:
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"):
        got = decode_image({"bytes": encoded(picture, kind), "path": None})
        assert (got.mode, got.size) == ("RGB", (40, 24))
        assert np.abs(np.asarray(got, int) - np.asarray(picture, int)).mean() < 12, kind


def test_cmyk(picture: Image.Image) -> None:
    got = decode_image(encoded(picture.convert("CMYK"), "JPEG", quality=95))
    assert np.abs(np.asarray(got, int) - np.asarray(picture, int)).mean() < 8


def test_palette_with_transparency_is_laid_on_white(picture: Image.Image) -> None:
    paletted = picture.quantize(8)
    index = paletted.getpixel((0, 0))
    got = decode_image(encoded(paletted, "PNG", transparency=index))
    assert got.getpixel((0, 0)) == (255, 255, 255)
    assert got.getpixel((30, 20))[0] > 180


def test_alpha_is_laid_on_white() -> None:
    assert decode_image(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 0)))).getpixel((1, 1)) == (255, 255, 255)
    assert decode_image(encoded(Image.new("LA", (4, 4), (0, 128)))).getpixel((1, 1))[0] == pytest.approx(127, abs=2)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    grey = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    got = np.asarray(decode_image(encoded(Image.fromarray(grey))))[..., 0]
    assert got.min() == 0 and got.max() == 255
    assert np.abs(got.astype(int).ravel() - np.linspace(0, 255, 64)).max() <= 1
    dark = np.full((8, 8), 200, dtype=np.uint16)  # a dark 16-bit picture stays dark
    assert np.asarray(decode_image(encoded(Image.fromarray(dark)))).max() <= 1


def test_floats() -> None:
    ramp = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    got = np.asarray(decode_image(encoded(Image.fromarray(ramp), "TIFF")))
    assert got.max() == 255 and got.min() == 0


def test_animation_gives_its_first_frame(picture: Image.Image) -> None:
    other = Image.new("RGB", picture.size, "blue")
    got = decode_image(encoded(picture, "GIF", save_all=True, append_images=[other]))
    assert got.getpixel((30, 20))[0] > 150


def test_exif_orientation_is_applied(picture: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    got = decode_image(encoded(picture, "JPEG", exif=exif, quality=95))
    assert got.size == (24, 40)
    assert got.getpixel((20, 3))[1] > 150  # the green corner, now top right


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "image: null"),
        ({"bytes": None, "path": None}, "image: null"),
        ({"bytes": b"", "path": "x.png"}, "image: zero bytes"),
        (b"just some text", "image: not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image: not an image"),
        ("https://example.org/cat.jpg", "image: a URL, not an image"),
        ({"bytes": None, "path": "https://example.org/cat.jpg"}, "image: a URL, not an image"),
        ("/etc/hostname", "image: a text, not an image"),
        ({"bytes": None, "path": "/etc/hostname"}, "image: a file that is missing, or not the dataset's own"),
        ({"bytes": None, "path": "a\0b"}, "image: a file that is missing"),
        ({"bytes": None, "path": "x" * 300}, "image: a file that is missing"),
        ({"bytes": None, "path": "x/" * 3000}, "image: a file that is missing"),
        (17, "image: a int, not an image"),
    ],
)
def test_reasons(value: object, reason: str) -> None:
    with pytest.raises(Unscorable, match=reason):
        decode_image(value)


def test_truncated_and_corrupt(picture: Image.Image) -> None:
    noisy = Image.effect_noise((200, 200), 80).convert("RGB")
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"):
        whole = encoded(noisy, kind)
        with pytest.raises(Unscorable, match="truncated or corrupt|not an image"):
            decode_image(whole[: len(whole) // 2])
    broken = bytearray(encoded(noisy, "PNG"))
    broken[60:90] = bytes(30)
    with pytest.raises(Unscorable, match="truncated or corrupt"):
        decode_image(bytes(broken))


def test_garbage_never_raises_anything_else() -> None:
    draw = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"):
        whole = encoded(Image.effect_noise((32, 32), 80).convert("RGB"), kind)
        for _ in range(150):
            spoilt = bytearray(whole)
            for position in draw.integers(0, len(spoilt), 8):
                spoilt[position] = int(draw.integers(0, 256))
            with contextlib.suppress(Unscorable):
                decode_image(bytes(spoilt))


def test_twenty_thousand_pixels_wide_passes_a_bomb_does_not() -> None:
    assert decode_image(encoded(Image.new("L", (20_000, 500)))).size == (20_000, 500)
    with pytest.raises(Unscorable, match="a strip"):
        decode_image(encoded(Image.new("1", (20_000, 300))))
    with pytest.raises(Unscorable, match="more than 100 megapixels"):
        decode_image(encoded(Image.new("1", (20_000, 20_000))))
    assert _bomb_is_small() < 100_000
    with pytest.raises(Unscorable, match="more than 100 megapixels"):
        decode_image(_png_header(60_000, 60_000))


def _bomb_is_small() -> int:
    return len(_png_header(60_000, 60_000))


def _png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be huge: what a decompression bomb looks like before anyone unpacks it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.fixture
def nothing_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_readable_folders", set())
    monkeypatch.setattr(images, "_readable_prefixes", set())


def test_files_of_an_allowed_folder_only(tmp_path: Path, picture: Image.Image, nothing_allowed: None) -> None:
    inside, outside = tmp_path / "set", tmp_path / "private"
    for folder in (inside, outside):
        folder.mkdir()
        picture.save(folder / "a.png")
    images.allow_folder(inside)
    assert decode_image({"bytes": None, "path": str(inside / "a.png")}).size == (40, 24)
    (inside / "link.png").symlink_to(outside / "a.png")
    (inside / "loop.png").symlink_to(inside / "loop.png")
    inside_by_name = inside / ".." / "private" / "a.png"
    for path in (outside / "a.png", inside_by_name, inside / "link.png", inside / "loop.png", inside / "gone.png"):
        with pytest.raises(Unscorable, match="missing, or not the dataset's own"):
            decode_image({"bytes": None, "path": str(path)})


@pytest.mark.parametrize(
    "path",
    [
        "hf://datasets/me/private@0123/s.txt",
        "hf://datasets/me/public@0123/../private/s.txt::hf://datasets/me/public@0123/a",
        "{file}::hf://datasets/me/public@0123/",
        "file://{file}::hf://datasets/me/public@0123/",
        "local://{file}::hf://datasets/me/public@0123/",
        "simplecache::file://{file}::hf://datasets/me/public@0123/",
        "zip://a.png::file://{file}::hf://datasets/me/public@0123/",
        "zip://a.png::zip://b.zip::hf://datasets/me/private@0123/c.zip",
        "http://127.0.0.1:1/x::hf://datasets/me/public@0123/",
        "file://{file}",
    ],
)
def test_a_row_cannot_reach_past_its_own_repo(tmp_path: Path, nothing_allowed: None, path: str) -> None:
    (tmp_path / "secret.txt").write_text("private key")
    images.allow_prefix("hf://datasets/me/public@0123/")
    with pytest.raises(Unscorable):
        images.image_bytes({"bytes": None, "path": path.format(file=tmp_path / "secret.txt")})


def test_only_images_are_copied_from_files(tmp_path: Path, picture: Image.Image, nothing_allowed: None) -> None:
    images.allow_folder(tmp_path)
    picture.save(tmp_path / "a.png")
    (tmp_path / "key.txt").write_text("private key")
    assert images.own_image({"bytes": None, "path": str(tmp_path / "a.png")}).startswith(b"\x89PNG")
    with pytest.raises(Unscorable, match="not an image"):
        images.own_image({"bytes": None, "path": str(tmp_path / "key.txt")})


def test_no_format_that_starts_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ghost = tmp_path / "gs"
    ghost.write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
    ghost.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(Unscorable, match="not an image"):
        decode_image(postscript)
    assert not (tmp_path / "called").exists()
