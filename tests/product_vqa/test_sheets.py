"""Sheets: what is drawn is seen, what is long is wrapped, what is hostile is only text."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from hostile import HOSTILE
from PIL import Image, ImageColor, ImageDraw, ImageFont

from tamis.product_vqa.questions import question_features
from tamis.product_vqa.sheets import outcomes, samples
from tamis.tile_sheets import GREEN, LINES, RED, SIZE, WIDTH, Tile, sheet, wrapped


def questions(picture, count: int, **changes: Any) -> Dataset:
    row = dict.fromkeys(question_features()) | {"question": "what?", "answer": "red", "difficulty": 0, "image_id": "i"}
    row |= {"image": {"bytes": picture("red"), "path": None}} | changes
    return Dataset.from_list([row | {"row_id": str(at)} for at in range(count)], features=question_features())


def pixels(png: bytes) -> np.ndarray:
    assert png.startswith(b"\x89PNG")
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def coloured(png: bytes, colour: str) -> int:
    return int((pixels(png) == ImageColor.getrgb(colour)).all(axis=-1).sum())


def test_samples_are_drawn_by_seed_and_no_more_than_there_are(picture) -> None:
    many = questions(picture, 30)
    assert samples(many, count=8, seed=1) == samples(many, count=8, seed=1)
    differing = Dataset.from_list([row | {"answer": row["row_id"]} for row in many], features=question_features())
    assert samples(differing, count=8, seed=1) != samples(differing, count=8, seed=2)
    eight, all_of_three = pixels(samples(many, count=8, across=4)), pixels(samples(questions(picture, 3), count=8))
    assert eight.shape[1] > all_of_three.shape[1] and eight.shape[0] == 2 * all_of_three.shape[0] - 14
    # Three pictures of 128 x 128 red pixels, and nothing else so red.
    assert coloured(samples(questions(picture, 3)), "#ff0000") == 3 * 128 * 128


def test_hits_are_green_and_misses_red(picture) -> None:
    rows = questions(picture, 4)
    hits, misses = outcomes(rows, ["Red", " red.", "RED", "red"]), outcomes(rows, ["blue", None, "", "dark red"])
    assert coloured(hits, GREEN) > 50 and coloured(hits, RED) == 0
    assert coloured(misses, RED) > 50 and coloured(misses, GREEN) == 0
    both = outcomes(rows, ["red", "red", "x", "x"], each=1)
    assert coloured(both, GREEN) > 10 and coloured(both, RED) > 3
    assert coloured(both, "#ff0000") == 2 * 128 * 128
    with pytest.raises(ValueError, match="3 predictions for 4 questions"):
        outcomes(rows, ["red"] * 3)


def test_captions_fit_their_tile_whatever_they_hold() -> None:
    font, ruler = ImageFont.load_default(size=SIZE), ImageDraw.Draw(Image.new("RGB", (1, 1)))
    for text in (*HOSTILE, "long " * 400, "w" * 5000, "", "\u202eturned\u0000\n\n", "a" * 40 + " b"):
        lines = wrapped(text, font, ruler)
        assert 1 <= len(lines) <= LINES
        assert all(ruler.textlength(line, font=font) <= WIDTH and line.isprintable() for line in lines)
    assert wrapped("long " * 400, font, ruler)[-1].endswith("…") and wrapped("two\nwords", font, ruler) == ["two words"]
    assert "".join(wrapped("a" * 40 + " b", font, ruler)) == "a" * 40 + " b"  # nothing is lost where it fits


def test_unreadable_pictures_and_nothing_at_all_are_sheets_too(picture) -> None:
    unreadable = samples(questions(picture, 2, image={"bytes": b"x", "path": None}))
    assert 0 <= coloured(unreadable, "#eeeeee") - 2 * 128 * 128 < 20  # a letter's edge may be of that grey
    assert pixels(sheet([])).min() == 255
    assert pixels(sheet([Tile({"bytes": picture("red"), "path": None}, ())])).shape == (128 + 6 + 28, 14 + 230, 3)
