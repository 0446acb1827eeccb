"""Pictures of arms: readable with one arm or many, whatever a topic is called, and the same bytes each time."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from datasets import Dataset, Features, Value
from datasets import Image as ImageColumn
from PIL import Image

from tamis import lora_pictures
from tamis.report import TILE

GREEN, GREY = (20, 200, 40), (238, 238, 238)


def picture() -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), GREEN).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def drawn(topics: list[str], arms: list[str], turns: int, missing: int | None = None) -> Dataset:
    rows = [
        {"topic": topic, "arm": arm, "style": "photo", "seed": 0, "turn": turn, "image": picture()}
        for topic in topics
        for arm in arms
        for turn in range(turns)
    ]
    if missing is not None:
        rows[missing]["image"] = None
    kinds = dict.fromkeys(("topic", "arm", "style"), Value("string")) | dict.fromkeys(("seed", "turn"), Value("int64"))
    return Dataset.from_list(rows, features=Features(kinds | {"image": ImageColumn(decode=False)}))


def tiles(sheet: bytes, colour: tuple[int, int, int]) -> float:
    """How many whole tiles have that colour."""
    pixels = np.asarray(Image.open(io.BytesIO(sheet)).convert("RGB"))
    return float((pixels == colour).all(axis=-1).sum() / TILE**2)


def test_a_grid_has_no_room_for_pictures_that_nobody_drew() -> None:
    arms = ["none", "top-2"]
    one, two, many = (
        lora_pictures.grid(drawn(["dax"], arms, turns), arms, {"dax": "dax"}, style="photo", seed=0)
        for turns in (1, 2, 5)
    )
    assert [tiles(sheet, GREEN) for sheet in (one, two, many)] == [2, 4, 4]
    width = [Image.open(io.BytesIO(sheet)).width for sheet in (one, two, many)]
    assert width[0] < width[1] == width[2]


def test_what_could_not_be_drawn_is_grey_in_its_place() -> None:
    made = drawn(["dax", "wug"], ["none", "top-2"], 1, missing=2)
    sheet = lora_pictures.grid(made, ["none", "top-2"], {"dax": "dax", "wug": "wug"}, style="photo", seed=0)
    assert tiles(sheet, GREEN) == 3 and round(tiles(sheet, GREY), 2) == 1  # and a letter's edge


def test_names_of_topics_stay_beside_the_pictures() -> None:
    hostile = ["W" * 300, "two\nlines\x00", "Ørsted 鳥 \U0001f426", "  ", "a\u202eb"]
    sheet = lora_pictures.grid(
        drawn(hostile, ["none"], 1), ["none"], dict(zip(hostile, hostile, strict=True)), style="photo", seed=0
    )
    assert tiles(sheet, GREEN) == len(hostile)


def estimate(value: float | None, reach: float | None = None) -> dict[str, Any]:
    low, high = (None, None) if reach is None else (value - reach, value + reach)
    return {"value": value, "low": low, "high": high, "n": 3, "nulls": 0}


def test_plots_with_nothing_to_show_and_with_much() -> None:
    lone = {"none": {"quiz_accuracy": estimate(None)}}
    many = {f"top-{k}": {f"m{at}": estimate(k / 20, 0.01) for at in range(9)} for k in range(1, 16)}
    del many["top-3"]["m4"]  # as retention, which `none` has not
    for arms, metrics in ((lone, ["quiz_accuracy"]), (many, [f"m{at}" for at in range(9)])):
        first, second = (lora_pictures.arms_plot(arms, metrics) for _ in range(2))
        assert first == second and Image.open(io.BytesIO(first)).width > 300
    inputs = {"top-2": {"dax": 0.5, "wug": 0.6}, "full": {"dax": 0.5}, "top-1": {}}
    outputs = {"top-2": {"dax": 0.2}, "full": {"dax": 0.1}}
    found = {arm: estimate(None) for arm in inputs} | {"top-2": estimate(0.4, 0.1)}
    plot = lora_pictures.input_output_plot(inputs, outputs, found, list(inputs))
    assert plot == lora_pictures.input_output_plot(inputs, outputs, found, list(inputs))


def test_a_plot_of_win_rates_has_every_rival_and_part_that_there_is() -> None:
    def one(rival: str, metric: str, difference: float | None, low: float | None = None) -> dict[str, Any]:
        high = None if low is None else 0.3
        return {"a": "top-1", "b": rival, "metric": metric, "difference": difference, "low": low, "high": high}

    told = [one("none", "x_win_rate", 0.1, -0.1), one("none", "x_win_rate@complexity=plain", 0.5)]
    told += [one("random-1", "x_win_rate", None), one("none", "y_win_rate", 0.1), one("none", "x", 3.0)]
    how: dict[str, Any] = {"parts": ["complexity=plain"], "claims": {"the paper: 70 %": 0.7}}
    two = lora_pictures.win_rate_plot(told, "top-1", ["x_win_rate", "y_win_rate"], **how)
    assert two == lora_pictures.win_rate_plot(told, "top-1", ["x_win_rate", "y_win_rate"], **how)
    alone = lora_pictures.win_rate_plot(told, "top-1", ["x_win_rate"], parts=[], claims={})
    width = [Image.open(io.BytesIO(plot)).width for plot in (two, alone)]
    assert width[0] == 2 * width[1]


def test_a_grids_lines_are_called_as_they_are_told() -> None:
    made = drawn(["p-1", "p-2"], ["none"], 1).rename_column("topic", "prompt_id")
    how: dict[str, Any] = {"unit": "prompt_id", "style": None, "seed": 0}
    short, long = (
        lora_pictures.grid(made, ["none"], {"p-1": name, "p-2": "b"}, **how) for name in ("a", "a long prompt " * 40)
    )
    assert tiles(short, GREEN) == tiles(long, GREEN) == 2
    width = [Image.open(io.BytesIO(sheet)).width for sheet in (short, long)]
    assert width[0] < width[1] < 600
