"""Sheets of questions for the eye: each picture with what is asked of it, the answer, and what a model answered."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tamis.product_vqa.answers import same_form
from tamis.report import TILE, thumbnail

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import ImageDraw

INK, GREY, HIT, MISS = "black", "#6b7280", "#1b7f5c", "#b4452f"
WIDTH, GAP, SIZE, LINE = 216, 14, 14, 18  # pixels: of a tile with its captions, between tiles, of letters, of a line
MOST = 200  # signs of a caption that are looked at; more do not fit
LINES = 3  # at most, of one caption: what is longer ends in an ellipsis


@dataclass(frozen=True)
class Tile:
    image: Any  # as a row holds it; a grey field where it cannot be read
    captions: tuple[tuple[str, str], ...]  # text and colour


def samples(questions: Dataset, *, count: int = 24, seed: int = 0, across: int = 6) -> bytes:
    """Questions drawn by chance, with answer and difficulty. PNG."""
    drawn = sorted(random.Random(f"samples {seed}").sample(range(len(questions)), min(count, len(questions))))
    return sheet([Tile(row["image"], _asked(row)) for row in map(questions.__getitem__, drawn)], across=across)


def outcomes(
    questions: Dataset, predictions: Sequence[str | None], *, each: int = 12, seed: int = 0, across: int = 6
) -> bytes:
    """So many hits and so many misses, drawn by chance: below the right answer the model's, green or red. PNG.

    predictions: one a row; None: the model gave none, which is a miss.
    """
    if len(predictions) != len(questions):
        raise ValueError(f"{len(predictions)} predictions for {len(questions)} questions")
    right = [
        told is not None and same_form(told) == same_form(answer)
        for told, answer in zip(predictions, questions["answer"], strict=True)
    ]
    tiles = []
    for wanted, colour in ((True, HIT), (False, MISS)):
        among = [at for at, hit in enumerate(right) if hit == wanted]
        for at in sorted(random.Random(f"outcomes {seed} {wanted}").sample(among, min(each, len(among)))):
            row = questions[at]
            told = "–" if predictions[at] is None else predictions[at]
            tiles.append(Tile(row["image"], (*_asked(row), (f"model: {told}", colour))))
    return sheet(tiles, across=across)


def sheet(tiles: Sequence[Tile], *, across: int = 6) -> bytes:
    """The tiles line by line, each line as high as its longest captions. PNG, the same tiles the same bytes."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=SIZE)
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    wrapped = [
        [(line, colour) for text, colour in tile.captions for line in _lines(text, font, ruler)] for tile in tiles
    ]
    rows = [range(start, min(start + across, len(tiles))) for start in range(0, len(tiles), across)]
    heights = [TILE + 6 + LINE * max(len(wrapped[at]) for at in row) + GAP for row in rows]
    size = (GAP + min(across, max(1, len(tiles))) * (WIDTH + GAP), GAP + sum(heights))
    drawn = Image.new("RGB", size, "white")
    brush = ImageDraw.Draw(drawn)
    for line, row in enumerate(rows):
        top = GAP + sum(heights[:line])
        for place, at in enumerate(row):
            left = GAP + place * (WIDTH + GAP)
            drawn.paste(thumbnail(tiles[at].image), (left, top))
            for number, (text, colour) in enumerate(wrapped[at]):
                brush.text((left, top + TILE + 6 + number * LINE), text, fill=colour, font=font)
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _asked(row: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    told = f"{row['answer']} (difficulty {row['difficulty']})"
    return (row["question"], INK), (told, GREY)


def _lines(text: str, font: Any, ruler: ImageDraw.ImageDraw) -> list[str]:
    """Wrapped between words, a word that is too wide anywhere; signs that draw nothing or turn the line around go."""
    words = "".join(sign if sign.isprintable() else " " for sign in text[:MOST]).split()
    lines, line = [], ""
    while words and len(lines) <= LINES:
        word = words.pop(0)
        longer = f"{line} {word}".strip()
        if ruler.textlength(longer, font=font) <= WIDTH:
            line = longer
        elif line:
            lines, line, words = [*lines, line], "", [word, *words]
        else:
            fits = next(end for end in range(len(word), 0, -1) if ruler.textlength(word[:end], font=font) <= WIDTH)
            lines, words = [*lines, word[:fits]], [word[fits:], *words]
    lines = [*lines, line] if line or not lines else lines
    if len(lines) <= LINES:
        return lines
    last = lines[LINES - 1]
    while ruler.textlength(f"{last}…", font=font) > WIDTH:
        last = last[:-1]
    return [*lines[: LINES - 1], f"{last}…"]
