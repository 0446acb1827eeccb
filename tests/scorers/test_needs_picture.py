"""A question is asked without its picture in many orders: who knows it all the same finds it, who guesses does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from quizzes import TINY, judged, quiz_of, second_of, shown

from tamis.config import ConfigError
from tamis.scorers import build
from tamis.scorers.needs_picture import NeedsPicture
from tamis.scoring import attach_scores
from tamis.tiny.kinds import kinds

pytestmark = pytest.mark.usefixtures("one_thread")
OPTIONS = ["red", "blue", "pink", "green"]


def asked(*answers: str) -> Dataset:
    """The same question and options, with another answer each."""
    return Dataset.from_dict(
        {
            "question": [f"what colour is number {place}?" for place in range(len(answers))],
            "options": [OPTIONS] * len(answers),
            "answer": list(answers),
        }
    )


def test_who_guesses_misses_three_times_in_four(run) -> None:
    rows = Dataset.from_list([one.row() for kind in kinds()[:6] for one in quiz_of(kind.word)])
    scored = attach_scores(rows, NeedsPicture(TINY, wording="short"), run=run, batch_size=8)
    assert 0.6 < np.mean(scored["needs_picture_missed"]) < 0.9
    assert np.mean(scored["needs_picture_surprise"]) == pytest.approx(0.75, abs=0.08)
    some = rows.select(range(9))
    again = attach_scores(some, NeedsPicture(TINY, name="one", wording="short"), run=run, batch_size=1)
    assert again["one_surprise"][:] == pytest.approx(scored["needs_picture_surprise"][:9], abs=1e-4)


def test_who_knows_the_answer_never_misses_it(run) -> None:
    def knows(name: str, question: dict[str, Any]) -> dict[str, float]:
        return {option: 0.7 if option == "blue" else 0.1 for option in question["criteria"]}

    with judged(knows) as (judge, server):
        scored = attach_scores(asked("blue", "pink"), NeedsPicture(judge, orders=3), run=run)
    assert scored["needs_picture_missed"][:] == [0.0, 1.0]
    assert scored["needs_picture_surprise"][:] == pytest.approx([0.3, 0.9])
    assert {body["state"] for body in server.bodies} == {""} and not any("assets" in body for body in server.bodies)
    assert all("There is no picture" in body["questions"]["blind"]["instructions"] for body in server.bodies)


def test_a_letter_is_no_answer_in_all_orders(run) -> None:
    """Always B: found as often as the orders put the answer there, as counted in what was sent."""
    with judged(second_of, concurrency=1) as (judge, server):
        [row] = attach_scores(asked("red"), NeedsPicture(judge), run=run)
    orders = shown(server, "blind")
    found = sum(order[1] == "red" for order in orders)
    assert len(orders) == 8 and len(set(map(tuple, orders))) >= 6
    assert row["needs_picture_missed"] == 1 - found / 8
    assert row["needs_picture_surprise"] == pytest.approx(1 - (found * 0.9 + (8 - found) * 0.1 / 3) / 8)


def test_who_finds_all_alike_knows_nothing(run) -> None:
    with judged(lambda name, question: dict.fromkeys(question["criteria"], 0.25)) as (judge, _):
        scored = attach_scores(asked("red", "green"), NeedsPicture(judge, orders=2), run=run)
    assert scored["needs_picture_missed"][:] == [1.0, 1.0]


def test_every_null_has_its_reason(run) -> None:
    good = {"question": "which?", "options": ["a", "b"], "answer": "a"}
    odd = {
        "text: null": {"question": None},
        "text: empty": {"question": "  "},
        "options: not a list of texts": {"options": None},
        "options: not 2 to 26 different ones": {"options": ["a", "a"]},
        "options: the answer is not among them": {"answer": "c"},
    }
    rows = [*(good | change for change in odd.values()), good | {"options": ["a", None]}, good]
    rows.append(good | {"options": ["a", *map(str, range(26))]})
    scored = attach_scores(Dataset.from_list(rows), NeedsPicture(TINY, orders=1), run=run)
    reasons = list(odd)
    assert scored["needs_picture_error"][:] == [*reasons, reasons[2], None, reasons[3]]
    for column in ("needs_picture_missed", "needs_picture_surprise"):
        assert [value is None for value in scored[column]] == [True] * 6 + [False, True]


def test_one_refusal_among_the_orders_is_a_null(run) -> None:
    calls = []

    def refuses_once(name: str, question: dict[str, Any]) -> Any:
        calls.append(name)
        return None if len(calls) == 2 else second_of(name, question)

    with judged(refuses_once, concurrency=1) as (judge, _):
        scored = attach_scores(asked("red", "blue"), NeedsPicture(judge, orders=2), run=run)
    assert scored["needs_picture_error"][:] == [None, "left out by the server"]
    assert scored["needs_picture_missed"][1] is None


def test_no_orders_are_refused() -> None:
    with pytest.raises(ConfigError, match="orders: 0 is not accepted"):
        build([{"scorer": "needs_picture", "judge": TINY, "orders": 0}])
