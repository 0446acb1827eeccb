"""Which of two pictures shows a prompt: told from both sides, and the same whichever stands first."""

from __future__ import annotations

from typing import Any

import pytest
from datasets import Dataset, Image
from quizzes import TINY, commons, judged

from tamis.scorers.pairwise import Pairwise
from tamis.scoring import attach_scores

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def rows() -> Dataset:
    """A typical picture of a kind first, one with all of it wrong second, and the kind's description."""
    wrong = {row["topic"]: row["image"] for row in commons(60, source="unrelated")}
    right = [row for row in commons(60, typical=True, prototype=0) if row["topic"] in wrong][:16]
    return pairs(
        [row["image"] for row in right],
        [wrong[row["topic"]] for row in right],
        [row["description"] for row in right],
    )


def pairs(first: list[Any], second: list[Any], prompts: list[str | None]) -> Dataset:
    rows = Dataset.from_dict({"first": first, "second": second, "prompt": prompts})
    return rows.cast_column("first", Image(decode=False)).cast_column("second", Image(decode=False))


def test_the_picture_that_shows_it_wins_on_either_side(run, rows) -> None:
    here = attach_scores(rows, Pairwise(TINY, wording="short"), run=run, batch_size=8)
    wins = here["pairwise_win"][:]
    assert sum(win > 0.5 for win in wins) >= 15 and sum(wins) / len(wins) > 0.85
    turned = Pairwise(TINY, name="turned", wording="short", first_column="second", second_column="first")
    there = attach_scores(here, turned, run=run, batch_size=1)
    assert [1 - win for win in there["turned_win"]] == pytest.approx(wins, abs=1e-4)


def test_who_prefers_what_is_shown_first_says_nothing(run, rows) -> None:
    """And it is asked in both orders, the pictures changing places and the options not."""

    def first(name: str, question: dict[str, Any]) -> dict[str, float]:
        return {"first": 0.9, "second": 0.1}

    with judged(first, concurrency=1) as (judge, server):
        [row] = attach_scores(rows.select(range(1)), Pairwise(judge), run=run)
    assert row["pairwise_win"] == pytest.approx(0.5)
    there, back = (body["state"] for body in server.bodies)
    named = [
        {name: body["assets"][image]["data_base64"] for name, image in body["state"].items()} for body in server.bodies
    ]
    assert list(there) == list(back) == ["A", "B"]
    assert named[0]["A"] == named[1]["B"] != named[0]["B"] == named[1]["A"]
    assert [list(body["questions"]["better"]["criteria"]) for body in server.bodies] == [["first", "second"]] * 2
    assert row["prompt"] in server.bodies[0]["questions"]["better"]["instructions"]


def test_values_by_hand(run, rows) -> None:
    shares = iter([0.9, 0.4])
    with judged(lambda name, question: (lambda p: {"first": p, "second": 1 - p})(next(shares)), concurrency=1) as (
        judge,
        _,
    ):
        [row] = attach_scores(rows.select(range(1)), Pairwise(judge), run=run)
    assert row["pairwise_win"] == pytest.approx((0.9 + 0.6) / 2)


def test_one_picture_twice_is_a_tie(run, rows) -> None:
    same = pairs(rows["first"][:4], rows["first"][:4], rows["prompt"][:4])
    assert attach_scores(same, Pairwise(TINY, wording="short"), run=run)["pairwise_win"][:] == pytest.approx([0.5] * 4)


def test_every_null_has_its_reason(run, odd_images, odd_texts) -> None:
    contents, reasons = zip(*odd_images.values(), strict=True)
    texts, why = zip(*odd_texts.values(), strict=True)
    fine, cells = {"bytes": odd_images["plain"][0], "path": None}, [{"bytes": one, "path": None} for one in contents]
    broken = [(cell, reason) for cell, reason in zip(cells, reasons, strict=True) if reason]
    first = [*cells, *[fine] * (len(broken) + len(texts))]
    second = [*[fine] * len(cells), *(cell for cell, _ in broken), *[fine] * len(texts)]
    odd = pairs(first, second, [*["a star"] * (len(first) - len(texts)), *texts])
    scored = attach_scores(odd, Pairwise(TINY, wording="short"), run=run, batch_size=8)
    assert scored["pairwise_error"][:] == [*reasons, *(reason for _, reason in broken), *why]
    assert [win is None for win in scored["pairwise_win"]] == [
        reason is not None for reason in scored["pairwise_error"]
    ]


def test_a_refusal_in_one_order_is_a_null(run, rows) -> None:
    replies = iter([{"first": 0.9, "second": 0.1}, None])
    with judged(lambda name, question: next(replies), concurrency=1) as (judge, _):
        [row] = attach_scores(rows.select(range(1)), Pairwise(judge), run=run)
    assert (row["pairwise_win"], row["pairwise_error"]) == (None, "left out by the server")
