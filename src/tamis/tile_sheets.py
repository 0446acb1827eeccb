"""Sheets of tiles for the eye: pictures line by line, each with texts below it, in colours. PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tamis.report import TILE, thumbnail

if TYPE_CHECKING:
    from PIL import ImageDraw

INK, GREY, GREEN, RED = "black", "#6b7280", "#1b7f5c", "#b4452f"
WIDTH, GAP, SIZE, LINE = 216, 14, 14, 18  # pixels: of a tile with its captions, between tiles, of letters, of a line
LINES = 3  # at most, of one caption: what is longer ends in an ellipsis
MOST = 200  # signs of a caption that are looked at, for so many lines of that width; more do not fit


@dataclass(frozen=True)
class Tile:
    image: Any  # as a row holds it; a grey field where it cannot be read
    captions: tuple[tuple[str, str], ...]  # text and colour


def sheet(tiles: Sequence[Tile], *, across: int = 6, width: int = WIDTH, lines: int = LINES) -> bytes:
    """The tiles line by line, each line as high as its longest captions. The same tiles are the same bytes.

    width, lines: of a tile and of one caption, in pixels and at most.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=SIZE)
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    told = [
        [(line, colour) for text, colour in tile.captions for line in wrapped(text, font, ruler, width, lines)]
        for tile in tiles
    ]
    rows = [range(start, min(start + across, len(tiles))) for start in range(0, len(tiles), across)]
    heights = [TILE + 6 + LINE * max(len(told[at]) for at in row) + GAP for row in rows]
    size = (GAP + min(across, max(1, len(tiles))) * (width + GAP), GAP + sum(heights))
    drawn = Image.new("RGB", size, "white")
    brush = ImageDraw.Draw(drawn)
    for line, row in enumerate(rows):
        top = GAP + sum(heights[:line])
        for place, at in enumerate(row):
            left = GAP + place * (width + GAP)
            drawn.paste(thumbnail(tiles[at].image), (left, top))
            for number, (text, colour) in enumerate(told[at]):
                brush.text((left, top + TILE + 6 + number * LINE), text, fill=colour, font=font)
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def wrapped(text: str, font: Any, ruler: ImageDraw.ImageDraw, width: int = WIDTH, most: int = LINES) -> list[str]:
    """Wrapped between words, a word that is too wide anywhere; signs that draw nothing or turn the line around go."""
    looked_at = MOST * most * width // (LINES * WIDTH)
    words = "".join(sign if sign.isprintable() else " " for sign in text[:looked_at]).split()
    lines, line = [], ""
    while words and len(lines) <= most:
        word = words.pop(0)
        longer = f"{line} {word}".strip()
        if ruler.textlength(longer, font=font) <= width:
            line = longer
        elif line:
            lines, line, words = [*lines, line], "", [word, *words]
        else:
            fits = next(end for end in range(len(word), 0, -1) if ruler.textlength(word[:end], font=font) <= width)
            lines, words = [*lines, word[:fits]], [word[fits:], *words]
    lines = [*lines, line] if line or not lines else lines
    if len(lines) <= most:
        return lines
    last = lines[most - 1]
    while ruler.textlength(f"{last}…", font=font) > width:
        last = last[:-1]
    return [*lines[: most - 1], f"{last}…"]
