"""Prompts a class at a time: what is kept names its class and is new; what is not is counted."""

from __future__ import annotations

from typing import Any

import pytest
from datasets import Dataset
from judge.api_server import completion, replaying

from tamis.judge import Ask
from tamis.scorers.prompt_writer import PromptWriter
from tamis.scoring import attach_scores
from tamis.self_reward.writing import names, write_prompts
from tamis.tiny.world import SHAPES

pytestmark = pytest.mark.usefixtures("one_thread")


class Says:
    """Replies in turn, and what it was asked."""

    def __init__(self, *replies: str) -> None:
        self.replies, self.asked = list(replies), []

    def write(self, asks: list[Ask], **settings: Any) -> list[str]:
        self.asked += [ask.text for ask in asks]
        return [self.replies.pop(0) if self.replies else "" for _ in asks]


def written(judge: Says, count: int, **settings: Any) -> Any:
    return write_prompts(judge, ["dog"], count=count, complex=False, wording="short", **settings)["dog"]


def test_lines_become_prompts_and_the_rest_is_counted() -> None:
    long = "a dog " + "in deep snow " * 60
    reply = (
        f'1. a dog in snow\n- "A Dog, in snow."\n\n* dogs at a lake\na cat\n{long}\n---\n“a dog asleep”\na dog too many'
    )
    found = written(Says(reply), 3, turns=1)
    assert found.prompts == ["a dog in snow", "dogs at a lake", "a dog asleep"]
    told = {"written already": 1, "does not name the class": 1, "longer than 600 characters": 1, "no text": 1}
    assert found.left_out == told


def test_what_is_missing_is_asked_for_again_with_what_there_is() -> None:
    judge = Says("a dog in snow\na cat", "a dog in snow\na dog on ice", "")
    found = written(judge, 3, turns=3)
    assert found.prompts == ["a dog in snow", "a dog on ice"]  # fewer than asked for, and nothing padded
    assert judge.asked[0] == "prompts 3: dog"
    assert judge.asked[1] == "prompts 2: dog\nnot a dog in snow" and judge.asked[2].startswith("prompts 1: dog\nnot a")
    judge = Says("a dog one\na dog two", "a dog three", "a dog four")
    assert len(written(judge, 5, at_once=2, turns=1).prompts) == 4
    assert judge.asked == ["prompts 2: dog", "prompts 2: dog", "prompts 1: dog"]


def test_prompts_known_before_are_not_written_again() -> None:
    judge = Says("a dog in snow\na dog asleep")
    found = written(judge, 2, turns=1, known={"dog": ["A dog in snow"]})
    assert found.prompts == ["a dog asleep"] and judge.asked == ["prompts 2: dog\nnot A dog in snow"]


@pytest.mark.parametrize(
    ("prompt", "class_name", "named"),
    [
        ("Two elephants drink", "elephant", True),
        ("a horsefly", "horse", False),
        ("a fire hydrant, red", "fire hydrant", True),
        ("buses in a row", "bus", True),
        ("c++ code", "c++", True),
        ("Ærø, a Bjørn", "bjørn", True),
    ],
)
def test_a_class_is_named_as_words(prompt: str, class_name: str, named: bool) -> None:
    assert names(prompt, class_name) == named


def test_tiny_llm_writes_for_every_class(run) -> None:
    rows = Dataset.from_dict({"class": [*SHAPES[:4], " "]})
    writer = PromptWriter(
        {"model": "tiny/llm"}, plain=12, complex=4, at_once=6, turns=6, max_new_tokens=200, wording="short"
    )
    scored = attach_scores(rows, writer, run=run)
    assert scored["prompt_writer_error"][:] == [None] * 4 + ["text: empty"]
    for row in scored.select(range(4)):
        plain, involved = row["prompt_writer_plain"], row["prompt_writer_complex"]
        assert len(plain) == 12 and len(involved) == 4
        assert len({prompt.casefold() for prompt in [*plain, *involved]}) == 16
        assert all(names(prompt, row["class"]) for prompt in [*plain, *involved])


def test_a_class_without_a_prompt_says_what_was_wrong(run) -> None:
    rows = Dataset.from_dict({"class": ["dog"]})
    with replaying(lambda number, body: completion("a cat\na cow")) as server:
        judge = {"backend": "api", "model": "m", "base_url": server.url, "api_key_env": "JUDGE_TEST_KEY"}
        [row] = attach_scores(rows, PromptWriter(judge, plain=2, turns=2), run=run)
    assert row["prompt_writer_plain"] is None
    assert row["prompt_writer_error"] == "no prompt: does not name the class (4)"
