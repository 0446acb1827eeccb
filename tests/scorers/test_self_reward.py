"""Ten answers become a score with every sign right, and the points that the published code counts."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset
from quizzes import TINY, commons, judged

from tamis.prompts.self_reward import SIGNS
from tamis.scorers.self_reward import SelfReward
from tamis.scoring import attach_scores

pytestmark = pytest.mark.usefixtures("one_thread")


def asked(count: int = 1, **columns: list) -> Dataset:
    rows = commons(count, typical=True).select_columns(["image"]).flatten_indices()
    for name, values in ({"class": ["dog"] * count, "prompt": ["a dog in snow"] * count} | columns).items():
        rows = rows.add_column(name, values)
    return rows


@pytest.mark.parametrize(
    ("yes", "score", "points"),
    [
        (
            lambda name: 0.9 if SIGNS[name] > 0 else 0.1,
            0.9,
            8,
        ),  # all is well: but nothing to be confused with, no point
        (
            lambda name: 0.1 if SIGNS[name] > 0 else 0.9,
            0.1,
            1,
        ),  # all is ill: realism's point, confusables', minus odd's
        (lambda name: 0.9, 0.66, 7),
        (lambda name: 0.1, 0.34, 2),
        (lambda name: 0.5, 0.5, 2),  # no more likely than a no
    ],
)
def test_signs_and_points(run, yes, score: float, points: int) -> None:
    with judged(lambda name, question: yes(name)) as (judge, server):
        [row] = attach_scores(asked(), SelfReward(judge), run=run)
    assert row["self_reward_score"] == pytest.approx(score) and row["self_reward_points"] == points
    assert [one["question"] for one in row["self_reward_answers"]] == list(SIGNS)
    [body] = server.bodies
    assert all(question["type"] == "noul" for question in body["questions"].values()) and len(body["questions"]) == 10


def test_a_question_without_an_answer_leaves_the_row_without_a_score(run) -> None:
    with judged(lambda name, question: None if name == "anatomy" else 0.5) as (judge, _):
        [row] = attach_scores(asked(), SelfReward(judge), run=run)
    assert row["self_reward_score"] is None and row["self_reward_error"]


def test_rows_without_a_class_or_a_prompt_say_so(run) -> None:
    with judged(lambda name, question: 0.5) as (judge, _):
        scored = attach_scores(
            asked(3, **{"class": ["dog", None, "dog"], "prompt": ["", "x", "y"]}), SelfReward(judge), run=run
        )
    assert scored["self_reward_error"][:] == ["text: empty", "text: null", None]


def test_tiny_vlm_rewards_what_fits_its_prompt(run) -> None:
    """The same pictures with their own description, and with that of the next one."""
    rows = commons(40, typical=True)
    told = rows["description"][:]
    shapes = rows["truth_shape"][:]
    fitting = asked(40, **{"class": shapes, "prompt": told})
    shift = 17  # rows of one kind stand together
    other = asked(40, **{"class": shapes[shift:] + shapes[:shift], "prompt": told[shift:] + told[:shift]})
    reward = SelfReward(TINY, wording="short")
    right, wrong = (
        np.asarray(attach_scores(made, reward, run=run)["self_reward_score"][:]) for made in (fitting, other)
    )
    assert right.mean() > wrong.mean() + 0.2
