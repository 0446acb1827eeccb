"""What is taken of a judge's replies: one right question a difficulty, and a reason for every other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tamis.judge import Ask
from tamis.product_vqa.writing import Product, Written, take, write_questions

LEVELS = (0, 1, 2, 3, 5)
GOOD = [
    {"question": f"What is thing {word}?", "answer": answer, "difficulty": level}
    for word, answer, level in zip("abcde", ("red", "NA", "None", "steel", "7"), LEVELS, strict=True)
]


class Says:
    """Replies in turn, and what it was asked."""

    def __init__(self, *replies: str) -> None:
        self.replies, self.asked = list(replies), []

    def write(self, asks: list[Ask], **settings: Any) -> list[str]:
        self.asked += [ask.text for ask in asks]
        return [self.replies.pop(0) if self.replies else "" for _ in asks]


def read(made: Any, levels: tuple[int, ...] = LEVELS) -> tuple[Written, list[str]]:
    found = Written()
    faults = take(made if isinstance(made, str) else json.dumps(made), found, levels)
    return found, faults


@pytest.mark.parametrize(
    "reply",
    [
        json.dumps(GOOD),
        f"```json\n{json.dumps(GOOD, indent=1)}\n```",
        f"Here you are:\n```\n{json.dumps(GOOD)}\n```\nEnjoy!",
        f"Here: {json.dumps(GOOD)} Done.",
        json.dumps({"questions": GOOD}),
        json.dumps([one | {"reason": "x"} for one in reversed(GOOD)]),
        json.dumps([one | {"difficulty": str(one["difficulty"])} for one in GOOD]),
        json.dumps([*GOOD[:4], GOOD[4] | {"answer": 7}]),
    ],
)
def test_a_good_list_is_taken_in_whatever_dress(reply: str) -> None:
    found, faults = read(reply)
    assert found.questions == GOOD and not faults and not found.left_out


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": "dark red"}, "an answer of several words"),
        ({"answer": "T-shirt"}, "an answer with a hyphen or other signs"),
        ({"answer": "red."}, "an answer with a hyphen or other signs"),
        ({"answer": "Yes"}, "an answer that is yes or no"),
        ({"answer": True}, "no answer"),
        ({"answer": ""}, "no answer"),
        ({"answer": None}, "no answer"),
        ({"difficulty": 4}, "a difficulty that was not asked for"),
        ({"difficulty": "hard"}, "a difficulty that was not asked for"),
        ({"difficulty": None}, "a difficulty that was not asked for"),
        ({"question": " "}, "no question"),
        ({"question": 3}, "no question"),
        ({"question": "what \ud800?"}, "no question"),
        ({"question": "What is it? " * 40}, "a question of more than 300 characters"),
        ({"question": "Is the RED thing red?"}, "a question that contains its answer"),
        ({"question": "What does the description say?"}, "a question that speaks of the text"),
        ({"question": "what is THING b"}, "a question that is asked twice"),
    ],
)
def test_a_wrong_question_is_refused_by_its_reason(change: dict[str, Any], reason: str) -> None:
    found, faults = read([*GOOD[1:], GOOD[0] | change])
    assert found.questions == GOOD[1:] and found.left_out == {reason: 1}
    assert faults == [f"question 5: {reason}", "there is no right question of difficulty 0"]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "nothing was written"),
        (" \n", "nothing was written"),
        ("I cannot.", "the reply is not JSON"),
        (json.dumps(GOOD)[:-20], "the reply is not JSON"),
        ("[" * 100_000, "the reply is not JSON"),
        ('{"question": "a", "answer": "b", "difficulty": 0}', "the reply is no list of questions"),
        ("3", "the reply is no list of questions"),
        ("[1, null]", "it is no object of question, answer and difficulty"),
    ],
)
def test_a_reply_that_is_no_list_says_so(reply: str, reason: str) -> None:
    found, faults = read(reply)
    assert not found.questions and reason in found.left_out and any(reason in fault for fault in faults)


def test_a_sixth_question_is_cut_and_a_right_one_takes_the_place_of_a_wrong_one() -> None:
    sixth = {"question": "What else?", "answer": "blue", "difficulty": 2}
    found, faults = read([*GOOD, sixth])
    assert found.questions == GOOD and found.left_out == {"more questions than were asked for": 1}
    found, _ = read([GOOD[2] | {"answer": "two words"}, sixth, *GOOD])
    assert found.questions == [*GOOD[:2], sixth, *GOOD[3:]]
    assert found.left_out == {"an answer of several words": 1, "more questions than were asked for": 1}
    twice = [{"question": f"What {word}?", "answer": "x", "difficulty": 1} for word in ("now", "then")]
    assert read(twice, (1, 1))[0].questions == twice


def test_a_repair_names_what_is_wrong_and_keeps_what_is_right() -> None:
    first = json.dumps([*GOOD[:3], GOOD[3] | {"answer": "stainless steel"}])
    judge = Says(first, json.dumps([GOOD[0] | {"answer": "blue"}, *GOOD[1:]]))
    [found] = write_questions(judge, [Product("a pan", ("of steel",))], difficulties=LEVELS)
    assert found.questions == GOOD and found.tries == 2 and found.left_out == {"an answer of several words": 1}
    assert "of steel" in judge.asked[0] and "wrong" not in judge.asked[0]
    for told in (
        first,
        "- question 4: an answer of several words",
        "- there is no right question of difficulty 3",
        "- there is no right question of difficulty 5",
        "a pan",
    ):
        assert told in judge.asked[1]
    assert len(judge.asked) == 2


def test_three_tries_at_most_and_only_for_those_that_need_them() -> None:
    good = json.dumps(GOOD)
    judge = Says(good, "", "no", "x" * 9000, "", good)
    products = [Product(name, ("b",)) for name in ("one", "two", "three")]
    found = write_questions(judge, products, difficulties=LEVELS, wording="short")
    assert [one.tries for one in found] == [1, 3, 3]
    assert [one.questions for one in found] == [GOOD, GOOD, []]
    assert found[1].left_out == {"nothing was written": 1, "the reply is not JSON": 1}
    assert found[2].left_out == {"the reply is not JSON": 1, "nothing was written": 2}
    names = [text.splitlines()[1] for text in judge.asked]
    assert names == ["one", "two", "three", "two", "three", "two", "three"]
    assert judge.asked[0].startswith("ask 0 1 2 3 5\none")
    assert judge.asked[3] == judge.asked[1] and judge.asked[6] == judge.asked[2]  # of nothing, nothing is mended
    assert judge.asked[4].startswith("mend 0 1 2 3 5\nthree") and "wrong: the reply is not JSON" in judge.asked[4]
    assert judge.asked[5].startswith("mend 0 1 2 3 5\ntwo") and 4000 < len(judge.asked[5]) < 4200
    [refused] = write_questions(Says(), products[:1], difficulties=(0,), tries=2)
    assert refused.left_out == {"nothing was written": 2} and refused.tries == 2
