"""Rarity by counting: what its formula says, whatever the rows' order."""

from __future__ import annotations

import random
import time

import pytest

from tamis.prompts.scale import SUBTASKS
from tamis.scale_select.rarity import rarity


def test_the_formulas_fixed_points() -> None:
    assert rarity(["ocr"] * 7) == [1.0] * 7
    assert rarity(list(SUBTASKS)) == pytest.approx([3.0] * 15)
    found = rarity(["ocr"] * 224 + ["image_style"])
    assert found[0] == pytest.approx(1.0033, abs=1e-4) and found[-1] == pytest.approx(5.0)
    assert rarity(["ocr"] * 9999 + ["image_style"])[-1] == 5.0  # no further


def test_the_rarer_the_higher_and_nulls_count_for_nothing() -> None:
    pool = ["image_topic"] * 60 + ["ocr"] * 30 + ["image_style"] * 10
    common, other, rare = (rarity(pool)[at] for at in (0, 60, 90))
    assert 1 < common < other < rare < 5
    random.Random(0).shuffle(pool)
    of = dict(zip(pool, rarity(pool), strict=True))
    assert of == {"image_topic": common, "ocr": other, "image_style": rare}
    with_nulls = rarity([None, *pool, None, None])
    assert with_nulls[1:-2] == rarity(pool) and with_nulls[0] is with_nulls[-1] is None
    assert rarity([None, None]) == [None, None] and rarity([]) == []


def test_half_a_million_rows_take_no_time() -> None:
    pool = random.Random(0).choices(list(SUBTASKS), k=500_000)
    started = time.process_time()
    assert len(rarity(pool)) == 500_000
    assert time.process_time() - started < 2
