"""What the picture adds to an answer: much where it shows it, less than nothing where it shows something else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from datasets import Dataset, Image
from quizzes import TINY, commons, judged, quiz_of

from tamis.config import ConfigError
from tamis.scorers import build
from tamis.scorers.visual_gain import VisualGain
from tamis.scoring import attach_scores

pytestmark = pytest.mark.usefixtures("one_thread")


def asked(count: int, which: int, **truth: Any) -> Dataset:
    """Pictures of kinds with one question about each."""
    rows = commons(count, **truth)
    told = [quiz_of(topic)[which] for topic in rows["topic"]]
    rows = rows.select_columns(["image"]).flatten_indices()
    for name in ("question", "answer"):
        rows = rows.add_column(name, [getattr(one, name) for one in told])
    return rows.add_column("options", [list(one.options) for one in told])


@pytest.mark.parametrize("options_column", ["options", None])
def test_the_picture_tells_the_ground_where_it_shows_it(run, options_column) -> None:
    gains = {}
    for source in ("typical", "unrelated"):
        rows = asked(10, 3, source=source)
        settings = {"options_column": options_column, "wording": "short"}
        scored = attach_scores(rows, VisualGain(TINY, name=source, **settings), run=run, batch_size=8)
        gains[source] = np.mean(scored[f"{source}_gain"])
        seen = np.mean(scored[f"{source}_seen"])
        assert seen > 0.9 if source == "typical" else seen < 0.3
        single = attach_scores(rows, VisualGain(TINY, name=f"{source}1", **settings), run=run, batch_size=1)
        assert single[f"{source}1_gain"][:] == pytest.approx(scored[f"{source}_gain"][:], abs=1e-4)
    assert gains["typical"] > 0.5 and gains["unrelated"] < 0.05


def test_values_by_hand(run, encoded, scenes) -> None:
    """0.8 with the picture, 0.3 without, as a choice in two orders and as an open question."""
    server_sees: list[bool] = []

    def answer(name: str, question: dict[str, Any]) -> dict[str, float] | float:
        share = 0.8 if server_sees[-1] else 0.3
        if question["type"] == "noul":
            return share
        return {option: share if option == "red" else (1 - share) / 2 for option in question["criteria"]}

    rows = Dataset.from_dict(
        {
            "image": [{"bytes": encoded(scenes[0]), "path": None}],
            "question": ["which colour?"],
            "answer": ["red"],
            "options": [["blue", "red", "pink"]],
        }
    ).cast_column("image", Image(decode=False))
    with judged(answer, concurrency=1) as (judge, server):
        reply = server.reply
        server.reply = lambda number, body: server_sees.append(bool(body.get("assets"))) or reply(number, body)
        [choice] = attach_scores(rows, VisualGain(judge, options_column="options", orders=2), run=run)
        assert server_sees == [True, True, False, False]
        [opened] = attach_scores(rows, VisualGain(judge, name="open"), run=run)
        instructions = server.bodies[-1]["questions"]["asked"]["instructions"]
    assert [choice["visual_gain_gain"], choice["visual_gain_seen"]] == pytest.approx([0.5, 0.8])
    assert [opened["open_gain"], opened["open_seen"]] == pytest.approx([0.5, 0.8])
    assert "which colour?" in instructions and "Proposed answer: red" in instructions


def test_every_null_has_its_reason(run, odd_images) -> None:
    contents, reasons = zip(*odd_images.values(), strict=True)
    count = len(contents) + 3
    rows = Dataset.from_dict(
        {
            "image": [{"bytes": one, "path": None} for one in (*contents, *[odd_images["plain"][0]] * 3)],
            "question": [*["which?"] * len(contents), None, "which?", "which?"],
            "answer": [*["a"] * len(contents), "a", "", "c"],
            "options": [["a", "b"]] * count,
        }
    ).cast_column("image", Image(decode=False))
    for options, last in (("options", "options: the answer is not among them"), (None, None)):
        name = options or "open"
        scored = attach_scores(rows, VisualGain(TINY, name=name, options_column=options, wording="short"), run=run)
        assert scored[f"{name}_error"][:] == [*reasons, "text: null", "text: empty", last]
        assert [value is None for value in scored[f"{name}_gain"]] == [
            reason is not None for reason in scored[f"{name}_error"]
        ]


def test_a_refusal_on_either_side_is_a_null(run, encoded, scenes) -> None:
    rows = Dataset.from_dict(
        {"image": [{"bytes": encoded(scenes[0]), "path": None}] * 2, "question": ["a?", "b?"], "answer": ["x", "y"]}
    ).cast_column("image", Image(decode=False))
    left = {1: "seen", 2: "blind"}  # the second row's first call, the first row's second
    with judged(lambda name, question: 0.5, concurrency=1) as (judge, server):
        reply = server.reply
        nothing = (200, {}, {"model": "m", "answers": {}, "usage": {}})
        server.reply = lambda number, body: nothing if number in left else reply(number, body)
        scored = attach_scores(rows, VisualGain(judge), run=run)
    assert scored["visual_gain_error"][:] == ["left out by the server"] * 2
    assert scored["visual_gain_gain"][:] == scored["visual_gain_seen"][:] == [None, None]


def test_no_orders_are_refused() -> None:
    with pytest.raises(ConfigError, match="orders: 0 is not accepted"):
        build([{"scorer": "visual_gain", "judge": TINY, "options_column": "options", "orders": 0}])
